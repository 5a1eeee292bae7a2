"""The timers of this machine that hold scheduled drills: made, removed, and read back. They are where a schedule is kept."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from irctl.catalog.config import Settings
from irctl.drills.schedule import ONCE, Schedule, whole_days
from irctl.orders import local_timers
from irctl.orders.order import Order, Outcome, Show

STARTS = re.compile(r"^OnCalendar=\*-\*-\* (\S+):00$", re.MULTILINE)
COMMAND = re.compile(r"^ExecStart=(.+)$", re.MULTILINE)
UNITS = (Path("/etc/systemd/system"), Path("~/.config/systemd/user"))  # of root, of anybody else


def install(
    settings: Settings, schedules: Sequence[Schedule], show: Show, *, remove: bool = False, check: bool = False
) -> tuple[Order, Outcome]:
    """Make the timers of these schedules, or remove them; the order and what became of it. Raises IrctlError."""
    given = {
        "drill_timer_state": "absent" if remove else "present",
        "drill_timer_wanted": [timer(settings, schedule) for schedule in schedules],
    }
    return local_timers.carry_out("drill_timer", "The timers that hold drills", given, settings, show, check=check)


def timer(settings: Settings, schedule: Schedule) -> dict[str, Any]:
    """What systemd or cron is to do for it, as the role `timers` takes it."""
    hour, minute = schedule.at.split(":")
    persistent = str(schedule.missed == ONCE).lower()
    return {
        "name": schedule.name(settings.home_path),
        "about": f"Drill {schedule.remediation} on {schedule.host} where it is due",
        "words": [local_timers.program(), *schedule.words],
        "environment": _environment(settings),
        "starts": [f"OnCalendar=*-*-* {schedule.at}:00", f"Persistent={persistent}", "AccuracySec=1"],
        # A drill that is stopped restores what it made; only its own process is told, and it is given the time.
        "service": ["KillMode=mixed", "TimeoutStopSec=5min"],
        "minute": str(int(minute)),
        "hour": str(int(hour)),
        "log": True,
    }


def _environment(settings: Settings) -> dict[str, str]:
    """What is in force now is in force at night."""
    variables = {
        "PATH": local_timers.path(),
        "IRCTL_HOME": str(settings.home_path),
        "IRCTL_INVENTORY": str(settings.inventory_path()),
    }
    if settings.content.value:
        folders = [str(Path(folder).expanduser().absolute()) for folder in settings.content.value.split(os.pathsep) if folder]
        variables["IRCTL_CONTENT"] = os.pathsep.join(folders)
    variables |= {f"IRCTL_{name.upper()}": value for name, value in settings.vaults().items()}
    if settings.config.origin != "default":
        variables["IRCTL_CONFIG"] = str(Path(settings.config.value).absolute())
    return variables


def listed(home: Path) -> list[Schedule]:
    """The schedules of this home for which there is a timer, as systemd's units and cron's lines say."""
    return sorted({*_of_systemd(home), *_of_cron(home)}, key=lambda schedule: (schedule.remediation, schedule.host))


def _of_systemd(home: Path) -> Iterator[Schedule]:
    folder = UNITS[os.geteuid() != 0].expanduser()
    for path in folder.glob(f"{local_timers.prefix(home, 'drill')}-*.timer"):
        at, command = STARTS.search(_text(path)), COMMAND.search(_text(path.with_suffix(".service")))
        if at and command:
            yield from parse(command[1], at[1])


def _of_cron(home: Path) -> Iterator[Schedule]:
    try:
        lines = subprocess.run(["crontab", "-l"], capture_output=True, text=True).stdout.splitlines()
    except OSError:
        return
    mark = f"#Ansible: {local_timers.prefix(home, 'drill')}-"
    for comment, line in pairwise(lines):
        if comment.startswith(mark) and (fields := line.split(maxsplit=5))[5:]:
            yield from parse(fields[5], f"{fields[1]:0>2}:{fields[0]:0>2}")


def parse(command: str, at: str) -> Iterator[Schedule]:
    """The schedule that a timer's command stands for, where it is one that `Schedule.words` made."""
    try:
        words = shlex.split(command)
        begin = words.index("run-due") + 1
        remediation, _, host, _, every, _, missed = words[begin : begin + 7]
        yield Schedule(remediation, host, whole_days(every), at, missed)
    except ValueError:
        return


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
