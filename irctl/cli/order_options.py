"""The options of commands that order a run, whatever remediation it is of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from irctl.catalog.catalog import Remediation
from irctl.cli import completions
from irctl.cli.option_types import Value, duration, host_or_group, incident_id, reason, role, timeout, weighty_reason


def host_option(*, required: bool = True, sentence: str = "") -> click.Option:
    """--host. `sentence` is its help where it means something else than the targets of a run."""
    return click.Option(
        ["--host", "hosts"],
        type=Value("HOST", host_or_group),
        multiple=True,
        required=required,
        metavar="HOST",
        shell_complete=completions.hosts,
        help=sentence or "A host or group of the inventory. Repeat it for more. Example: --host prod",
    )


def target_options() -> list[click.Parameter]:
    """On which hosts, for which incident, and for how long at most."""
    return [
        host_option(),
        click.Option(["--incident"], type=Value("ID", incident_id), metavar="ID", envvar="IRCTL_INCIDENT",
                     shell_complete=completions.incidents,
                     help="The incident that this belongs to. Example: --incident INC-2026-1121-001"),
        timeout_option(),
    ]  # fmt: skip


def timeout_option(what: str = "Stop") -> click.Option:
    """--timeout. `what` is the first word or words of its help."""
    return click.Option(["--timeout"], type=Value("DURATION", timeout), default="10m", metavar="DURATION",
                        help=f"{what}, and call it indeterminate, after this long. Default: 10m.")  # fmt: skip


def check_option() -> click.Option:
    return click.Option(["--check"], is_flag=True, help="Change nothing; say what would be changed.")


def lease_options(remediation: Remediation) -> list[click.Parameter]:
    """--for, where the change may end by itself."""
    lease = remediation.about.get("lease")
    if not lease:
        return []
    sentence = f"Undo it again after this long, whatever becomes of irctl; at most {lease['limit']}. Example: --for 30m"
    kind = Value("DURATION", duration("1s", lease["limit"]))
    return [click.Option(["--for", "lease"], type=kind, metavar="DURATION", required=lease.get("required", False), help=sentence)]


def approval_options(remediation: Remediation) -> list[click.Parameter]:
    """What shows that a run may go ahead."""
    sentence = "Go ahead without the approvals, where the configuration allows it. It must be countersigned."
    break_glass = click.Option(["--break-glass"], type=Value("REASON", weighty_reason), metavar="REASON", help=sentence)
    return [
        click.Option(["--plan"], is_eager=True, callback=_require_no_others, metavar="PLAN", shell_complete=completions.requests,
                     help="Run exactly this plan file or request; its hosts and options stand in it."),
        click.Option(["--approval"], multiple=True, type=click.Path(), metavar="FILE",
                     help="An approval of the plan that was carried here. Repeat it for more."),
        *([break_glass] if remediation.about.get("approvals") else []),
    ]  # fmt: skip


def _require_no_others(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """With --plan no other option is required, since the plan has them all."""
    for other in ctx.command.params if value is not None else []:
        other.required = False
    return value


def request_options() -> list[click.Parameter]:
    """The options of commands that make a request for approval."""
    return [
        click.Option(["--expires"], type=Value("DURATION", duration("5m", "24h")), default="4h", metavar="DURATION",
                     help="How long it may be approved and used, 5m to 24h. Default: 4h."),
        click.Option(["--reason"], type=Value("TEXT", reason), default=None, metavar="TEXT",
                     help="Why it is needed, for those who approve. Example: --reason 'checkout is down'"),
    ]  # fmt: skip


def role_option() -> Callable[[Any], Any]:
    """Add --as: the role of whoever signs."""
    return click.option("--as", "role", type=Value("ROLE", role), required=True, metavar="ROLE",
                        help="The role in which you sign. Example: --as incident-commander")  # fmt: skip
