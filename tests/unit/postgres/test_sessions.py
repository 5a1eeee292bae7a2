"""What db-connections asks for, refuses, says and keeps. The judging itself is SQL: tests/integration."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import sessions

PARAMS: dict[str, Any] = {
    "idle_for": "10m", "idle_in_transaction_for": None, "database": ["o'brien"], "user": [], "application": [],
    "postgres_protected_users": ["bill*"], "postgres_protected_applications": [],
}  # fmt: skip


def listing(matching: int = 0, **server: Any) -> dict[str, Any]:
    able = {"role": "ops", "sees_all": True, "may_signal": True, "in_use": 41, "max_connections": 100}
    return {"server": {**able, **server}, "matching": [f"{pid}/1" for pid in range(matching)], "verdicts": {}}


def test_durations_become_seconds_and_patterns_become_expressions() -> None:
    asked = sessions.asked(PARAMS, ["1/2"], 7)
    assert (asked["idle_for"], asked["idle_in_transaction_for"]) == (600, None)
    assert asked["protected_users"] == "^bill.*$"
    assert (asked["databases"], asked["among"], asked["limit"]) == (["o'brien"], ["1/2"], 7)


@pytest.mark.parametrize("given", [[], ["billing-?"]])
def test_poolers_are_protected_whatever_else_is(given: list[str]) -> None:
    protected = re.compile(sessions.asked({**PARAMS, "postgres_protected_applications": given})["protected_applications"])
    for name in ("pgbouncer", "PgBouncer-1", "pgpool", "odyssey", "pgcat", "patroni", "Patroni heartbeat", "repmgrd", "pg_cron"):
        assert protected.search(name), name
    for name in ("web", "my-pgbouncer", "", "billing-", "billing-10"):
        assert not protected.search(name), name
    assert bool(protected.search("billing-1")) == bool(given)


@pytest.mark.parametrize("name", ["idle_for", "idle_in_transaction_for"])
def test_a_duration_below_the_floor_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}: at least 5s, .*got 4s"):
        sessions.asked({**PARAMS, name: "4s"})
    assert sessions.asked({**PARAMS, name: "5s"})[name] == 5


def test_a_role_that_cannot_see_other_sessions_is_refused_with_the_grants_it_needs() -> None:
    [refusal] = sessions.refusals(listing(3, sees_all=False, may_signal=False), 100)
    assert refusal == (
        "The role ops cannot see the state of other sessions. As a superuser: GRANT pg_read_all_stats, pg_signal_backend TO ops;"
    )


def test_a_role_that_sees_but_may_not_signal_is_refused() -> None:
    [refusal] = sessions.refusals(listing(3, may_signal=False), 100)
    assert "cannot end other sessions" in refusal
    assert "GRANT pg_signal_backend TO ops;" in refusal


def test_more_sessions_than_the_limit_are_refused_with_both_numbers() -> None:
    assert sessions.refusals(listing(100), 100) == []
    [refusal] = sessions.refusals(listing(101), 100)
    assert refusal.startswith("101 sessions match and the limit is 100.")


def test_one_is_counted_as_one_and_none_and_many_as_many() -> None:
    assert [sessions.counted(number) for number in (0, 1, 12)] == ["0 sessions", "1 session", "12 sessions"]


def test_a_summary_is_of_numbers_and_how_full_it_is_is_said_in_short() -> None:
    found = listing(3)
    assert sessions.summary(found) == {**found["server"], "matching": 3, "verdicts": {}}
    assert sessions.usage(found) == "41 of 100 in use"


def test_a_role_name_from_outside_is_inert_in_a_refusal() -> None:
    assert "\x1b" not in sessions.refusals(listing(role="o\x1b[2Jps", sees_all=False), 1)[0]


def test_one_line_says_how_full_it_is_and_what_is_spared() -> None:
    found = listing(3)
    assert sessions.in_words(found, "10m") == "41 of 100 sessions in use, 3 idle for over 10m"
    found["verdicts"] = {"protected": 2, "listening": 1, "at work": 9, "advisory lock": 1, "end": 3}
    assert sessions.in_words(found, "10m").endswith("· spared: 2 protected, 1 listening, 1 holding an advisory lock")


def test_what_is_kept_of_a_session_holds_no_values_and_no_control_characters() -> None:
    [kept] = sessions.keepable([{"pid": 7, "user": "a\x1b[2J", "client": None, "last_statement": "SELECT 'jane'"}])
    assert kept == {"pid": 7, "user": "a?[2J", "client": None, "last_statement": "SELECT …"}
    assert sessions.keepable([{"last_statement": None}]) == [{"last_statement": ""}]


def test_sessions_that_cannot_be_judged_refuse_where_nothing_else_is_to_end() -> None:
    unjudged = {"verdicts": {"untracked": 1, "dropped role": 2}}
    assert len(sessions.refusals({**listing(0), **unjudged}, 100)) == 2
    assert sessions.refusals({**listing(1), **unjudged}, 100) == []
    assert "1 whose state is not tracked, 2 of dropped roles" in sessions.in_words({**listing(1), **unjudged}, "10m")
