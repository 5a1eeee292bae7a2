"""Points in time that a stepped clock and a reboot cannot move, and how much time has passed between two of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Moment:
    """`utc` in seconds since 1970, as the clock says; `uptime` in seconds since this boot, asleep or not; which boot it was."""

    utc: float
    uptime: float
    boot: str


def now() -> Moment:
    """This moment."""
    return Moment(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), BOOT_ID.read_text().strip())


def elapsed(start: Moment, end: Moment, uptimes: Mapping[str, float]) -> float:
    """Seconds from start to end. `uptimes` says how long each boot since start was seen to last.

    Within one boot the clock is not asked. Across a reboot the clock may have been stepped either way: what was seen to pass is
    the least, and where the clock says more, it is believed: what must end is rather ended too early.
    """
    if start.boot == end.boot:
        return end.uptime - start.uptime
    seen = max(uptimes.get(start.boot, 0.0) - start.uptime, 0.0) + end.uptime
    seen += sum(uptime for boot, uptime in uptimes.items() if boot not in (start.boot, end.boot))
    return max(seen, end.utc - start.utc)
