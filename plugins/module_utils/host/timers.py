"""Timers as systemd and cron write them down: the text of units, and a crontab with some lines more or less. Pure."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

MARK = "#Ansible: "  # as ansible.builtin.cron marks its lines; some were made by it

Timer = Mapping[str, Any]


def units(timer: Timer, made_by: str) -> dict[str, str]:
    """The content of a timer's two units, by the end of their names."""
    head = f"# Made by {made_by}\n[Unit]\nDescription={timer['about'].replace('%', '%%')}\n"
    program, *words = timer["words"]
    command = " ".join([_word(program, "$"), *map(_word, words)])
    service = ["Type=oneshot", *(f"Environment={_word(f'{name}={value}', '$')}" for name, value in timer["environment"].items())]
    service += [*timer["service"], f"ExecStart={command}"]
    parts = {"service": f"[Service]\n{_lines(service)}", "timer": f"[Timer]\n{_lines(timer['starts'])}"}
    parts["timer"] += "\n[Install]\nWantedBy=timers.target\n"
    return {end: f"{head}\n{part}" for end, part in parts.items()}


def _lines(found: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in found)


def _word(text: str, dollar: str = "$$") -> str:
    """One word of a line that systemd reads. A dollar is doubled in arguments only: nowhere else does it name a variable."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", dollar)
    return escaped if re.fullmatch(r"[\w./:=,@+-]+", escaped, re.ASCII) else f'"{escaped}"'


def line(timer: Timer) -> str:
    """The line of cron that starts it. A percent sign would end the command there."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in timer["environment"].items()]
    command = " ".join([*variables, *map(shlex.quote, timer["words"])])
    log = f" 2>&1 | logger -t {shlex.quote(timer['name'])}" if timer["log"] else ""
    return f"{timer['minute']} {timer['hour']} * * * " + f"{command}{log}".replace("%", "\\%")


def crontab(text: str, timers: Iterable[Timer], *, present: bool) -> str:
    """The crontab with exactly these lines for these timers, or with none. Everybody else's lines stay as they are."""
    wanted = {timer["name"]: line(timer) for timer in timers}
    if present and lines_of(text, wanted) == wanted:
        return text
    kept, lines = [], iter(text.splitlines())
    for one in lines:
        if one.startswith(MARK) and one.removeprefix(MARK) in wanted:
            next(lines, None)
        else:
            kept.append(one)
    added = [part for name, command in wanted.items() for part in (MARK + name, command)] if present else []
    return _lines([*kept, *added])


def lines_of(text: str, names: Iterable[str]) -> dict[str, str]:
    """The lines that are there under these names."""
    lines, wanted = [*text.splitlines(), ""], set(names)
    pairs = itertools.pairwise(lines)
    return {mark.removeprefix(MARK): one for mark, one in pairs if mark.startswith(MARK) and mark.removeprefix(MARK) in wanted}
