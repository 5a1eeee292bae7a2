"""One run for each target at a time: kernel locks on files in the home, freed when their process ends, however it ends."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from irctl.errors import Busy


def hold(path: Path, note: str = "") -> int | None:
    """Lock the file, made if need be, and write note into it; return its descriptor, or None where another holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, note.encode(), 0)
    return descriptor


def hold_targets(home: Path, service: str, hosts: Iterable[str], run: str) -> list[int]:
    """Lock the service on every host for this run, or none of them. Raises Busy with the run that holds one."""
    held: list[int] = []
    for host in sorted(hosts):
        path = home / "locks" / f"{service}-{hashlib.sha256(host.encode()).hexdigest()[:24]}"
        descriptor = hold(path, run)
        if descriptor is None:
            release(held)
            holder = path.read_text().strip() or "another run"
            raise Busy(f"{host} is busy: {holder} works on its {service}. Wait for it to end, or look: irctl runs")
        held.append(descriptor)
    return held


def release(held: Iterable[int]) -> None:
    for descriptor in held:
        os.close(descriptor)
