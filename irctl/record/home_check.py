"""Whether a home still has the records that its journal knows: what `irctl doctor` says about them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.errors import EvidenceError
from irctl.record import anchored_check, locks
from irctl.record.known import Known, known
from irctl.record.manifest_format import INCIDENT_ID, MANIFEST, RUN_ID, read_file
from irctl.record.verify_command import visible


def faults(home: Path) -> Iterator[str]:
    """A sentence for each record that is gone, or has not the seal that the journal knows. Raises EvidenceError."""
    by_home = known(home)
    yield from _run_faults(home, by_home)
    yield from _incident_faults(home, by_home)


def _run_faults(home: Path, by_home: Known) -> Iterator[str]:
    there = _names(home / "runs", RUN_ID)
    for run in sorted({*by_home.started, *by_home.runs, *there}):
        if not RUN_ID.fullmatch(run):
            yield f"the journal names a run that is none: {visible(run)[:80]}"
            continue
        manifests = by_home.runs.get(run, [])
        if locks.is_lock(home / "open" / run):
            continue  # under way, or found and sealed by the next command
        if run not in there:
            yield f"the record of run {visible(run)} is gone"
        elif len(manifests) > 1:
            yield f"run {run} has {len(manifests)} seals in the journal, and a run is sealed once"
        elif _digest(home / "runs" / run) not in manifests:
            yield f"the seal of run {run} is not the one that the journal knows"


def _incident_faults(home: Path, by_home: Known) -> Iterator[str]:
    there = _names(home / "incidents", INCIDENT_ID)
    for incident, heads in sorted(by_home.heads.items()):
        folder = home / "incidents" / incident
        if not INCIDENT_ID.fullmatch(incident):
            yield f"the journal names an incident that is none: {visible(incident)[:80]}"
            continue
        if incident not in there:
            yield f"the record of incident {visible(incident)} is gone"
            continue
        for one in anchored_check.head_differences(folder, heads):
            yield f"incident {incident}: {one}"
        packs = list(by_home.packs.get(incident, {}))
        if packs and not paths.exists(home / "staging" / f"pack-{incident}") and _digest(folder) != packs[-1]:
            yield f"the seal of incident {incident} is not the newest that the journal knows"


def _names(folder: Path, pattern: re.Pattern[str]) -> set[str]:
    try:
        return {path.name for path in folder.iterdir() if pattern.fullmatch(path.name) and paths.is_folder(path)}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be read: {error.strerror}") from None


def _digest(folder: Path) -> str:
    """The sha256 of a folder's manifest; '' where it has none that can be read."""
    try:
        return hashlib.sha256(read_file(folder / MANIFEST)).hexdigest()
    except OSError:
        return ""
