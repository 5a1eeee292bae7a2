"""Where a pack is made ready and how it gets into place: as a whole, and finished later where it was killed on its way."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.errors import Busy, EvidenceError
from irctl.incidents import reports
from irctl.record import contents, journal, seal
from irctl.record.folders import make_folder
from irctl.record.manifest_format import MANIFEST, SIGNATURE, TIMESTAMP


def staged(home: Path, incident: str) -> Path:
    """Where a pack is made ready. While it is called .part it does not count; under this name it is to be put in place."""
    return home / "staging" / f"pack-{incident}"


@contextmanager
def at_rest(home: Path, incident: str) -> Iterator[None]:
    """Finish a pack that was killed on its way into place, and keep another from beginning meanwhile. Raises Busy."""
    if paths.exists(staged(home, incident)):
        with locked(home, incident, fcntl.LOCK_EX):
            finish(home, incident)
    with locked(home, incident, fcntl.LOCK_SH):
        yield


@contextmanager
def locked(home: Path, incident: str, mode: int) -> Iterator[None]:
    """Hold the lock of an incident's pack: fcntl.LOCK_EX to write it, LOCK_SH to read it. Raises Busy, EvidenceError."""
    path = home / "locks" / f"pack-{incident}"
    writes = mode == fcntl.LOCK_EX
    try:
        if writes:
            make_folder(path.parent)
        descriptor = os.open(path, (os.O_RDWR | os.O_CREAT if writes else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if writes:
            raise EvidenceError(f"{path} cannot be written: {error.strerror}") from None
        yield  # no pack was ever made here, or none can be
        return
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Busy(f"{incident} is being packed or checked by another irctl. Wait for it to end") from None
    except OSError as error:
        raise EvidenceError(f"{incident} cannot be packed: {error.strerror}: {error.filename or home}") from None
    finally:
        os.close(descriptor)


def finish(home: Path, incident: str) -> None:
    """Put in place what was made ready whole, the manifest last, and tell the home's journal; nothing where there is none."""
    ready, folder = staged(home, incident), home / "incidents" / incident
    if paths.exists(ready / MANIFEST):
        manifest, digest = seal.manifest(ready)
        _tell(home, manifest, digest)
        for name in sorted(contents.contents(ready)[0] - {MANIFEST}):
            _place(ready / name, folder / name, keep=name in reports.BEGUN)
        for name, promised in ((SIGNATURE, manifest["signed"]), (TIMESTAMP, manifest["timestamp"])):
            if not promised:
                (folder / name).unlink(missing_ok=True)
        for name in manifest["empty"]:
            make_folder(folder / name)
        _place(ready / MANIFEST, folder / MANIFEST)
    shutil.rmtree(ready, ignore_errors=True)


def _tell(home: Path, manifest: dict[str, Any], digest: str) -> None:
    """The line in the home's journal by which the pack can be checked later, unless it is there."""
    sealed = {"event": "pack-sealed", "incident": manifest["incident"], "manifest": digest, "previous": manifest["previous"]}
    if not any(sealed.items() <= entry.items() for entry in journal.read(home)):
        journal.append(home, sealed)


def _place(ready: Path, path: Path, *, keep: bool = False) -> None:
    """Move a file to where it belongs, whole; with `keep` only where nobody has put one there meanwhile."""
    make_folder(path.parent)
    if keep:
        with suppress(FileExistsError):
            path.hardlink_to(ready)
        ready.unlink()
    else:
        ready.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
