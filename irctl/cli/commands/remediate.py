"""irctl remediate NAME: each remediation of the catalogue as a command, made from its spec."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog import catalog
from irctl.catalog.catalog import Option, Remediation
from irctl.cli import options
from irctl.cli.base import GLOBALS, Command, Group, remind, root_of, settings_of, wants_json
from irctl.errors import Invalid, Refused, invalid

if TYPE_CHECKING:
    from irctl.approvals.request import Request
    from irctl.orders.flow import Order, Outcome

WITH_PLAN = {*GLOBALS, "plan", "approval", "incident", "timeout", "check", "break_glass"}  # what a plan does not say


def order_options() -> list[click.Parameter]:
    """The options that every order takes, whatever is ordered."""
    return [
        options.host_option(),
        click.Option(["--incident"], type=options.Value("ID", options.incident), metavar="ID", envvar="IRCTL_INCIDENT",
                     help="The incident that this belongs to. Example: --incident INC-2026-1121-001"),
        click.Option(["--timeout"], type=options.Value("DURATION", options.timeout), default="10m", metavar="DURATION",
                     help="Stop, and call it indeterminate, after this long. Default: 10m."),
    ]  # fmt: skip


def lease_option(found: Remediation) -> list[click.Parameter]:
    """--for, where the change may end by itself."""
    lease = found.about.get("lease")
    if not lease:
        return []
    said = f"Undo it again after this long, whatever becomes of irctl; at most {lease['limit']}. Example: --for 30m"
    kind = options.Value("DURATION", options.lease_of(lease["limit"]))
    return [click.Option(["--for", "lease"], type=kind, metavar="DURATION", required=lease.get("required", False), help=said)]


def carry_out(ctx: click.Context, order: Order) -> Outcome:
    """Say what earlier commands left behind, then carry out the order with progress on standard error."""
    from irctl.cli.progress import progress
    from irctl.orders import flow

    settings = settings_of(ctx)
    remind(settings.home_path)
    order = replace(order, incident=order.incident or _confirmed_incident(ctx, order, settings.home_path))
    with progress(order, quiet=wants_json(ctx)) as show:
        return flow.carry_out(order, settings, show)


def _confirmed_incident(ctx: click.Context, order: Order, home: Path) -> str:
    """The one that is open, where somebody is there to say that this belongs to it."""
    if not order.changes or wants_json(ctx) or not sys.stdin.isatty():
        return ""
    from irctl.incidents import incidents

    only = incidents.single_open(home)
    belongs = only is not None and click.confirm(f"Does this belong to {only.incident} ({only.title})?", default=True, err=True)
    return only.incident if only and belongs else ""


def order_of(ctx: click.Context, found: Remediation, given: dict[str, Any], *, check: bool) -> Order:
    from irctl.orders.flow import Order

    variables = {name_of(option.flag): option.variable for option in found.typed}
    return Order(
        found=found,
        names=tuple(dict.fromkeys(given["hosts"])),
        given=options.typed(ctx, variables, given),
        check=check,
        incident=given["incident"] or "",
        timeout=given["timeout"],
        lease=given.get("lease") or 0,
        verbosity=root_of(ctx).get("verbose", 0),
    )


def name_of(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _glass(text: str) -> str:
    if not 10 <= len(text.strip()) <= 500 or not text.isprintable():
        raise ValueError("10 to 500 printable characters are needed: people will have to judge it")
    return text.strip()


def approval_options(found: Remediation) -> list[click.Parameter]:
    """What shows that a run may go ahead."""
    said = "Go ahead without the approvals, where the configuration allows it. It must be countersigned."
    glass = click.Option(["--break-glass"], type=options.Value("REASON", _glass), metavar="REASON", help=said)
    return [
        click.Option(["--plan"], is_eager=True, callback=_relax, metavar="PLAN", shell_complete=complete_request,
                     help="Run exactly this plan file or request; its hosts and options stand in it."),
        click.Option(["--approval"], multiple=True, type=click.Path(), metavar="FILE",
                     help="An approval of the plan that was carried here. Repeat it for more."),
        *([glass] if found.about.get("approvals") else []),
    ]  # fmt: skip


def complete_request(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from irctl.approvals import request

    return [name[:12] for name in request.listed(settings_of(ctx).home_path) if name.startswith(incomplete)]


def _relax(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """What stands in a plan need not be typed."""
    for one in ctx.command.params if value is not None else []:
        one.required = False
    return value


def _ordered(ctx: click.Context, found: Remediation, given: dict[str, Any]) -> Order:
    """The order as it was typed, or as the plan has it, with what the caller shows for its approval. Raises IrctlError."""
    from irctl.approvals.gate import ApprovalInput
    from irctl.record import documents

    glass = given.get("break_glass") or ""
    if glass and (given["plan"] or given["check"]):
        raise Invalid(f"--break-glass: not together with {'--plan' if given['plan'] else '--check, which needs no approval'}")
    if given["plan"] is None:
        if given["approval"]:
            raise Invalid("--approval: it is of a plan; name that too, with --plan")
        order = order_of(ctx, found, given, check=given["check"])
        return replace(order, approval_input=ApprovalInput(break_glass=glass))
    wanted = _wanted(ctx, found, given)
    records = tuple(documents.read(Path(name), "approval-1") for name in given["approval"])
    of_plan = {"hosts": wanted.document["names"], "incident": wanted.incident, "lease": wanted.document["lease"]}
    order = order_of(ctx, found, given | of_plan, check=given["check"])
    return replace(order, given=_parameters(found, wanted), approval_input=ApprovalInput(wanted, records))


def _wanted(ctx: click.Context, found: Remediation, given: dict[str, Any]) -> Request:
    """The request that --plan names, which must be of this remediation and incident. Raises Invalid or Refused."""
    from irctl.approvals import request

    for param in ctx.command.params:
        if param.name not in WITH_PLAN and ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
            raise invalid(options.flag_of(param), "not together with --plan, in which it stands", given["plan"])
    wanted = request.find(settings_of(ctx).home_path, given["plan"], "--plan")
    if wanted.remediation != found.name:
        raise Invalid(f"--plan: it is of {wanted.remediation}, not of {found.name}")
    if given["incident"] and given["incident"] != wanted.incident:
        raise Refused(f"the plan is for {wanted.incident or 'no incident'}, not for {given['incident']}; nothing was run")
    _require_lease(found, wanted.document["lease"] or 0)
    return wanted


def _require_lease(found: Remediation, seconds: int) -> None:
    lease = found.about.get("lease") or {}
    most = values.seconds(lease["limit"]) if lease else 0
    if seconds > most or (lease.get("required") and not seconds):
        raise Refused(f"the plan lasts {seconds or 'for good'} (in seconds), and {found.name} may last {most or 'for good only'}")


def _parameters(found: Remediation, wanted: Request) -> dict[str, Any]:
    """What was typed when the plan was made, checked as if it were typed now. Raises Refused."""
    known = {option.variable: option for option in found.typed}
    checked = {}
    for variable, value in wanted.plan["parameters"].items():
        try:
            checked[variable] = _checked(known[variable], value)
        except (KeyError, ValueError) as error:
            why = "not an option" if isinstance(error, KeyError) else str(error)
            raise Refused(f"the plan sets {variable}: {why}; nothing was run") from None
    return checked


def _checked(option: Option, value: object) -> Any:
    from irctl.catalog import parameters

    if option.type != "list":
        return parameters.check(option, value)
    if not isinstance(value, list):
        raise ValueError("a list is needed")
    return [parameters.check(option, item) for item in value]


def _warn(ctx: click.Context, order: Order) -> None:
    """Say loudly that the approvals are done without. Raises Invalid or Refused where that is not allowed."""
    from irctl.approvals import break_glass, kept

    if order.approval_input.break_glass:
        settings, needed = settings_of(ctx), kept.roles_of(order.found)
        break_glass.allowed_for(settings, needed)
        said = f"BREAKING THE GLASS: {order.found.name} without the approval of {' and '.join(needed)}, by {settings.operator}: "
        said += f"{order.approval_input.break_glass}. Somebody else must countersign it within {settings.break_glass.value}"
        click.echo(click.style(f"warning: {said}", fg="red", bold=True), err=True)


def _run(found: Remediation, **given: Any) -> int:
    from irctl.cli import render

    ctx = click.get_current_context()
    order = _ordered(ctx, found, given)
    _warn(ctx, order)
    done = carry_out(ctx, order)
    render.run(order, done, as_json=wants_json(ctx))
    return done.exit_code


class Remediations(Group):
    """The names of the catalogue; only the one that is asked for is read."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(catalog.names(settings_of(ctx).contents))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        found = catalog.load(cmd_name, settings_of(ctx).contents)
        check = click.Option(["--check"], is_flag=True, help="Change nothing; say what would be changed.")
        return Command(
            name=found.name,
            callback=lambda **given: _run(found, **given),
            help=f"{found.summary}.\n\n" + "\n\n".join(found.description),
            short_help=found.summary,
            epilog=f"Example: irctl remediate {found.name} {found.about.get('example', '--host prod')}",
            params=[
                *order_options(),
                check,
                *approval_options(found),
                *lease_option(found),
                *map(options.click_option, found.typed),
            ],
        )


command = Remediations(
    name="remediate",
    help="Mend something: look, guard, capture, change, verify, report.",
    epilog="Example: irctl remediate db-connections --host prod --check",
    subcommand_metavar="NAME [OPTIONS]",
)
