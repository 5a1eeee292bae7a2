"""irctl incident pack: seal an incident's folder as its evidence pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from irctl.cli.base import remind, settings_of, wants_json
from irctl.cli.incident_argument import chosen, one_incident
from irctl.errors import DONE, EVIDENCE

if TYPE_CHECKING:
    from irctl.incidents.pack import Packed


def register(group: click.Group) -> None:
    """Add `pack` to `irctl incident`."""

    @group.command(name="pack", epilog="Example: irctl incident pack INC-2026-1121-001")
    @one_incident
    @click.option("--timestamp", is_flag=True, help="Get an RFC 3161 timestamp from the authority at timestamp_url.")
    @click.option("--unsigned", is_flag=True, help="Do not sign it with signing_key.")
    @click.pass_context
    def pack(ctx: click.Context, incident: str | None, timestamp: bool, unsigned: bool) -> int:
        """Render its records, gather its runs, seal and sign all of it, and say what is still missing.

        What was packed before can be packed again, after more has happened: each pack names the one before.
        """
        from irctl.incidents import pack as packing

        settings = settings_of(ctx)
        remind(settings.home_path)
        found = chosen(ctx, incident)
        done = packing.pack(settings.home_path, found, settings, sign=not unsigned, stamp=timestamp)
        _print(done, as_json=wants_json(ctx))
        return EVIDENCE if done.troubles else DONE


def _print(done: Packed, *, as_json: bool) -> None:
    from irctl.cli import render

    signed, stamp = done.about["signed"], bool(done.about["timestamp"])
    if as_json:
        head = {"schema": "irctl/pack/1", "incident": done.incident, "folder": str(done.folder), "manifest": done.manifest}
        more = {"files": len(done.about["files"]), "signed": signed, "timestamp": stamp, "missing": done.missing}
        render.as_object({**head, "sealed": done.about["sealed"], **more, "troubles": done.troubles})
        return
    for trouble in done.troubles:
        click.echo(click.style(trouble, fg="red"))
    click.echo(f"{done.incident} is sealed{' and signed' if signed else ''}: {len(done.about['files'])} files")
    click.echo(f"  signed with {signed}" if signed else click.style("  NOT signed", fg="yellow"))
    if stamp:
        click.echo("  with a timestamp")
    for lacking in done.missing:
        click.echo(f"  still missing: {lacking}")
    click.echo(f"pack: {done.folder}\nits hash, to be noted elsewhere: {done.manifest}")
    click.echo(f"check it, or a copy: irctl evidence verify {done.incident}, or without irctl: python3 verify.py FOLDER")
