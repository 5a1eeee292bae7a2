"""The worker processes of a running nginx, and whether a reload has put new ones in their place."""

from __future__ import annotations

import glob
import time
from collections.abc import Sequence
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import programs
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

PATIENCE = 15.0  # seconds for new workers to come up
WORKS = "nginx: worker process"


class Worker(NamedTuple):
    """A process; a number alone may be another's by now. `started` is in ticks of the kernel's, whose beginning does not matter."""

    pid: int
    started: int


def of(path: str) -> Workers:
    """Those of the nginx whose pid file this is. Raises Failure."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(20).strip()
    except FileNotFoundError:
        raise Failure(f"nginx does not run: there is no {printable(path)}, which would name its process.") from None
    except OSError as error:
        raise Failure(f"Whether nginx runs cannot be told: {printable(path)} cannot be read ({error.strerror}).") from None
    if not text.isdigit() or not _title(int(text)).startswith("nginx: master process"):
        raise Failure(f"nginx does not run: the process that {printable(path)} names is none of it.")
    return Workers(int(text))


class Workers:
    """The workers of one master process."""

    def __init__(self, master: int) -> None:
        self._master = master

    def renew(self, reload: Sequence[str]) -> None:
        """Reload, and wait until only new workers serve. Raises Failure where they do not come up."""
        before = self._serving()
        programs.output(reload)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            now = self._serving()
            if now and not now & before:
                return
            time.sleep(0.02)
        raise Failure(f"nginx still serves by its old configuration, {PATIENCE:.0f} s after the reload; its error log says why.")

    def _serving(self) -> set[Worker]:
        workers = set()
        for path in glob.iglob("/proc/[0-9]*/stat"):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    words = file.read().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            pid = int(path.split("/")[2])
            if int(words[1]) == self._master and words[0] != "Z" and _title(pid) == WORKS:
                workers.add(Worker(pid, int(words[19])))
        return workers


def _title(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(200).replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""
