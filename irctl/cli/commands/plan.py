"""irctl plan NAME: what a remediation would do, the hash that names exactly that, and a file of it for those who approve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog import catalog
from irctl.catalog.catalog import Remediation
from irctl.cli import options
from irctl.cli.base import Command, settings_of, wants_json
from irctl.cli.commands.remediate import Remediations, carry_out, lease_option, order_of, order_options
from irctl.cli.commands.stop import reason
from irctl.errors import invalid

if TYPE_CHECKING:
    from irctl.approvals.request import Request
    from irctl.orders.flow import Order, Outcome

GOOD = ("changed", "unchanged", "partial")  # how a dry run ends of which there is something to approve


def life(text: str) -> int:
    """Check how long a request may be used, in seconds. Raises ValueError."""
    seconds = values.seconds(text)
    if not 300 <= seconds <= 86400:
        raise ValueError("at least 5m and at most 24h")
    return seconds


def request_options() -> list[click.Parameter]:
    """The options of all that makes a request."""
    return [
        click.Option(["--expires"], type=options.Value("DURATION", life), default="4h", metavar="DURATION",
                     help="How long it may be approved and used, 5m to 24h. Default: 4h."),
        click.Option(["--reason"], type=options.Value("TEXT", reason), default=None, metavar="TEXT",
                     help="Why it is needed, for those who approve. Example: --reason 'checkout is down'"),
    ]  # fmt: skip


def asked(ctx: click.Context, order: Order, done: Outcome, given: dict[str, Any]) -> Request:
    """The request for what a dry run planned. Raises IrctlError."""
    from irctl.approvals import kept, request

    hosts = {name: {"outcome": host.outcome, "reason": host.reason[:300]} for name, host in done.hosts.items()}
    about = {
        "plan": done.plan,
        "plan_hash": done.plan_hash,
        "names": list(order.names),
        "title": order.found.summary,
        "needs": kept.roles_of(order.found),
        "incident": order.incident,
        "reason": given["reason"] or "",
        "lease": order.lease or None,
        "dry_run": {"outcome": done.outcome, "hosts": hosts},
    }
    return request.make(settings_of(ctx), about, given["expires"])


def require_requester(ctx: click.Context, found: Remediation) -> None:
    """Raises IrctlError, before the dry run, where the caller could not sign the request."""
    from irctl.approvals import kept, statements

    if kept.roles_of(found):
        settings = settings_of(ctx)
        statements.known(statements.allowed(settings), statements.principal(settings))


def _plan(found: Remediation, **given: Any) -> int:
    from irctl.cli import render
    from irctl.record import documents

    ctx = click.get_current_context()
    order, out = order_of(ctx, found, given, check=True), Path(given["out"] or "")
    if given["out"]:
        require_requester(ctx, found)
        if not _can_be_made(out):
            raise invalid("--out", "a new file in a folder that is there is needed", out)
    done = carry_out(ctx, order)
    render.plan(order, done, as_json=wants_json(ctx))
    if given["out"] and done.outcome in GOOD:
        made = asked(ctx, order, done, given)
        documents.create(out, dict(made.document), "--out")
        named, until = values.printable(out, 4096), made.document["expires"]
        click.echo(f"{named}: request {made.id}, until {until}. To approve it: irctl approve {named} --as ROLE", err=True)
    elif given["out"]:
        click.echo(f"warning: {values.printable(out, 80)} was not written: the dry run ended as {done.outcome}", err=True)
    return done.exit_code


def _can_be_made(path: Path) -> bool:
    try:
        return not path.exists() and not path.is_symlink() and path.parent.is_dir()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


class Plans(Remediations):
    """The same names as `remediate`, each only planned."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        found = catalog.load(cmd_name, settings_of(ctx).contents)
        out = click.Option(
            ["--out"], type=click.Path(), metavar="FILE", help="Write a plan file, to be approved: irctl approve FILE."
        )
        more = [out, *request_options(), *lease_option(found), *(options.click_option(option) for option in found.typed)]
        return Command(
            name=found.name,
            callback=lambda **given: _plan(found, **given),
            help=f"Plan: {found.summary}. Resolves the targets and does a dry run; changes nothing.",
            short_help=found.summary,
            epilog=f"Example: irctl plan {found.name} {found.about.get('example', '--host prod')}",
            params=[*order_options(), *more],
        )


command = Plans(
    name="plan",
    help="Show what a remediation would do, and the hash that names the plan.",
    epilog="Example: irctl plan db-connections --host prod --idle-for 30m",
    subcommand_metavar="NAME [OPTIONS]",
)
