"""Nobody goes on working for a run that is over: its processes are found however they detached, and die with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from types import FrameType

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
MOST_GRACE = 120.0  # seconds
PARENT_IS_GONE = signal.SIGUSR1  # not SIGTERM, which Ansible takes for itself


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(option, value)


def adopt_orphans() -> None:
    """Let processes whose parent ended become this process's children, not init's, so that kill_children finds them."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """When the parent, of this process id, is gone, even by kill -9, kill everything below this process and end it."""

    def parent_is_gone(number: int, frame: FrameType | None) -> None:
        for other in (PARENT_IS_GONE, signal.SIGHUP):  # both come, and the second would find the first half done
            signal.signal(other, signal.SIG_IGN)
        try:
            kill_children()
        finally:  # an error must not go up into what was just being done, which would catch it and go on
            os._exit(1)

    adopt_orphans()
    for number in (PARENT_IS_GONE, signal.SIGHUP):  # its terminal is the parent's, and is hung up first
        signal.signal(number, parent_is_gone)
    _prctl(PR_SET_PDEATHSIG, PARENT_IS_GONE)
    if os.getppid() != parent:  # it was gone before the kernel knew that this process wants to be told
        os._exit(1)
    os.register_at_fork(after_in_child=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL))


def prepare() -> None:
    """Import what kill_children needs; within a handler, another signal would find that half imported."""
    import psutil as psutil


def kill_children() -> None:
    """Kill every process below this one, and look again until there is none: a fork may come between.

    All are stopped before one is killed: a shell whose command is killed first would go on with its next command. Programs that are
    marked with a grace in their environment are asked to end and waited for that long, with what they start to put things back.
    """
    import psutil

    def tell(children: list[psutil.Process], number: int) -> None:
        for child in children:
            try:
                child.send_signal(number)
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied:  # of another user, by sudo: it ends when it finds its pipes closed
                beyond.add(child.pid)

    def at_work() -> list[psutil.Process]:
        return [one for one in psutil.Process().children(recursive=True) if one.pid not in beyond and _works(one)]

    seen: set[int] = set()
    beyond: set[int] = set()
    until: dict[int, float] = {}  # when the grace of a process is over
    while children := at_work():
        fresh = [child for child in children if child.pid not in seen]
        graces = {child.pid: grace for child in fresh if (grace := _grace(child))}
        tell([child for child in fresh if child.pid not in graces], signal.SIGSTOP)
        tell(
            [child for child in fresh if child.pid in graces and _parent(child) not in graces.keys() | until.keys()], signal.SIGTERM
        )
        until |= {pid: time.monotonic() + grace for pid, grace in graces.items()}
        seen |= {child.pid for child in fresh}
        if not fresh:
            tell([child for child in children if until.get(child.pid, 0.0) < time.monotonic()], signal.SIGKILL)
            time.sleep(0.005)


def _grace(process: object) -> float:
    """For how many seconds a program may go on after it was asked to end; see module_utils/programs.py."""
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        return min(float(process.environ().get("IRCTL_GRACE", "0")), MOST_GRACE)
    except (psutil.Error, OSError, ValueError):
        return 0.0


def _parent(process: object) -> int:
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return 0


def _works(process: object) -> bool:
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
