"""Points in time that a stepped clock and a reboot cannot move, how much time has passed between two, and when to try again.

The controller and the hosts count a lease's time with the same functions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

BOOT_ID = "/proc/sys/kernel/random/boot_id"
RETRY = (60, 120, 300, 900)  # seconds between attempts to end a lease; the last one goes on


@dataclass(frozen=True)
class Moment:
    """`utc` in seconds since 1970, as the clock says; `uptime` in seconds since this boot, asleep or not; which boot it was."""

    utc: float
    uptime: float
    boot: str


def now() -> Moment:
    """This moment."""
    with open(BOOT_ID) as file:
        return Moment(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), file.read().strip())


def elapsed(start: Moment, end: Moment, uptimes: Mapping[str, float]) -> float:
    """Seconds from start to end. `uptimes` says how long each boot was seen to last, in the order in which they came; where that
    of the start is not among them, all came after it.

    Within one boot the clock is not asked. Across a reboot the clock may have been stepped either way: what was seen to pass is
    the least, and where the clock says more, it is believed: what must end is rather ended too early.
    """
    if start.boot == end.boot:
        return end.uptime - start.uptime
    seen = max(uptimes.get(start.boot, 0.0) - start.uptime, 0.0) + end.uptime
    boots = list(uptimes)
    since = boots[boots.index(start.boot) + 1 :] if start.boot in uptimes else boots
    seen += sum(uptimes[boot] for boot in since if boot != end.boot)
    return max(seen, end.utc - start.utc)


def may_try(attempts: int, tried: Moment | None, end: Moment, uptimes: Mapping[str, float]) -> bool:
    """Whether it is time for another attempt, after so many that failed, the last of them at `tried`."""
    pause = RETRY[min(attempts, len(RETRY)) - 1] if attempts else 0
    return tried is None or not 0 <= elapsed(tried, end, uptimes) < pause  # a moment to come is no attempt
