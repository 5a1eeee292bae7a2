"""irctl incident pack: seal an incident's folder as its evidence pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.cli.base import Command, remind, settings_of, wants_json
from irctl.cli.incident_arguments import chosen_id, incident_argument
from irctl.errors import DONE, EVIDENCE

if TYPE_CHECKING:
    from irctl.incidents.pack import Packed


@click.command(cls=Command, name="pack", epilog="Example: irctl incident pack INC-2026-1121-001")
@incident_argument
@click.option("--timestamp", is_flag=True, help="Get an RFC 3161 timestamp from the authority at timestamp_url.")
@click.option(
    "--tar",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Put the pack into one file too, to be handed on. Example: --tar INC-2026-1121-001.tar",
)
@click.option("--unsigned", is_flag=True, help="Do not sign it with signing_key.")
@click.pass_context
def pack(ctx: click.Context, incident: str | None, timestamp: bool, file: Path | None, unsigned: bool) -> int:  # fmt: skip
    """Render its records, gather its runs, seal and sign all of it, and say what is still missing.

    What was packed before can be packed again, after more has happened: each pack names the one before.
    """
    from irctl.incidents import pack as packs
    from irctl.incidents import pack_file, pack_place

    settings = settings_of(ctx)
    remind(settings.home_path)
    if file:
        pack_file.require_new(file, "--tar")
    packed = packs.pack(settings.home_path, chosen_id(ctx, incident), settings, sign=not unsigned, stamp=timestamp)
    tar = None
    if file:
        with pack_place.at_rest(settings.home_path, packed.incident):
            tar = {"path": str(file), "sha256": pack_file.write(packed.folder, file)}
    _print(packed, tar, as_json=wants_json(ctx))
    return EVIDENCE if packed.troubles else DONE


def _print(packed: Packed, tar: dict[str, str] | None, *, as_json: bool) -> None:
    from irctl.cli import render

    files, signed, timestamp = len(packed.manifest["files"]), packed.manifest["signed"], bool(packed.manifest["timestamp"])
    if as_json:
        head = {"schema": "irctl/pack/1", "incident": packed.incident, "folder": str(packed.folder), "manifest": packed.digest}
        contents = {"files": files, "signed": signed, "timestamp": timestamp, "missing": packed.missing}
        render.as_object({**head, "sealed": packed.manifest["sealed"], **contents, "troubles": packed.troubles, "tar": tar})
        return
    for trouble in packed.troubles:
        click.echo(click.style(trouble, fg="red"))
    click.echo(f"{packed.incident} is sealed{' and signed' if signed else ''}: {files} files")
    click.echo(f"  signed with {signed}" if signed else click.style("  NOT signed", fg="yellow"))
    if timestamp:
        click.echo("  with a timestamp")
    for missing in packed.missing:
        click.echo(f"  still missing: {missing}")
    click.echo(f"pack: {packed.folder}\nits hash, to be noted elsewhere: {packed.digest}")
    if tar:
        click.echo(f"in one file: {printable(tar['path'], 4096)}, sha256 {tar['sha256']}")
    click.echo(f"check it, or a copy: irctl evidence verify {packed.incident}, or without irctl: python3 verify.py FOLDER|FILE.tar")
