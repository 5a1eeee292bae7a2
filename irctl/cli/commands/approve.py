"""irctl approve PLAN: show exactly what would run, and sign it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from irctl.approvals import kept
from irctl.approvals import request as requests
from irctl.cli import completions, render
from irctl.cli.approval_requests import requested_remediation
from irctl.cli.base import Command, remind, settings_of, wants_json
from irctl.cli.order_options import role_option
from irctl.cli.views import request as view
from irctl.errors import Invalid, Refused
from irctl.record import documents


@click.command(cls=Command, name="approve", epilog="Example: irctl approve 3f9a1c20b7de --as incident-commander")
@click.argument("plan", shell_complete=completions.requests)
@role_option()
@click.option("--yes", is_flag=True, help="Do not ask; I have looked.")
@click.option("--out", type=click.Path(), metavar="FILE", help="Write the approval to FILE, to be carried, and keep none here.")
@click.pass_context
def command(ctx: click.Context, plan: str, role: str, yes: bool, out: str | None) -> None:
    """Show exactly what would run, and sign it with your own key. PLAN is a plan file, or the start of a request's id."""
    settings = settings_of(ctx)
    remind(settings.home_path)
    request = requests.find(settings.home_path, plan)
    remediation = requested_remediation(settings, request)
    kept.require_may(settings, kept.roles_of(remediation), request, role)
    if not wants_json(ctx):
        view.show(remediation, request)
    _confirm(role, yes=yes)
    approval = kept.approve(settings, request, role)
    if out:
        documents.create(Path(out), dict(approval), "--out")
    else:
        kept.keep(settings, request, approval)
    where = f" in {out}" if out else ""
    render.sentence(f"approved as {role} by {approval['principal']}{where}", approval, as_json=wants_json(ctx))


def _confirm(role: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid("--yes: there is no terminal to ask on; look at what would run, then say --yes")
    if not click.confirm(f"Approve exactly this as {role}?", err=True):
        raise Refused("not approved; nothing was signed")
