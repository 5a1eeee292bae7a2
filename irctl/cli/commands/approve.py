"""irctl approve PLAN: show exactly what would run, and sign it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.approvals import kept, plan, request
from irctl.catalog import catalog
from irctl.catalog.catalog import Remediation
from irctl.catalog.config import Settings
from irctl.cli import options, render
from irctl.cli.base import Command, remind, settings_of, wants_json
from irctl.cli.commands.remediate import complete_request
from irctl.errors import Invalid, Refused
from irctl.record import documents, signing

if TYPE_CHECKING:
    from irctl.approvals.request import Request


def role(text: str) -> str:
    """Check the name of a role. Raises ValueError."""
    if not signing.ROLE.fullmatch(text):
        raise ValueError("the name of a role is needed, such as incident-commander")
    return text


def role_option() -> Callable[[Any], Any]:
    return click.option("--as", "role", type=options.Value("ROLE", role), required=True, metavar="ROLE",
                        help="The role in which you sign. Example: --as incident-commander")  # fmt: skip


def as_planned(settings: Settings, wanted: Request) -> Remediation:
    """The remediation of a request, as it is on this machine. Raises Refused where that is not what was planned."""
    found = catalog.load(wanted.remediation, settings.contents)
    if plan.digest(found) != wanted.plan["content"]:
        raise Refused("the content here is not what was planned: the playbook, the role or a plugin is another")
    if kept.roles_of(found) != wanted.document["needs"]:
        raise Refused(f"the request says that it needs {wanted.document['needs']}, and it needs {kept.roles_of(found)}")
    return found


@click.command(cls=Command, name="approve", epilog="Example: irctl approve 3f9a1c20b7de --as incident-commander")
@click.argument("plan", shell_complete=complete_request)
@role_option()
@click.option("--yes", is_flag=True, help="Do not ask; I have looked.")
@click.option("--out", type=click.Path(), metavar="FILE", help="Write the approval to FILE, to be carried, and keep none here.")
@click.pass_context
def command(ctx: click.Context, plan: str, role: str, yes: bool, out: str | None) -> None:
    """Show exactly what would run, and sign it with your own key. PLAN is a plan file, or the start of a request's id."""
    settings = settings_of(ctx)
    remind(settings.home_path)
    wanted = request.find(settings.home_path, plan)
    found = as_planned(settings, wanted)
    kept.require_may(settings, kept.roles_of(found), wanted, role)
    if not wants_json(ctx):
        show(found, wanted)
    _confirm(wanted, role, yes=yes)
    record = kept.approve(settings, wanted, role)
    if out:
        documents.create(Path(out), dict(record), "--out")
    else:
        kept.keep(settings, wanted, record)
    where = f" in {out}" if out else ""
    render.said(f"approved as {role} by {record['principal']}{where}", record, as_json=wants_json(ctx))


def _confirm(wanted: Request, role: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid("--yes: there is no terminal to ask on; look at what would run, then say --yes")
    if not click.confirm(f"Approve exactly this as {role}?", err=True):
        raise Refused("not approved; nothing was signed")


def show(found: Remediation, wanted: Request) -> None:
    """All that an approver has to know, with nothing in it that a terminal would act on."""
    about, document = found.about, wanted.document
    click.echo(f"{click.style(found.name, bold=True)}: {found.summary}\n")
    rows = [
        ("impact", values.printable(about["impact"])),
        ("can be undone", "yes" if about["reversible"] else "NO"),
        ("ends by itself", f"after {values.duration(document['lease'])}" if document["lease"] else "no"),
        ("incident", wanted.incident or "none"),
        ("requested by", values.printable(wanted.requester)),
        ("reason", json.dumps(document["reason"], ensure_ascii=True)),
        ("needs", " and ".join(document["needs"]) or "nobody"),
        ("expires", document["expires"]),
        ("content", f"{wanted.plan['content']} (the same here)"),
        ("plan", document["plan_hash"]),
        ("request", wanted.id),
    ]
    render.table(rows)
    for host, settings in wanted.plan["hosts"].items():
        tried = document["dry_run"]["hosts"].get(host, {"outcome": "not tried", "reason": ""})
        word = {"changed": "would change"}.get(tried["outcome"], tried["outcome"])
        said = values.printable(f"{word}  {tried['reason']}")
        click.echo(f"\n{values.printable(host)}  dry run: {said}")
        render.table([f"  {values.printable(name)}", json.dumps(value)] for name, value in sorted(settings.items()))
    click.echo()
