"""A server that all workers of one run of the tests have together: the first who needs it starts it, the last one stops it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest


def place(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder of the whole run's, whichever worker asks."""
    base = factory.getbasetemp()
    found = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    found.mkdir(exist_ok=True)
    return found


@contextmanager
def shared(folder: Path, start: Callable[[Path], str], stop: Callable[[Path], None]) -> Iterator[str]:
    """The address of a server that keeps its things below a folder. Who uses it is written down there, so that one who is
    killed is not waited for.
    """
    server, address = folder / "server", folder / "address"
    own = folder / f"user-{os.getpid()}"
    with alone(folder):
        if not address.exists():
            shutil.rmtree(server, ignore_errors=True)  # of one that did not start
            server.mkdir()
            address.write_text(start(server))
        own.touch()
    try:
        yield address.read_text()
    finally:
        with alone(folder):
            own.unlink()
            if not any(psutil.pid_exists(int(user.name.partition("-")[2])) for user in folder.glob("user-*")):
                address.unlink()
                stop(server)
                shutil.rmtree(server)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only process that starts or stops what is in a folder."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
