"""irctl approvals: what waits for whom; take an approval back; countersign a run that broke the glass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import short_list
from irctl.approvals import countersigning, kept, status
from irctl.approvals import request as requests
from irctl.cli import completions, render
from irctl.cli.approval_requests import requested_remediation
from irctl.cli.base import Group, remind, settings_of, wants_json
from irctl.cli.option_types import Value
from irctl.cli.option_types import reason as checked_reason
from irctl.cli.order_options import role_option
from irctl.cli.views import request as view
from irctl.errors import invalid
from irctl.record import runs

if TYPE_CHECKING:
    from irctl.approvals.status import RequestStatus

COLOURS = {"ready": "green", "waiting": "yellow", "refused": "red", "damaged": "red"}


class Approvals(Group):
    """A word that is no command of the group is a request to be shown."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            return "show", self.commands["show"], args
        return super().resolve_command(ctx, args)


@click.group(cls=Approvals, name="approvals", invoke_without_command=True, epilog="Example: irctl approvals 3f9a1c20b7de",
             subcommand_metavar="[PLAN | COMMAND]")  # fmt: skip
@click.option("--all", "every", is_flag=True, help="Also those that expired or were used.")
@click.pass_context
def command(ctx: click.Context, every: bool) -> None:
    """Show what waits for approval, for whom and until when, or all about one request (PLAN)."""
    if ctx.invoked_subcommand is not None:
        return
    settings = settings_of(ctx)
    remind(settings.home_path)
    shown = [one for one in status.statuses(settings) if every or one.state not in ("expired", "spent")]
    if wants_json(ctx):
        render.as_object({"schema": "irctl/requests/1", "requests": [_object(one) for one in shown]})
    elif not shown:
        click.echo("nothing waits for approval")
    else:
        render.table(map(_row, shown))


def _object(request_status: RequestStatus) -> dict[str, Any]:
    """A request and its state as `--json` shows them."""
    request, approved = request_status.request, dict(request_status.approved or {})
    document = {"id": request_status.id, "state": request_status.state, "why": request_status.reason, "approved": approved}
    if request is None:
        return document
    names = ("title", "needs", "incident", "requester", "reason", "lease", "created", "expires", "plan_hash")
    missing = [role for role in request.document["needs"] if role not in approved]
    plan = {"remediation": request.remediation, "hosts": sorted(request.plan["hosts"])}
    return document | plan | {name: request.document[name] for name in names} | {"waits_for": missing}


def _row(request_status: RequestStatus) -> list[str]:
    short, reason = request_status.id[:12], request_status.reason
    state = click.style(request_status.state, fg=COLOURS.get(request_status.state))
    if request_status.request is None:
        return [short, state, "", "", reason]
    document = _object(request_status)
    roles = [f"{role}: {who}" for role, who in document["approved"].items()] + [f"{role}: ..." for role in document["waits_for"]]
    waiting = f"{', '.join(roles)}; until {document['expires']}" if roles else "needs no approval"
    return [short, state, document["remediation"], short_list(document["hosts"]), reason or waiting]


@command.command(name="show", hidden=True, epilog="Example: irctl approvals show 3f9a1c20b7de")
@click.argument("plan", shell_complete=completions.requests)
@click.pass_context
def show_one(ctx: click.Context, plan: str) -> None:
    """Show all about one request."""
    settings = settings_of(ctx)
    remind(settings.home_path)
    request = requests.find(settings.home_path, plan)
    request_status = status.status(settings, request, kept.ledger(settings.home_path))
    if wants_json(ctx):
        render.as_object({"schema": "irctl/requests/1", "requests": [_object(request_status)]})
        return
    view.show(requested_remediation(settings, request), request)
    click.echo("  ".join(word for word in _row(request_status) if word))


@command.command(name="revoke", epilog="Example: irctl approvals revoke 3f9a1c20b7de --as security --reason 'wrong cluster'")
@click.argument("plan", shell_complete=completions.requests)
@role_option()
@click.option("--reason", type=Value("TEXT", checked_reason), required=True, metavar="TEXT",
              help="Why. Example: --reason 'wrong cluster'")  # fmt: skip
@click.pass_context
def revoke(ctx: click.Context, plan: str, role: str, reason: str) -> None:
    """Take back your approval of PLAN. It cannot be given again: a new request is needed."""
    settings = settings_of(ctx)
    request = requests.find(settings.home_path, plan)
    signed = kept.revoke(settings, list(request.document["needs"]), request, role, reason)
    render.sentence(f"revoked: the approval as {role} by {signed['principal']}", signed, as_json=wants_json(ctx))


@command.command(name="countersign", epilog="Example: irctl approvals countersign 7f3a01 --as security")
@click.argument("run", shell_complete=completions.runs)
@role_option()
@click.pass_context
def countersign(ctx: click.Context, run: str, role: str) -> None:
    """Sign that you have seen RUN, which broke the glass: it went ahead without its approvals."""
    settings = settings_of(ctx)
    if run == runs.LAST:
        raise invalid("RUN", "what is signed is named by its id; `irctl runs` lists them", run)
    signed = countersigning.countersign(settings, runs.find(settings.home_path, run), role)
    render.sentence(f"countersigned as {role} by {signed['principal']}", signed, as_json=wants_json(ctx))
