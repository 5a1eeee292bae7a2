"""The folders of runs in a home: made before anything runs, sealed after, and found again when their process was killed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.errors import EvidenceError, Invalid, invalid
from irctl.record import journal, locks, seal
from irctl.record.folders import make_folder
from irctl.record.known import known
from irctl.record.manifest_format import read_file
from irctl.record.seal import RUN_ID

ROOM = 32 << 20  # bytes that must be free before a run begins
RESERVE = 1 << 20  # bytes kept back for the end of the record, should the disk fill up meanwhile
LAST = "last"  # in the place of an id: the newest run


def folder_of_host(host: str) -> str:
    """What the folder of a host is called below `evidence`, as the role `run` has it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", host)


@dataclass(frozen=True)
class Folder:
    """One run's folder, and the lock that says its process lives."""

    home: Path
    run: str

    @property
    def path(self) -> Path:
        return self.home / "runs" / self.run

    @property
    def evidence(self) -> Path:
        return self.path / "evidence"

    @property
    def reserve(self) -> Path:
        return self.path / "reserve"

    @property
    def marker(self) -> Path:
        """Held by the run's process; it stays when the process is killed, until the next command finds it."""
        return self.home / "open" / self.run

    def document(self, name: str) -> dict[str, Any]:
        """Read run.json or result.json. Raises EvidenceError."""
        try:
            read: dict[str, Any] = json.loads(read_file(self.path / name))
            return read
        except (OSError, ValueError, RecursionError) as error:
            raise EvidenceError(f"{self.path / name} cannot be read: {error}") from None


def require_room(home: Path) -> None:
    """Raises EvidenceError where the disk of the home has no room for a record."""
    place = home
    while not paths.exists(place):
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < ROOM:
        raise EvidenceError(f"{printable(home, 80)} has {free >> 20} MiB free and a record needs {ROOM >> 20}; nothing was run")


def begin(folder: Folder, document: dict[str, Any]) -> int:
    """Make the folder and write run.json, fsynced, and the journal's line; return the marker's lock. Raises EvidenceError."""
    about = {key: document[key] for key in ("run", "remediation", "incident", "check", "plan_hash")}
    try:
        make_folder(folder.path.parent)
        held = locks.hold(folder.marker, str(os.getpid()))
        folder.path.mkdir(mode=0o700)
        folder.evidence.mkdir(mode=0o700)
        seal.write(folder.path / "run.json", _pretty(document))
        _keep_back(folder.reserve)
        journal.append(folder.home, {"event": "run-started", **about, "hosts": sorted(document["hosts"])})
    except EvidenceError:
        _give_up(folder)
        raise
    except OSError as error:
        _give_up(folder)
        raise EvidenceError(f"{folder.path} cannot be written: {error.strerror}") from None
    assert held is not None
    return held


def _give_up(folder: Folder) -> None:
    """Take away what was made of a run that is not begun, lest it be found and called killed."""
    shutil.rmtree(folder.path, ignore_errors=True)
    with suppress(OSError):
        folder.marker.unlink()


def _keep_back(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, RESERVE)
    finally:
        os.close(descriptor)


def finish(folder: Folder, result: dict[str, Any]) -> str:
    """Write result.json, seal the folder and say so in the journal; return the manifest's sha256. Raises EvidenceError."""
    try:
        folder.reserve.unlink(missing_ok=True)
        if paths.exists(folder.path / seal.MANIFEST) and (sealed := _sealed_before(folder)):
            return sealed
        seal.write(folder.path / "result.json", _pretty(result))
        sealed = seal.seal(folder.path, folder.run)
    except OSError as error:
        raise EvidenceError(f"{folder.path} cannot be written: {error.strerror}") from None
    journal.append(folder.home, {"event": "run-sealed", "run": folder.run, "outcome": result["outcome"], "manifest": sealed})
    return sealed


def _sealed_before(folder: Folder) -> str:
    """The manifest that the journal has of a run already, '' where it has none: its process was killed right after."""
    manifests = known(folder.home).runs.get(folder.run, [])
    return manifests[0] if manifests else ""


def close(folder: Folder) -> None:
    """Nothing is left to do for this run; before that, whoever finds it killed does the rest."""
    folder.marker.unlink(missing_ok=True)


def killed(home: Path) -> Iterator[tuple[Folder, int]]:
    """The runs whose process is gone without having closed them, each with its marker's lock held for the caller."""
    for marker in _inside(home / "open"):
        if RUN_ID.fullmatch(marker.name) and locks.is_lock(marker) and (held := locks.hold(marker)) is not None:
            if paths.exists(marker):
                yield Folder(home, marker.name), held
            else:
                os.close(held)


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EvidenceError(f"{printable(folder, 80)} cannot be read: {error.strerror}") from None


def listed(home: Path) -> list[Folder]:
    """All runs of a home, newest first."""
    found = [Folder(home, path.name) for path in _inside(home / "runs") if RUN_ID.fullmatch(path.name)]
    return sorted(found, key=lambda folder: folder.run, reverse=True)


def find(home: Path, run: str) -> Folder:
    """The run of this id, or of the only id that begins or ends so; the newest one for `last`. Raises Invalid."""
    if run == LAST:
        return newest(listed(home))
    if not re.fullmatch(r"[A-Za-z0-9-]{1,90}", run, re.ASCII):
        raise invalid("RUN", "not the id of a run; `irctl runs` lists them", run)
    near = [folder for folder in listed(home) if folder.run == run] or [
        folder for folder in listed(home) if folder.run.startswith(run) or folder.run.endswith(f"-{run}")
    ]
    if len(near) != 1:
        raise Invalid(f"RUN: {'more than one run is' if near else 'no run is'} called '{run}'; `irctl runs` lists them")
    return near[0]


def newest(folders: Iterable[Folder]) -> Folder:
    """The first of some that are listed newest first. Raises Invalid where there is none."""
    first = next(iter(folders), None)
    if first is None:
        raise Invalid("RUN: there is no such run")
    return first


def _pretty(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def open_steps(folder: Folder) -> IO[str]:
    """Make the 0600 file that the steps of a run are written to as they come. Raises OSError."""
    descriptor = os.open(folder.path / "steps.jsonl", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8")


def write_step(folder: Folder, steps: IO[str], step: dict[str, Any]) -> None:
    """Add one line, from what was kept back where the disk is full by now. Raises OSError."""
    line = json.dumps({"at": journal.utc(), **step}, ensure_ascii=False) + "\n"
    try:
        steps.write(line)
        steps.flush()
    except OSError:
        folder.reserve.unlink(missing_ok=True)
        steps.flush()


def last_steps(folder: Folder) -> dict[str, str]:
    """The phase that each host stopped in, and by '' the one that was under way; a damaged or cut line is passed over."""
    last: dict[str, str] = {}
    try:
        lines = read_file(folder.path / "steps.jsonl").splitlines()
    except OSError:
        return last
    for line in lines:
        try:
            step = json.loads(line)
            host, phase, status = str(step["host"]), str(step["phase"]), step["status"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if not host:
            last[""] = phase
        elif status != "ok":
            last.setdefault(host, phase)  # its rescue fails too, in Report
    return last
