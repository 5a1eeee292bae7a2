"""One run for each target at a time: kernel locks on files in the home, freed when their process ends, however it ends."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.errors import Busy, EvidenceError
from irctl.record.folders import make_folder


def hold(path: Path, note: str = "", *, make: bool = True) -> int | None:
    """Lock the file, made if need be, and write note into it; return its descriptor, or None where another holds it.

    Raises FileNotFoundError where it is not there and not to be made, and EvidenceError where it cannot be opened.
    """
    try:
        make_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if make else 0) | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if not make and isinstance(error, FileNotFoundError):
            raise
        raise EvidenceError(f"{printable(path, 120)} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, note.encode(), 0)
    return descriptor


def is_lock(path: Path) -> bool:
    """Whether a regular file is there, which alone can be locked; not what a link leads to. Raises OSError."""
    status = paths.status(path, follow=False)
    return status is not None and stat.S_ISREG(status.st_mode)


def hold_targets(home: Path, service: str, names: Iterable[str], run: str) -> list[int]:
    """Lock the service on every host or group named, for this run, or none of them. Raises Busy with the run that holds one."""
    held: list[int] = []
    for name in sorted(set(names)):
        descriptor = hold(_path(home, service, name), run)
        if descriptor is None:
            release(held)
            raise _busy(home, service, name)
        held.append(descriptor)
    return held


def require_free(home: Path, service: str, names: Iterable[str]) -> None:
    """Raises Busy at once where a name is held as it was typed, before an inventory is read. Writes nothing."""
    for name in names:
        if paths.exists(_path(home, service, name)):
            release(hold_targets(home, service, [name], ""))


def _path(home: Path, service: str, name: str) -> Path:
    return home / "locks" / f"{service}-{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def _busy(home: Path, service: str, name: str) -> Busy:
    holder = _path(home, service, name).read_text().strip() or "another run"
    return Busy(f"{name} is busy: {holder} works on its {service}. Wait for it to end, or look: irctl runs")


def release(held: Iterable[int]) -> None:
    for descriptor in held:
        os.close(descriptor)
