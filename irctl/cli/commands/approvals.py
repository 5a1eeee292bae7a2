"""irctl approvals: what waits for whom; take an approval back; countersign a run that broke the glass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from irctl.approvals import break_glass, kept, request, status
from irctl.cli import options, render
from irctl.cli.base import Group, remind, settings_of, wants_json
from irctl.cli.commands.approve import as_planned, role_option, show
from irctl.cli.commands.remediate import complete_request
from irctl.cli.commands.runs import complete_run
from irctl.cli.commands.stop import reason as a_reason
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
    found = [one for one in status.statuses(settings) if every or one.state not in ("expired", "spent")]
    if wants_json(ctx):
        render.as_object({"schema": "irctl/requests/1", "requests": [_object(one) for one in found]})
    elif not found:
        click.echo("nothing waits for approval")
    else:
        render.table(_row(one) for one in found)


def _object(one: RequestStatus) -> dict[str, Any]:
    about = {"id": one.id, "state": one.state, "why": one.reason, "approved": dict(one.approved or {})}
    if one.request is None:
        return about
    names = ("title", "needs", "incident", "requester", "reason", "lease", "created", "expires", "plan_hash")
    left = [role for role in one.request.document["needs"] if role not in about["approved"]]
    plan = {"remediation": one.request.remediation, "hosts": sorted(one.request.plan["hosts"])}
    return about | plan | {name: one.request.document[name] for name in names} | {"waits_for": left}


def _row(one: RequestStatus) -> list[str]:
    state = click.style(one.state, fg=COLOURS.get(one.state))
    if one.request is None:
        return [one.id[:12], state, "", "", one.reason]
    about = _object(one)
    by = [f"{role}: {who}" for role, who in about["approved"].items()] + [f"{role}: ..." for role in about["waits_for"]]
    said = one.reason or f"{', '.join(by)}; until {about['expires']}"
    return [one.id[:12], state, about["remediation"], ", ".join(about["hosts"][:5]), said]


@command.command(name="show", hidden=True, epilog="Example: irctl approvals show 3f9a1c20b7de")
@click.argument("plan", shell_complete=complete_request)
@click.pass_context
def show_one(ctx: click.Context, plan: str) -> None:
    """Show all about one request."""
    settings = settings_of(ctx)
    remind(settings.home_path)
    wanted = request.find(settings.home_path, plan)
    one = status.status(settings, wanted, kept.ledger(settings.home_path))
    if wants_json(ctx):
        render.as_object({"schema": "irctl/requests/1", "requests": [_object(one)]})
        return
    show(as_planned(settings, wanted), wanted)
    click.echo("  ".join(word for word in _row(one) if word))


@command.command(name="revoke", epilog="Example: irctl approvals revoke 3f9a1c20b7de --as security --reason 'wrong cluster'")
@click.argument("plan", shell_complete=complete_request)
@role_option()
@click.option(
    "--reason", type=options.Value("TEXT", a_reason), required=True, metavar="TEXT", help="Why. Example: --reason 'wrong cluster'"
)
@click.pass_context
def revoke(ctx: click.Context, plan: str, role: str, reason: str) -> None:
    """Take back your approval of PLAN. It cannot be given again: a new request is needed."""
    settings = settings_of(ctx)
    wanted = request.find(settings.home_path, plan)
    signed = kept.revoke(settings, list(wanted.document["needs"]), wanted, role, reason)
    render.said(f"revoked: the approval as {role} by {signed['principal']}", signed, as_json=wants_json(ctx))


@command.command(name="countersign", epilog="Example: irctl approvals countersign 7f3a01 --as security")
@click.argument("run", shell_complete=complete_run)
@role_option()
@click.pass_context
def countersign(ctx: click.Context, run: str, role: str) -> None:
    """Sign that you have seen RUN, which broke the glass: it went ahead without its approvals."""
    settings = settings_of(ctx)
    signed = break_glass.countersign(settings, runs.find(settings.home_path, run), role)
    render.said(f"countersigned as {role} by {signed['principal']}", signed, as_json=wants_json(ctx))
