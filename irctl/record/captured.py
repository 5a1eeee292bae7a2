"""What a run captured, copied for the run that undoes it: what is put back is what was sealed, whatever becomes of the record."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from irctl.errors import EvidenceError
from irctl.record import contents
from irctl.record.runs import Folder
from irctl.record.verify_command import visible

EVIDENCE = "evidence/"


def copy(folder: Folder, to: Path, manifest: Mapping[str, Any] | None) -> None:
    """Copy a run's evidence, and hold the copy against the run's manifest, where it has one. Raises EvidenceError."""
    try:
        shutil.copytree(folder.evidence, to, symlinks=True)
    except OSError as error:
        why = visible(error.strerror or error)[:200]
        raise EvidenceError(f"what {folder.run} captured cannot be copied: {why}; nothing was undone") from None
    if manifest is None:
        return
    if differences := contents.file_differences(to, _of_evidence(manifest)):
        raise EvidenceError(
            f"the record of {folder.run} is not as it was sealed: {visible(differences[0])} in {EVIDENCE}; nothing was undone"
        )


def _of_evidence(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a manifest that is of the evidence, by names from there."""
    files = {name: entry for name, entry in manifest["files"].items() if name.startswith(EVIDENCE)}
    return {
        "files": {name.removeprefix(EVIDENCE): entry for name, entry in files.items()},
        "empty": [name.removeprefix(EVIDENCE) for name in manifest["empty"] if name.startswith(EVIDENCE)],
    }
