"""Orders of `irctl remediate`: as typed, or as a plan has them, with what shows that they are approved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog.catalog import Remediation
from irctl.catalog.definition import Option
from irctl.cli.base import GLOBALS, settings_of
from irctl.cli.option_types import flag_of
from irctl.cli.orders import typed_order
from irctl.errors import Invalid, Refused, invalid

if TYPE_CHECKING:
    from irctl.approvals.request import Request
    from irctl.orders.order import Order

NOT_IN_A_PLAN = {*GLOBALS, "plan", "approval", "incident", "timeout", "check", "break_glass"}


def order_with_approval(ctx: click.Context, remediation: Remediation, given: dict[str, Any]) -> Order:
    """The order as it was typed, or as --plan has it, with what the caller shows for its approval. Raises IrctlError."""
    from irctl.approvals.approval_input import ApprovalInput
    from irctl.record import documents

    break_glass = given.get("break_glass") or ""
    if break_glass and (given["plan"] or given["check"]):
        raise Invalid(f"--break-glass: not together with {'--plan' if given['plan'] else '--check, which needs no approval'}")
    if given["plan"] is None:
        if given["approval"]:
            raise Invalid("--approval: it is of a plan; name that too, with --plan")
        order = typed_order(ctx, remediation, given, check=given["check"])
        return replace(order, approval_input=ApprovalInput(break_glass=break_glass))
    request = _planned(ctx, remediation, given)
    approvals = tuple(documents.read(Path(name), "approval-1") for name in given["approval"])
    of_plan = {"hosts": request.document["names"], "incident": request.incident, "lease": request.document["lease"]}
    order = typed_order(ctx, remediation, given | of_plan, check=given["check"])
    return replace(order, given=_parameters(remediation, request), approval_input=ApprovalInput(request, approvals))


def _typed(value: Any) -> str:
    """A value of the command line as it was typed, or the first of several."""
    while isinstance(value, list | tuple):
        value = value[0] if value else ""
    return str(value)


def _planned(ctx: click.Context, remediation: Remediation, given: dict[str, Any]) -> Request:
    """The request that --plan names, which must be of this remediation and incident. Raises Invalid or Refused."""
    from irctl.approvals import request as requests

    for param in ctx.command.params:
        if param.name not in NOT_IN_A_PLAN and ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
            raise invalid(flag_of(param), "not together with --plan, in which it stands", _typed(ctx.params[param.name or ""]))
    request = requests.find(settings_of(ctx).home_path, given["plan"], "--plan")
    if request.remediation != remediation.name:
        raise Invalid(f"--plan: it is of {request.remediation}, not of {remediation.name}")
    if given["incident"] and not request.incident.endswith(given["incident"].upper()):
        raise Refused(f"the plan is for {request.incident or 'no incident'}, not for {given['incident']}; nothing was run")
    _require_lease(remediation, request.document["lease"] or 0)
    return request


def _require_lease(remediation: Remediation, seconds: int) -> None:
    """Raises Refused where the remediation may not last as long as the plan says."""
    lease = remediation.about.get("lease") or {}
    most = values.seconds(lease["limit"]) if lease else 0
    if seconds > most or (lease.get("required") and not seconds):
        planned, allowed = seconds or "for good", most or "for good only"
        raise Refused(f"the plan lasts {planned} (in seconds), and {remediation.name} may last {allowed}")


def _parameters(remediation: Remediation, request: Request) -> dict[str, Any]:
    """What was typed when the plan was made, checked as if it were typed now. Raises Refused."""
    known = {option.variable: option for option in remediation.typed}
    checked = {}
    for variable, value in request.plan["parameters"].items():
        try:
            checked[variable] = _checked(known[variable], value)
        except (KeyError, ValueError) as error:
            reason = "not an option" if isinstance(error, KeyError) else str(error)
            raise Refused(f"the plan sets {variable}: {reason}; nothing was run") from None
    return checked


def _checked(option: Option, value: object) -> Any:
    from irctl.catalog import parameters

    if option.type != "list":
        return parameters.check(option, value)
    if not isinstance(value, list):
        raise ValueError("a list is needed")
    return [parameters.check(option, item) for item in value]


def warn_of_break_glass(ctx: click.Context, order: Order) -> None:
    """Say loudly that the order goes ahead without its approvals. Raises Invalid or Refused where that is not allowed."""
    from irctl.approvals import break_glass, kept

    if order.approval_input.break_glass:
        settings, needed = settings_of(ctx), kept.roles_of(order.remediation)
        break_glass.allowed_for(settings, needed)
        sentence = (
            f"BREAKING THE GLASS: {order.remediation.name} without the approval of {' and '.join(needed)}, by {settings.operator}: "
        )
        sentence += f"{order.approval_input.break_glass}. Somebody else must countersign it within {settings.break_glass.value}"
        click.echo(click.style(f"warning: {sentence}", fg="red", bold=True), err=True)
