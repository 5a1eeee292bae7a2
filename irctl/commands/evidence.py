"""irctl evidence verify: hold a sealed record against its manifest and, where there is one, the journal."""

from __future__ import annotations

from pathlib import Path

import click

from irctl import evidence, journal, render, runs
from irctl.commands import Group, settings_of, wants_json
from irctl.errors import DONE, EVIDENCE, EvidenceError

command = Group(name="evidence", help="Check the sealed record of a run.", epilog="Example: irctl evidence verify RUN")


@command.command(name="verify", epilog="Example: irctl evidence verify ./20261121T022311Z-db-connections-7f3a01")
@click.argument("what", metavar="PATH|RUN")
@click.pass_context
def verify(ctx: click.Context, what: str) -> int:
    """Name what was changed, missing or added in a run's folder since it was sealed. PATH may be a copy anywhere."""
    home = settings_of(ctx).home_path
    folder = Path(what) if _is_folder(what) else runs.find(home, what).path
    about, digest = evidence.manifest(folder)
    found = evidence.differences(folder)
    sealed = _journalled(home, about["run"])
    if sealed not in ("", digest):
        found.append(evidence.Difference("changed", f"{evidence.MANIFEST} (the journal knows another)"))
    render.verified(folder, about, found, anchored=bool(sealed), as_json=wants_json(ctx))
    return EVIDENCE if found else DONE


def _is_folder(what: str) -> bool:
    try:
        return bool(what) and Path(what).is_dir()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _journalled(home: Path, run: str) -> str:
    """The manifest's hash as the journal of this home has it, or ''. Raises EvidenceError for a broken journal."""
    found = ""
    try:
        for entry in journal.read(home):
            if entry.get("event") == "run-sealed" and entry.get("run") == run:
                found = entry["manifest"]
    except KeyError as error:
        raise EvidenceError(f"the journal lacks {error}") from None
    return found
