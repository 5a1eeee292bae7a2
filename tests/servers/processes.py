"""A server of the tests' own, as a process that outlives the one which starts it: Molecule starts and stops it by two commands."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

SECONDS = 60


class NotStarted(Exception):
    """Its log is the message."""


def start(folder: Path, words: Sequence[str | Path], **environment: str) -> psutil.Process:
    """Start a program that keeps its things and its log below a folder."""
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            words, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        )  # fmt: skip
    found = psutil.Process(process.pid)
    (folder / "pid").write_text(f"{found.pid} {found.create_time()}")
    return found


def stop(folder: Path) -> None:
    """End the server of a folder, if there is one."""
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        pid, began = (folder / "pid").read_text().split()
        process = psutil.Process(int(pid))
        if process.create_time() == float(began):
            process.kill()
            _wait_for_end(process)


def _wait_for_end(process: psutil.Process) -> None:
    """Until it works no more. Another worker of the tests may have started it, who alone can make it vanish."""
    until = time.monotonic() + SECONDS
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            raise psutil.TimeoutExpired(SECONDS, process.pid)
        time.sleep(0.01)


def wait_for(process: psutil.Process, url: str, log: Path, error: bytes = b"") -> None:
    """Until it answers with something that does not hold `error`. Raises NotStarted."""
    until = time.monotonic() + SECONDS
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if not error or error not in answer.read():
                return
        time.sleep(0.05)
    raise NotStarted(f"{url} does not answer: {log.read_text(errors='replace')[-2000:]}")


def wait_for_port(process: psutil.Process, port: int, log: Path) -> None:
    """Until something takes connections there. Raises NotStarted."""
    until = time.monotonic() + SECONDS
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        time.sleep(0.05)
    raise NotStarted(f"nothing listens on port {port}: {log.read_text(errors='replace')[-2000:]}")


def free_ports(number: int) -> list[str]:
    """Ports that nobody has, all at the same moment."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]
