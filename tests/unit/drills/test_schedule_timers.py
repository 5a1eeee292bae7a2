"""A schedule is read back from the timer that holds it."""

from __future__ import annotations

import shlex

from irctl.drills.schedule import Schedule
from irctl.drills.schedule_timers import parse


def test_a_schedule_is_read_back_from_its_command() -> None:
    schedule = Schedule("db-connections", "lab a", 30, "03:31", "skip")
    assert [*parse(shlex.join(["/x/irctl", *schedule.words]), "03:31")] == [schedule]


def test_what_no_schedule_has_made_is_none() -> None:
    for command in (
        "true",
        "irctl drill run-due",
        "irctl drill run-due 'x",
        "irctl drill run-due a --host b --every soon --missed once",
    ):
        assert [*parse(command, "03:31")] == []
