"""Drills that this machine holds by itself: which are scheduled, on which days each is to be held, and the timers for them."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog import catalog
from irctl.catalog.config import Settings
from irctl.catalog.content import Content
from irctl.drills import drill as drilling
from irctl.drills import history, steps
from irctl.drills.history import Drill
from irctl.errors import IrctlError, Refused
from irctl.incidents import severity
from irctl.orders import timer
from irctl.orders.flow import Order, Outcome

SKIP, ONCE = MISSED = ("skip", "once")
AT = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
DAY = 86400
STARTS = re.compile(r"^OnCalendar=\*-\*-\* (\S+):00$", re.MULTILINE)
COMMAND = re.compile(r"^ExecStart=(.+)$", re.MULTILINE)
UNITS = (Path("/etc/systemd/system"), Path("~/.config/systemd/user"))  # of root, of anybody else


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
        return f"{timer.of_home(home, 'drill')}-{short}"

    @property
    def words(self) -> list[str]:
        """What a timer says to irctl."""
        return ["drill", "run-due", self.remediation, "--host", self.host, "--every", f"{self.days}d", "--missed", self.missed]

    def document(self, last: date | None, now: datetime) -> dict[str, Any]:
        """What is shown of it."""
        about = {"remediation": self.remediation, "host": self.host, "every": f"{self.days}d", "at": self.at, "missed": self.missed}
        return about | {"last": last.isoformat() if last else None, "next": self.next(last, now).isoformat(timespec="minutes")}

    def next(self, last: date | None, now: datetime) -> datetime:
        """When it is to be held next, as far as anybody can say now."""
        hour, minute = map(int, self.at.split(":"))
        day = now.date() if now.time() < time(hour, minute) else now.date() + timedelta(1)
        while not is_day(self.days, self.missed, last, day):
            day += timedelta(1)
        return datetime.combine(day, time(hour, minute))


def is_day(days: int, missed: str, last: date | None, today: date) -> bool:
    """Whether a drill is held on this day, where it was last held on that one. Pure.

    Its days are each `days` after the last drill. One that was missed is made up on the next day that there is (`once`), or left
    out until the next of its days (`skip`).
    """
    if last is None:
        return True
    passed = (today - last).days
    return passed >= days if missed == ONCE else passed > 0 and passed % days == 0


def last_day(held: Iterable[Drill], remediation: str, host: str) -> date | None:
    """The day of the last drill there, whatever its verdict, on this machine's calendar."""
    mine = [drill for drill in held if drill.remediation == remediation and host in (*drill.hosts, *drill.names)]
    return severity.instant(mine[-1].started).astimezone().date() if mine else None


def drillable(contents: Sequence[Content]) -> list[str]:
    """The names of all remediations that can be drilled from here and say how often."""
    names = [name for name in catalog.names(contents) if "drill_every" in catalog.load(name, contents).about]
    return [name for name in names if not drilling.obstacle(name, list(contents))]


def wanted(settings: Settings, names: Iterable[str], hosts: Sequence[str], at: str, missed: str, days: int = 0) -> list[Schedule]:
    """A schedule for each remediation on each host; without days, as often as its metadata says. Raises Invalid, Refused.

    Each begins some minutes after `at`, by its place in the catalogue: two drills of one service would be in each other's way.
    """
    contents = settings.contents
    found, known = [], list(catalog.names(contents))
    for name in names:
        if why := drilling.obstacle(name, contents):
            raise Refused(f"{name} cannot be drilled: {why}")
        every = days or _days(catalog.load(name, contents).about.get("drill_every", ""))
        if not every:
            raise Refused(f"{name} does not say how often it is drilled; give --every")
        found += [Schedule(name, host, every, _later(at, known.index(name) % 30), missed) for host in hosts]
    return found


