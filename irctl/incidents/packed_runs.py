"""The sealed records of an incident's runs, copied into its pack as they were sealed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.errors import EvidenceError
from irctl.incidents import incidents
from irctl.record import contents, runs, seal
from irctl.record.folders import make_folder
from irctl.record.manifest_format import MANIFEST
from irctl.record.verify_command import visible


def gather(home: Path, incident: str, part: Path) -> list[str]:
    """Copy the records that the pack lacks to part/runs; return a sentence for each that is left out as it is not as sealed."""
    folder, troubles = home / "incidents" / incident, []
    for run, entry in incidents.state(home, incident).runs.items():
        if entry["outcome"] == "under way":
            continue
        source, target = runs.Folder(home, run).path, part / "runs" / run
        try:
            faults = _gather(source, folder / "runs" / run, target, entry.get("manifest"))
        except EvidenceError as error:
            faults = [str(error)]
        if faults:
            shutil.rmtree(target, ignore_errors=True)
            troubles.append(f"run {run} is not packed as it was sealed: {visible(faults[0])}")
    return troubles


def _gather(source: Path, packed: Path, target: Path, promised: str | None) -> list[str]:
    """Copy one record, unless it is packed already. `promised` is its manifest's sha256 as the incident's journal has it."""
    digest = seal.manifest(source)[1]
    faults = _faults(source, promised or digest)
    if not faults and not paths.exists(packed):
        _copy(source, target)
        faults = _faults(target, digest)
    return faults or (_faults(packed, digest) if paths.exists(packed) else [])


def _faults(folder: Path, sealed: str) -> list[str]:
    """How a run's folder differs from the manifest of this hash."""
    manifest, digest = seal.manifest(folder)
    faults = [f"{folder}: {one}" for one in contents.file_differences(folder, manifest)]
    return faults or ([] if digest == sealed else [f"{folder}: {MANIFEST} is not the one that the journal knows"])


def _copy(source: Path, target: Path) -> None:
    """Copy what the manifest of a run lists, and the manifest. Raises OSError."""
    manifest, _ = seal.manifest(source)
    for name in manifest["empty"]:
        make_folder(target / name)
    for name in [*manifest["files"], MANIFEST]:
        make_folder((target / name).parent)
        descriptor = os.open(target / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with (source / name).open("rb") as old, os.fdopen(descriptor, "wb") as new:
            shutil.copyfileobj(old, new, 1 << 20)
            new.flush()
            os.fsync(descriptor)
