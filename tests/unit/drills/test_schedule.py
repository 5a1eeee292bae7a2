"""On which days a scheduled drill is held, and what systemd and cron are given to read. Pure."""

from __future__ import annotations

import shlex
import subprocess
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.host import timers
from irctl.drills.schedule import Schedule, is_day, is_time

DAY = date(2026, 11, 21)
AWKWARD = """/a b/100%/it's "$HOME" \\d"""
OTHERS = "MAILTO=ana\n#Ansible: somebody else\n1 2 * * * true\n# a note\n"


def timer(name: str = "irctl-drill-1-x_lab", **more: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"about": "50% of it", "words": [AWKWARD, "drill", AWKWARD], "environment": {"IRCTL_HOME": AWKWARD}}
    starts = {"starts": ["OnCalendar=*-*-* 03:30:00"], "service": [], "minute": "30", "hour": "3", "log": False}
    return {"name": name, **about, **starts, **more}


def held(missed: str, on: set[int], days: int = 30, length: int = 130) -> list[int]:
    """The days from now on which a drill is held, where the machine is on at those of `on` only; the first was on day 0."""
    last, found = DAY, []
    for number in range(1, length):
        if number in on and is_day(days, missed, last, DAY + timedelta(number)):
            last = DAY + timedelta(number)
            found.append(number)
    return found


@pytest.mark.parametrize("missed", ["skip", "once"])
def test_one_that_was_never_held_is_held_at_once_and_then_each_time_its_days_are_over(missed: str) -> None:
    assert is_day(30, missed, None, DAY)
    assert held(missed, set(range(130))) == [30, 60, 90, 120]
    assert not is_day(30, missed, DAY, DAY), "not twice on one day"


def test_a_missed_one_is_made_up_once_on_the_next_day_there_is() -> None:
    assert held("once", set(range(130)) - {30, 31, 32}) == [33, 63, 93, 123]
    assert held("once", set(range(100, 130))) == [100], "three were missed, and one is made up"


def test_a_missed_one_that_is_skipped_is_left_out_until_the_next_of_its_days() -> None:
    assert held("skip", set(range(130)) - {30, 31, 32}) == [60, 90, 120]
    assert held("skip", set(range(100, 130))) == [120]


@pytest.mark.parametrize(
    ("at", "now", "due"),
    [
        ("03:30", "03:30:00", True),
        ("03:30", "03:44:59", True),
        ("03:30", "03:45:00", False),
        ("03:30", "03:29:59", False),
        ("03:30", "09:00:00", False),
        ("23:55", "00:05:00", True),
        ("00:00", "23:59:59", False),
    ],
)
def test_a_timer_that_goes_off_long_after_its_time_is_not_believed(at: str, now: str, due: bool) -> None:
    """As systemd's does when the clock is stepped over it."""
    assert is_time(at, datetime.fromisoformat(f"2026-11-21T{now}")) is due


def test_only_what_skips_tells_its_time_to_irctl() -> None:
    assert Schedule("a", "b", 1, "03:31", "skip").words[-2:] == ["--at", "03:31"]
    assert "--at" not in Schedule("a", "b", 1, "03:31", "once").words


def test_every_day_is_every_day_with_either_policy() -> None:
    assert held("skip", {1, 2, 5, 6}, days=1) == held("once", {1, 2, 5, 6}, days=1) == [1, 2, 5, 6]


def test_the_next_time_is_today_only_before_its_time_of_the_day() -> None:
    one = Schedule("db-connections", "lab", 30, "03:31", "skip")
    for last, now, said in (
        (None, "2026-11-21T03:30", "2026-11-21T03:31"),
        (None, "2026-11-21T03:32", "2026-11-22T03:31"),
        (date(2026, 10, 1), "2026-11-21T03:30", "2026-11-30T03:31"),
    ):
        assert one.next(last, datetime.fromisoformat(now)) == datetime.fromisoformat(said)


def test_no_two_schedules_are_called_the_same_and_none_is_longer_than_a_unit_may_be() -> None:
    pairs = [("a", "b-c"), ("a-b", "c"), ("a", "b_c"), ("a", "h" * 252), ("a", "h" * 253)]
    names = {Schedule(name, host, 1, "03:30", "once").name(Path("/home")) for name, host in pairs}
    assert len(names) == len(pairs)
    assert max(map(len, names)) < 240
    assert Schedule("a", "b", 1, "03:30", "once").name(Path("/other")) not in names


def test_cron_starts_exactly_the_words_that_were_meant_in_exactly_that_environment() -> None:
    line = timers.line(timer(words=["/usr/bin/env", AWKWARD]))
    assert line.startswith("30 3 * * * ")
    command = line.split(maxsplit=5)[5].replace("\\%", "%")  # as cron reads it
    assert (
        subprocess.run(
            ["sh", "-c", command.replace("/usr/bin/env", "printenv IRCTL_HOME; echo")], capture_output=True, text=True
        ).stdout
        == f"{AWKWARD}\n{AWKWARD}\n"
    )
    assert line.replace("\\%", "").count("%") == 0


def test_what_systemd_reads_as_a_variable_or_an_escape_is_doubled_and_plain_words_stay_plain() -> None:
    text = timers.units(timer(words=["/usr/bin/irctl", "drill", "a$b", 'c"d', "e\\f", "100%"]), "a test")["service"]
    assert 'ExecStart=/usr/bin/irctl drill "a$$b" "c\\"d" "e\\\\f" "100%%"\n' in text
    assert 'Environment="IRCTL_HOME=/a b/100%%/' in text
    assert "Description=50%% of it\n" in text


def test_a_crontab_gets_its_lines_once_and_everybody_elses_stay() -> None:
    both = [timer("one"), timer("two")]
    first = timers.crontab(OTHERS, both, present=True)
    assert first.startswith(OTHERS)
    assert timers.crontab(first, both, present=True) == first
    changed = timers.crontab(first, [timer("one", minute="31")], present=True)
    assert set(timers.lines_of(changed, ["one", "two"]).values()) == {timers.line(timer(minute="31")), timers.line(timer())}
    assert timers.crontab(changed, both, present=False) == OTHERS
    assert timers.crontab(OTHERS, both, present=False) == OTHERS


def test_a_mark_without_its_line_is_mended() -> None:
    assert timers.lines_of(broken := timers.MARK + "one", ["one"]) == {"one": ""}
    assert timers.crontab(broken, [timer("one")], present=True) == f"{timers.MARK}one\n{timers.line(timer())}\n"


def test_shells_words_are_read_back_from_what_was_written() -> None:
    assert shlex.split(timers.line(timer()).split(maxsplit=5)[5].replace("\\%", "%"))[1:] == [AWKWARD, "drill", AWKWARD]
