"""Take files into an incident's folder: below declared roots, never through a link, hashed in the same pass that copies them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.capture.evidence_names import shown
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import FOLDER, sync_folder
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.errors import EvidenceError, Invalid, IrctlError, Refused, invalid
from irctl.incidents import incidents
from irctl.incidents.copying import Copier, Copies, Rules
from irctl.record import runs, seal
from irctl.record.folders import make_folder

LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


@dataclass
class Collected(Copies):
    """What one collection took and what it did not. `into` is within the incident's folder."""

    incident: str = ""
    at: str = ""
    into: str = ""


def collect(
    home: Path, incident: str, paths: Sequence[Path], rules: Rules, by: str, *, logs: bool = False, label: str = ""
) -> Collected:
    """Copy files, and folders with all below them, into the incident's folder. Raises IrctlError, and then nothing was taken."""
    folder = incidents.require(home, incident)
    if incidents.state(home, incident).closed:
        raise Refused(f"{incident} is closed. To add to it: irctl incident reopen {incident} REASON")
    wanted = [_within(path, rules.roots) for path in paths]
    runs.require_room(home)
    now = datetime.now(UTC)
    done = Collected(incident=incident, at=now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    try:
        with _staging(home) as staging:
            copier = Copier(done, staging / "files", rules, home)
            for path in wanted:
                copier.take(path)
            if not done.files:
                raise EvidenceError(_nothing(done))
            _place(done, staging, folder, f"{now:%Y%m%dT%H%M%SZ}", logs, label)
    except OSError as error:
        raise EvidenceError(
            f"it cannot be kept: {error.strerror}: {printable(error.filename or home, 80)}; nothing was taken"
        ) from None
    listing = hashlib.sha256((folder / _listing(done)).read_bytes()).hexdigest()
    totals = {"into": done.into, "files": len(done.files), "bytes": done.bytes, "skipped": len(done.skipped) + done.unlisted}
    sources = [shown(os.fspath(path)) for path in wanted[:20]]
    incidents.record(home, incident, {"event": "collected", "by": by, **totals, "sources": sources, "listing": listing})
    return done


def size(text: str) -> int:
    """Parse a size such as 512KiB, 100MiB or 2GiB. Raises ValueError."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})(B|KiB|MiB|GiB)", text, re.ASCII)
    if not match:
        raise ValueError("a size is a whole number above zero and a unit, such as 512KiB, 100MiB or 2GiB")
    return int(match[1]) << {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[match[2]]


def _within(path: Path, roots: Sequence[Path]) -> Path:
    """The absolute path, where it lies below a root. Raises Invalid."""
    if not roots:
        raise Invalid("--root: at least one folder is needed that evidence may be taken from, such as --root /var/log")
    for option, given in [*(("--root", root) for root in roots), ("PATH", path)]:
        if ".." in given.parts or "\0" in os.fspath(given):
            raise invalid(option, "'..' is refused; write the path that is meant", given)
    if not any(path.absolute().is_relative_to(root.absolute()) for root in roots):
        raise invalid("PATH", f"not below {printable(' or '.join(map(str, roots)), 80)}, which is all that --root allows", path)
    return path.absolute()


@contextmanager
def _staging(home: Path) -> Iterator[Path]:
    """A folder of its own, removed at the end; what a killed collection left is removed at the next one's beginning."""
    parent = home / "staging"
    make_folder(parent)
    for leftover in parent.glob("collect-*"):
        if leftover.stat().st_mtime < time.time() - 60 and (descriptor := _lock(leftover)) is not None:
            shutil.rmtree(leftover, ignore_errors=True)
            os.close(descriptor)
    folder = Path(tempfile.mkdtemp(prefix="collect-", dir=parent))
    descriptor = _lock(folder)
    try:
        (folder / "files").mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _lock(folder: Path) -> int | None:
    try:
        descriptor = os.open(folder, FOLDER)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _nothing(done: Collected) -> str:
    first = done.skipped[0] if done.skipped else None
    more = f" and {len(done.skipped) + done.unlisted - 1} more" if len(done.skipped) > 1 else ""
    return f"nothing was taken: {shown(first.path)}: {first.reason}{more}" if first else "nothing was taken: there are no files"


# Keeping


def _place(done: Collected, staging: Path, folder: Path, when: str, logs: bool, label: str) -> None:
    """Put what was taken into the incident's folder: one log under its label, everything else in a folder of its own."""
    stem = f"{label}-{when}" if label else when
    taken = done.files
    if logs and label and len(taken) == 1:
        _place_log(done, staging / "files" / taken[0].name, folder, stem)
        return
    parent = folder / ("logs" if logs else "evidence/collected")
    make_folder(parent)
    for name in _names(stem):
        done.into = (parent / name).relative_to(folder).as_posix()
        done.files = [replace(one, name=f"{done.into}/files/{one.name}") for one in taken]
        seal.write(staging / "collected.json", _listed(done))
        try:
            (parent / name).mkdir(mode=0o700)  # rename would replace an empty one of somebody else
        except FileExistsError:
            continue
        staging.rename(parent / name)
        sync_folder(parent)
        return


def _place_log(done: Collected, copy: Path, folder: Path, stem: str) -> None:
    (folder / "logs").mkdir(mode=0o700, exist_ok=True)
    for name in _names(stem):
        done.into = f"logs/{name}.log"
        done.files = [replace(done.files[0], name=done.into)]
        try:
            (folder / done.into).hardlink_to(copy)
        except FileExistsError:
            continue
        copy.unlink()
        seal.write(folder / _listing(done), _listed(done))
        return


def _names(stem: str) -> Iterator[str]:
    """20261121T022311Z, and where another collection has that, 20261121T022311Z-2 and so on."""
    yield stem
    yield from (f"{stem}-{number}" for number in range(2, 1000))
    raise IrctlError(f"there are a thousand collections called {stem}")


def _listing(done: Collected) -> str:
    return done.into.removesuffix(".log") + ".json" if done.into.endswith(".log") else f"{done.into}/collected.json"


def document(done: Collected) -> dict[str, Any]:
    """What was taken from where, and what was not and why: what --json prints and collected.json keeps."""
    files = [{**asdict(one), "source": shown(one.source)} for one in done.files]
    skipped = [{"source": shown(one.path), "reason": one.reason} for one in done.skipped]
    head = {"schema": "irctl/collected/1", "incident": done.incident, "at": done.at, "into": done.into}
    return {**head, "files": files, "skipped": skipped, "unlisted": done.unlisted}


def _listed(done: Collected) -> bytes:
    return (json.dumps(document(done), indent=1, ensure_ascii=False) + "\n").encode()
