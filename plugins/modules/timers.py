#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Have systemd, or where it does not run cron, start commands by itself."""

from __future__ import annotations

DOCUMENTATION = """
module: timers
short_description: Timers of this machine, all of them at once
description:
  - Makes systemd timers where systemd runs, else lines in the crontab of the user. As root the timers are those of the system.
  - What is removed leaves nothing, not even the stamp of when it ran last.
  - Own module, because C(ansible.builtin.template), C(ansible.builtin.systemd_service) and C(ansible.builtin.cron) take a task for
    each part of each timer; seven timers took half a minute.
options:
  state:
    description: What to do. V(listed) only looks.
    type: str
    choices: [listed, present, absent]
    default: listed
  made_by:
    description: The command that a reader of the units is told of.
    type: str
    required: true
  timers:
    description: The timers. A word or a path may hold any character but a line break.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What its units or its line are called.
        type: str
        required: true
      about:
        description: What it does, in a sentence.
        type: str
        required: true
      words:
        description: The command, the absolute path of its program first.
        type: list
        elements: str
        required: true
      environment:
        description: The variables that the command finds.
        type: dict
        default: {}
      starts:
        description: When systemd starts it, as lines of the section Timer.
        type: list
        elements: str
        required: true
      service:
        description: What else systemd knows of it, as lines of the section Service.
        type: list
        elements: str
        default: []
      minute:
        description: The minute at which cron starts it.
        type: str
        default: "*"
      hour:
        description: The hour in which cron starts it.
        type: str
        default: "*"
      log:
        description: Whether what it says goes to syslog where cron starts it. Without, cron mails it.
        type: bool
        default: false
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Drill every night
  irctl.runbooks.timers:
    state: present
    made_by: an example
    timers:
      - name: drill
        about: Drill db-connections on lab
        words: [/usr/bin/irctl, drill, run, db-connections, --host, lab]
        starts: ["OnCalendar=*-*-* 03:30:00"]
        minute: "30"
        hour: "3"
"""
RETURN = """
starter:
  description: What starts things here, V(systemd) or V(cron); empty for neither.
  returned: always
  type: str
there:
  description: The names of those that are there, and with systemd run.
  returned: always
  type: list
  elements: str
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, programs
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.host import timers

TIMER: dict[str, Any] = {
    **{name: {"type": "str", "required": True} for name in ("name", "about")},
    **{name: {"type": "list", "elements": "str", "required": True} for name in ("words", "starts")},
    "environment": {"type": "dict", "default": {}},
    "service": {"type": "list", "elements": "str", "default": []},
    "minute": {"type": "str", "default": "*"},
    "hour": {"type": "str", "default": "*"},
    "log": {"type": "bool", "default": False},
}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "present", "absent"], "default": "listed"},
    "made_by": {"type": "str", "required": True},
    "timers": {"type": "list", "elements": "dict", "required": True, "options": TIMER},
}

SYSTEMD = "/run/systemd/system"  # there where it runs

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Look at timers, make or remove them; in check mode only look. Raises Failure."""
    starter: _Systemd | _Cron | None = None
    if paths.is_folder(SYSTEMD):
        starter = _Systemd(params)
    elif shutil.which("crontab"):
        starter = _Cron(params)
    if starter is None:
        return {"changed": False, "starter": "", "there": []}
    changed = params["state"] != "listed" and starter.differs(params["state"] == "present")
    if changed and not check_mode:
        starter.change(params["state"] == "present")
    return {"changed": changed, "starter": starter.name, "there": starter.there()}


class _Cron:
    """The crontab of this user."""

    name = "cron"

    def __init__(self, params: Params) -> None:
        self._timers = params["timers"]

    def _text(self) -> str:
        """What it says. Raises Failure where that cannot be told, because it would be lost in the next change."""
        try:
            return programs.output(["crontab", "-l"])
        except Failure as error:
            if "no crontab for " not in str(error):
                raise
            return ""

    def there(self) -> list[str]:
        return sorted(timers.lines_of(self._text(), (timer["name"] for timer in self._timers)))

    def differs(self, present: bool) -> bool:
        before = self._text()
        return timers.crontab(before, self._timers, present=present) != before

    def change(self, present: bool) -> None:
        programs.output(["crontab", "-"], timers.crontab(self._text(), self._timers, present=present))


class _Systemd:
    """The units of the system, or where this is not root those of the user."""

    name = "systemd"

    def __init__(self, params: Params) -> None:
        root, home = os.geteuid() == 0, Path.home()
        user = ["env", f"XDG_RUNTIME_DIR=/run/user/{os.geteuid()}", "systemctl", "--user"]  # sudo and cron do not set it
        self._program = ["systemctl"] if root else user
        self._folder = "/etc/systemd/system" if root else f"{home}/.config/systemd/user"
        self._stamps = f"{'/var/lib' if root else f'{home}/.local/share'}/systemd/timers"
        self._names = [timer["name"] for timer in params["timers"]]
        self._units = {
            f"{self._folder}/{timer['name']}.{end}": text
            for timer in params["timers"]
            for end, text in timers.units(timer, params["made_by"]).items()
        }

    def _systemctl(self, *words: str) -> str:
        return programs.output([*self._program, *words])

    def there(self) -> list[str]:
        """Those that run, and will after a reboot."""
        if not self._names:
            return []
        told = self._systemctl("show", "--property=Id,ActiveState,UnitFileState", *(f"{name}.timer" for name in self._names))
        states = [dict(line.split("=", 1) for line in block.splitlines()) for block in told.strip().split("\n\n")]
        good = {state["Id"] for state in states if (state["ActiveState"], state["UnitFileState"]) == ("active", "enabled")}
        return sorted(name for name in self._names if f"{name}.timer" in good)

    def _left(self) -> list[str]:
        """The files that a timer leaves: its units and the stamp of when it ran last."""
        stamps = [f"{self._stamps}/stamp-{name}.timer" for name in self._names]
        return [path for path in (*self._units, *stamps) if paths.has_name(path)]

    def _stale(self) -> list[str]:
        return [path for path, text in self._units.items() if _read(path) != text]

    def differs(self, present: bool) -> bool:
        return bool(self._stale()) or len(self.there()) < len(self._names) if present else bool(self._left() or self.there())

    def change(self, present: bool) -> None:
        whole = [f"{name}.timer" for name in self._names]
        if present:
            os.makedirs(self._folder, mode=0o755, exist_ok=True)
            for path in self._stale():
                _write(path, self._units[path])
            self._systemctl("daemon-reload")
            self._systemctl("enable", "--now", *whole)
            return
        with suppress(Failure):  # one whose unit is gone fails, and is stopped all the same
            self._systemctl("disable", "--now", *whole)
        for path in self._left():
            os.unlink(path)
        self._systemctl("daemon-reload")
        with suppress(Failure):  # one that did not fail
            self._systemctl("reset-failed", *(f"{name}.service" for name in self._names))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: str, text: str) -> None:
    beside = f"{path}.new"
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644), "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(beside, 0o644)
    os.rename(beside, path)


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
