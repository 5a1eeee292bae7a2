"""The worker processes of a running nginx: how old they are, and whether a reload has put new ones in their place."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import programs
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

PATIENCE = 15.0  # seconds for new workers to come up
WORKS = "nginx: worker process"
_TICKS = os.sysconf("SC_CLK_TCK")


class Worker(NamedTuple):
    pid: int
    started: float  # seconds after boot


def of(path: str, test: Sequence[str]) -> Workers:
    """Those of the nginx whose pid file this is; where the configuration names none, the built-in one. Raises Failure."""
    path = path or _built_in(test)
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(20).strip()
    except OSError as error:
        raise Failure(f"nginx does not run: {printable(path)} cannot be read ({error.strerror}).") from None
    if not text.isdigit() or not _title(int(text)).startswith("nginx: master process"):
        raise Failure(f"nginx does not run: the process that {printable(path)} names is none of it.")
    return Workers(int(text))


def _built_in(test: Sequence[str]) -> str:
    printed = programs.output(["-V" if word == "-t" else word for word in test], errors=True)
    match = re.search(r"--pid-path=(\S+)", printed)
    if not match:
        raise Failure("Which process nginx is cannot be told: its configuration has no pid line.")
    return match[1]


class Workers:
    """The workers of one master process."""

    def __init__(self, master: int) -> None:
        self._master = master

    def age(self) -> float:
        """How many seconds ago the oldest of those that serve started. Raises Failure where none does."""
        started = [worker.started for worker in self._serving()]
        if not started:
            raise Failure("nginx has no worker that serves.")
        return _uptime() - min(started)

    def renew(self, reload: Sequence[str]) -> None:
        """Reload, and wait until only new workers serve. Raises Failure where they do not come up."""
        before = {worker.pid for worker in self._serving()}
        programs.output(reload)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            now = {worker.pid for worker in self._serving()}
            if now and not now & before:
                return
            time.sleep(0.02)
        raise Failure(f"nginx still serves by its old configuration, {PATIENCE:.0f} s after the reload; its error log says why.")

    def _serving(self) -> Iterator[Worker]:
        for path in glob.iglob("/proc/[0-9]*/stat"):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    words = file.read().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            pid = int(path.split("/")[2])
            if int(words[1]) == self._master and words[0] != "Z" and _title(pid) == WORKS:
                yield Worker(pid, int(words[19]) / _TICKS)


def _title(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(200).replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _uptime() -> float:
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])
