"""Time that a stepped clock and a reboot cannot move. Promises 10 and 25."""

from __future__ import annotations

import pytest

from irctl.record.moments import Moment, elapsed, now

HOUR = 3600.0
START = Moment(utc=1_000_000.0, uptime=500.0, boot="a")


@pytest.mark.parametrize("step", [-2 * HOUR, 0.0, 2 * HOUR])
def test_within_one_boot_the_clock_is_not_asked(step: float) -> None:
    assert elapsed(START, Moment(START.utc + 60 + step, 560.0, "a"), {}) == 60.0


@pytest.mark.parametrize(
    ("step", "seen"),
    [(0.0, 600.0), (2 * HOUR, 600.0 + 2 * HOUR), (-2 * HOUR, 100.0 + 30.0)],
    ids=["right", "two hours on", "two hours back"],
)
def test_across_a_reboot_what_was_seen_to_pass_is_the_least(step: float, seen: float) -> None:
    """Ten minutes after the start: 100 s of the first boot were seen, then it was off, and is up for 30 s."""
    after = Moment(START.utc + 600 + step, 30.0, "b")
    assert elapsed(START, after, {"a": 600.0, "b": 20.0}) == seen


def test_every_boot_in_between_counts() -> None:
    after = Moment(START.utc - 2 * HOUR, 10.0, "c")
    assert elapsed(START, after, {"a": 600.0, "b": 50.0}) == 100.0 + 50.0 + 10.0


def test_boots_before_the_start_do_not_count() -> None:
    after = Moment(START.utc - 2 * HOUR, 10.0, "c")
    assert elapsed(START, after, {"long ago": 900_000.0, "a": 600.0, "b": 50.0}) == 100.0 + 50.0 + 10.0
    assert elapsed(START, after, {"b": 50.0}) == 50.0 + 10.0, "a host begins its list with the lease"


def test_now_goes_on_within_a_boot() -> None:
    first, second = now(), now()
    assert first.boot == second.boot
    assert 0 <= elapsed(first, second, {}) < 60
