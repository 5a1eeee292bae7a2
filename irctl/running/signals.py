"""INT, TERM and a hang-up end irctl with one line, from its first moment on; but never between a run and its sealed record."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SOON = 2.0  # seconds within which more signals say what the first one said


class Stopped(BaseException):
    """A signal came, and no run was under way that it could end. Its text is the line that is said."""


class _State:
    held, heard, ran, deaf_until = 0, False, False, 0.0


_state = _State()


def heeded() -> list[signal.Signals]:
    """All of them but a hang-up that nohup has ignored. A shell in the background ignores INT, and that is not meant for irctl."""
    return [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


def install() -> None:
    """Answer signals from now on, and be told how children end: where that is ignored, each seems to have succeeded."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a mask is inherited too, and the end of a parent comes as a signal
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in heeded():
        signal.signal(number, _stop)


def ignore() -> None:
    """All is said, and irctl ends anyway."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    if _state.held or time.monotonic() < _state.deaf_until:
        return
    _state.deaf_until = time.monotonic() + SOON
    where = " before or after a run, not within one; `irctl runs` shows what there was" if _state.ran else "; nothing was run"
    raise Stopped(f"stopped by {signal.Signals(number).name}{where}")


@contextmanager
def held() -> Iterator[None]:
    """While a run is under way, and until it is sealed: only the run itself answers signals."""
    _state.held += 1
    try:
        yield
    finally:
        if _state.heard:
            _state.deaf_until = time.monotonic() + SOON
        _state.held, _state.heard, _state.ran = _state.held - 1, False, True


def heard() -> None:
    """The run that is under way was ended by a signal: more of them, until that is said, say nothing new."""
    _state.heard = True


def ran() -> bool:
    """Whether this process has carried out a run."""
    return _state.ran
