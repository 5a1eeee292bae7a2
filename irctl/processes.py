"""Nobody goes on working for a run that is over: its processes are found however they detached, and die with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from types import FrameType

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
PARENT_IS_GONE = signal.SIGUSR1  # not SIGTERM, which Ansible takes for itself


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(option, value)


def adopt_orphans() -> None:
    """Let processes whose parent ended become this process's children, not init's, so that kill_children finds them."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """When this process's parent is gone, even by kill -9, kill everything below this process and end it."""

    def parent_is_gone(number: int, frame: FrameType | None) -> None:
        kill_children()
        os._exit(1)

    adopt_orphans()
    signal.signal(PARENT_IS_GONE, parent_is_gone)
    _prctl(PR_SET_PDEATHSIG, PARENT_IS_GONE)
    os.register_at_fork(after_in_child=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL))


def kill_children() -> None:
    """Kill every process below this one, and look again until there is none: a fork may come between. None is waited for."""
    import psutil

    def alive() -> list[psutil.Process]:
        return [child for child in psutil.Process().children(recursive=True) if _works(child)]

    while children := alive():
        for child in children:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.005)


def _works(process: object) -> bool:
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
