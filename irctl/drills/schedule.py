"""Which drills this machine is to hold by itself, and on which days."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog import catalog
from irctl.catalog.config import Settings
from irctl.drills import history, readiness
from irctl.drills.history import Drill
from irctl.errors import Refused
from irctl.incidents import severity
from irctl.orders import local_timers

SKIP, ONCE = MISSED = ("skip", "once")
TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
DAY = 86400  # seconds
LATE = 900  # seconds that a busy machine may take to start what is due


@dataclass(frozen=True)
class Schedule:
    """One remediation that is drilled on one host or group every so many days, at `at` of this machine's clock."""

    remediation: str
    host: str
    days: int
    at: str
    missed: str

    def name(self, home: Path) -> str:
        """What its units or its line are called. A remediation's name has no underscore, so no two are called the same."""
        whole = f"{self.remediation}_{self.host}"
        short = whole if len(whole) <= 160 else f"{whole[:150]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
        return f"{local_timers.prefix(home, 'drill')}-{short}"

    @property
    def words(self) -> list[str]:
        """What a timer says to irctl."""
        words = ["drill", "run-due", self.remediation, "--host", self.host, "--every", f"{self.days}d", "--missed", self.missed]
        return [*words, "--at", self.at] if self.missed == SKIP else words

    def document(self, last: date | None, now: datetime) -> dict[str, Any]:
        """What is shown of it; `last` is the day of its last drill, `now` this machine's time."""
        return {
            "remediation": self.remediation,
            "host": self.host,
            "every": f"{self.days}d",
            "at": self.at,
            "missed": self.missed,
            "last": last.isoformat() if last else None,
            "next": self.next(last, now).isoformat(timespec="minutes"),
        }

    def next(self, last: date | None, now: datetime) -> datetime:
        """When it is to be held next, as far as anybody can say now."""
        hour, minute = map(int, self.at.split(":"))
        day = now.date() if now.time() < time(hour, minute) else now.date() + timedelta(1)
        while not is_day(self.days, self.missed, last, day):
            day += timedelta(1)
        return datetime.combine(day, time(hour, minute))


def is_day(days: int, missed: str, last: date | None, today: date) -> bool:
    """Whether a drill is held today, where it was last held on that day. Pure.

    Its days are each `days` after the last drill. One that was missed is made up on the next day that there is (`once`), or left
    out until the next of its days (`skip`).
    """
    if last is None:
        return True
    passed = (today - last).days
    return passed >= days if missed == ONCE else passed > 0 and passed % days == 0


def is_time(at: str, now: datetime) -> bool:
    """Whether it is now the time of the day that a timer goes off at: up to LATE seconds after it. Pure.

    A timer of systemd goes off at once when the clock is stepped over its time, hours late, and again when it is stepped back.
    """
    hour, minute = map(int, at.split(":"))
    passed = (now - now.replace(hour=hour, minute=minute, second=0, microsecond=0)).total_seconds()
    return 0 <= passed % DAY < LATE


def last_day(drills: Iterable[Drill], remediation: str, host: str) -> date | None:
    """The day of the last drill there, whatever its verdict, on this machine's calendar."""
    held = [drill for drill in drills if drill.remediation == remediation and host in (*drill.hosts, *drill.names)]
    return severity.instant(held[-1].started).astimezone().date() if held else None


def asked_for(
    settings: Settings, names: Iterable[str], hosts: Sequence[str], at: str, missed: str, days: int = 0
) -> list[Schedule]:
    """A schedule for each remediation on each host; without days, as often as its metadata says. Raises Invalid, Refused.

    Each begins some minutes after `at`, by its place in the catalogue: two drills of one service would be in each other's way.
    """
    contents = settings.contents
    schedules, catalogue = [], list(catalog.names(contents))
    for name in names:
        readiness.require_drillable(name, contents)
        every = days or whole_days(catalog.load(name, contents).about.get("drill_every", ""))
        if not every:
            raise Refused(f"{name} does not say how often it is drilled; give --every")
        starts = _later(at, catalogue.index(name) % 30)
        schedules += [Schedule(name, host, every, starts, missed) for host in hosts]
    return schedules


def whole_days(duration: str) -> int:
    """'36h' is 2; '' is 0."""
    return -(-values.seconds(duration) // DAY) if duration else 0


def _later(at: str, minutes: int) -> str:
    hour, minute = map(int, at.split(":"))
    return f"{(hour + (minute + minutes) // 60) % 24:02}:{(minute + minutes) % 60:02}"


def possible(settings: Settings, schedules: Sequence[Schedule], *, everything: bool) -> tuple[list[Schedule], dict[str, str]]:
    """Ask the inventory now what a timer would be told at night: those that can be held, and why the other remediations cannot.

    Raises IrctlError where a host is missing or takes no faults, and, unless everything was asked for, where a setting is missing.
    """
    not_possible: dict[str, str] = {}
    for name in dict.fromkeys(schedule.remediation for schedule in schedules):
        hosts = tuple(schedule.host for schedule in schedules if schedule.remediation == name)
        try:
            readiness.require_hosts(settings, name, hosts)
        except readiness.MissingSetting as error:
            if not everything:
                raise
            not_possible[name] = str(error)
    return [schedule for schedule in schedules if schedule.remediation not in not_possible], not_possible


def documents(settings: Settings, schedules: Iterable[Schedule], now: datetime) -> list[Mapping[str, Any]]:
    """What is shown of schedules, with when each is held next; `now` is this machine's time."""
    drills = history.history(settings.home_path)
    return [each.document(last_day(drills, each.remediation, each.host), now) for each in schedules]