def _days(text: str) -> int:
    return -(-values.seconds(text) // DAY) if text else 0


def _later(at: str, minutes: int) -> str:
    hour, minute = map(int, at.split(":"))
    return f"{(hour + (minute + minutes) // 60) % 24:02}:{(minute + minutes) % 60:02}"


class _Known(IrctlError):
    """The hosts are there and marked for drills; no more was asked."""


def holdable(settings: Settings, schedules: Sequence[Schedule], *, everything: bool) -> tuple[list[Schedule], dict[str, str]]:
    """Ask the inventory now what a timer would be told at night: those that can be held, and why the other remediations cannot.

    Raises IrctlError where a host is missing or takes no faults, and, unless everything was asked for, where a setting is missing.
    """
    lacking: dict[str, str] = {}
    for name in dict.fromkeys(one.remediation for one in schedules):
        try:
            _ask(settings, name, tuple(one.host for one in schedules if one.remediation == name))
        except drilling.Lacking as error:
            if not everything:
                raise
            lacking[name] = str(error)
    return [one for one in schedules if one.remediation not in lacking], lacking


def _ask(settings: Settings, name: str, hosts: tuple[str, ...]) -> None:
    """Begin a drill up to where its hosts and their settings are known, and no further."""

    def begin(settled: Mapping[str, Any]) -> str:
        drilling.require_all_said(name, catalog.load(name, settings.contents, entry_point="verify").options, settled)
        raise _Known(", ".join(settled))

    course = steps.Course(drilling.wish(name, settings.contents, hosts), settings, lambda what, about: None)
    try:
        course.look("before", begin=begin)
    except _Known:
        return


def install(
    settings: Settings, schedules: Sequence[Schedule], show: timer.Show, *, remove: bool = False, check: bool = False
) -> tuple[Order, Outcome]:
    """Make the timers of these schedules, or remove them; the order and what became of it. Raises IrctlError."""
    given = {
        "drill_timer_state": "absent" if remove else "present",
        "drill_timer_wanted": [timer_of(settings, one) for one in schedules],
    }
    return timer.carry_out("drill_timer", "The timers that hold drills", given, settings, show, check=check)


def timer_of(settings: Settings, one: Schedule) -> dict[str, Any]:
    """What systemd or cron is to do for it, as the role `timer` takes it."""
    hour, minute = one.at.split(":")
    starts = [f"OnCalendar=*-*-* {one.at}:00", f"Persistent={str(one.missed == ONCE).lower()}", "AccuracySec=1"]
    return {
        "name": one.name(settings.home_path),
        "about": f"Drill {one.remediation} on {one.host} where it is due",
        "words": [timer.program(), *one.words],
        "environment": _environment(settings),
        "starts": starts,
        # A drill that is stopped restores what it made; only its own process is told, and it is given the time.
        "service": ["KillMode=mixed", "TimeoutStopSec=5min"],
        "minute": str(int(minute)),
        "hour": str(int(hour)),
        "log": True,
    }


def _environment(settings: Settings) -> dict[str, str]:
    """What is in force now is in force at night."""
    found = {"PATH": timer.path(), "IRCTL_HOME": str(settings.home_path), "IRCTL_INVENTORY": str(settings.inventory_path())}
    if settings.content.value:
        folders = [str(Path(folder).expanduser().absolute()) for folder in settings.content.value.split(os.pathsep) if folder]
        found["IRCTL_CONTENT"] = os.pathsep.join(folders)
    if settings.config.origin != "default":
        found["IRCTL_CONFIG"] = str(Path(settings.config.value).absolute())
    return found


def listed(home: Path) -> list[Schedule]:
    """The schedules of this home for which there is a timer, as systemd's units and cron's lines say."""
    return sorted({*_of_systemd(home), *_of_cron(home)}, key=lambda one: (one.remediation, one.host))


def _of_systemd(home: Path) -> Iterator[Schedule]:
    folder = UNITS[os.geteuid() != 0].expanduser()
    for path in folder.glob(f"{timer.of_home(home, 'drill')}-*.timer"):
        starts, service = (_text(one) for one in (path, path.with_suffix(".service")))
        at, command = STARTS.search(starts), COMMAND.search(service)
        if at and command:
            yield from _said(command[1], at[1])


def _of_cron(home: Path) -> Iterator[Schedule]:
    try:
        lines = subprocess.run(["crontab", "-l"], capture_output=True, text=True).stdout.splitlines()
    except OSError:
        return
    for mark, line in pairwise(lines):
        if mark.startswith(f"#Ansible: {timer.of_home(home, 'drill')}-") and (fields := line.split(maxsplit=5))[5:]:
            yield from _said(fields[5], f"{fields[1]:0>2}:{fields[0]:0>2}")


def _said(command: str, at: str) -> Iterator[Schedule]:
    """The schedule that a timer's command tells, where it is one that `words` made."""
    try:
        words = shlex.split(command)
        begin = words.index("run-due") + 1
        remediation, _, host, _, every, _, missed = words[begin : begin + 7]
        yield Schedule(remediation, host, _days(every), at, missed)
    except ValueError:
        return


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def documents(settings: Settings, schedules: Iterable[Schedule], now: datetime) -> list[Mapping[str, Any]]:
    """What is shown of schedules, with when each is held next; `now` is this machine's time."""
    held = history.history(settings.home_path)
    return [one.document(last_day(held, one.remediation, one.host), now) for one in schedules]
