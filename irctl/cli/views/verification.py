"""What checking a sealed record or pack found."""

from __future__ import annotations

from pathlib import Path

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.cli import render
from irctl.record.anchored_check import Checked
from irctl.record.folder_check import UNPROVED


def show(folder: Path, checked: Checked, hold: str, *, as_json: bool) -> None:
    """Print each difference on a line of its own, then the verdict. `hold` is the reason of a legal hold, or ''."""
    if as_json:
        _show_object(checked, hold)
        return
    for difference in checked.differences:
        click.echo(click.style(f"{difference.kind:<8} {printable(folder / difference.name)}", fg="red"))
    click.echo(_verdict(checked))
    if "incident" in checked.manifest and not checked.differences:
        signer = f"  signed by {printable(checked.signer)}" if checked.signer else click.style("  NOT signed", fg="yellow")
        click.echo(signer)
    for note in checked.notes:
        click.echo(f"  {printable(note)}")
    if hold:
        click.echo(f"  on legal hold: {printable(hold)}")


def _show_object(checked: Checked, hold: str) -> None:
    manifest = checked.manifest
    rows = [{"kind": one.kind, "name": one.name.encode("utf-8", "backslashreplace").decode()} for one in checked.differences]
    render.as_object(
        {
            "schema": "irctl/verification/1",
            "incident" if "incident" in manifest else "run": checked.name,
            "sealed": manifest["sealed"],
            "intact": not _broken(checked),
            "anchored": checked.anchored,
            "manifest": checked.digest,
            "signer": checked.signer or None,
            "held": hold or None,
            "notes": checked.notes,
            "differences": rows,
        }
    )


def _verdict(checked: Checked) -> str:
    manifest, number = checked.manifest, len(checked.differences)
    as_sealed = f"as it was sealed at {manifest['sealed']}"
    if number and {difference.kind for difference in checked.differences} == {"older"}:
        return f"{checked.name} is {as_sealed}, but it is NOT the newest pack"
    if number and not _broken(checked):
        return f"{checked.name} is {as_sealed}, but it is NOT proved as required"
    if number:
        return f"{checked.name} is NOT {as_sealed}: {number} difference{'s' if number > 1 else ''}"
    matching = f"{len(manifest['files'])} files match"
    if "incident" in manifest:
        lines = manifest["journal"]["seq"]
        matching = f"{len(manifest['files'])} files and {lines} line{'s' if lines > 1 else ''} of its journal match"
    return f"{checked.name} is {as_sealed}: {matching}, {_anchor(checked)}"


def _broken(checked: Checked) -> bool:
    """Whether anything was seen to differ, where a proof that is only missing is no difference."""
    return any(difference.kind != UNPROVED for difference in checked.differences)


def _anchor(checked: Checked) -> str:
    if checked.noted:
        return "and its hash is the one that was noted"
    return "and the journal knows this manifest" if checked.anchored else "no journal here knows it: UNANCHORED"
