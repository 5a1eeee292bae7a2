"""What is said of sessions that block others."""

from __future__ import annotations

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import blockers

SERVER = {"role": "ops", "sees_all": True, "may_signal": True}


def root(**more: Any) -> dict[str, Any]:
    known = {
        "pid": 12,
        "user": "app",
        "database": "shop",
        "application": "batch",
        "state": "active",
        "backend_type": "client backend",
    }
    return {**known, "seconds": 90, "waiting": 2, "longest": 80.0, "verdict": "free", "how": "cancel", **more}


def listing(*roots: dict[str, Any], **more: Any) -> dict[str, Any]:
    matching = [f"{one['pid']}/1/2" for one in roots if one["verdict"] == "free"]
    counts = {"waiting": 2 * len(roots), "longest": 80.0 if roots else 0, "unexplained": 0, "prepared": []}
    return {"server": SERVER, "roots": list(roots), "matching": matching, **counts, **more}


def test_one_line_says_who_waits_for_whom() -> None:
    assert blockers.in_words(listing(), "30s") == "nobody waits for a lock"
    line = blockers.in_words(listing(root(), root(pid=13), root(pid=14, verdict="superuser")), "30s")
    assert line.startswith(
        "6 sessions wait for a lock, the longest for 1m, behind pid 12 (app in shop, batch), active for 2m and 1 "
    )
    assert line.endswith("more · spared: 1")
    assert blockers.in_words(listing(root(verdict="recent")), "2m").endswith("the longest for 1m, none for 2m")


def test_a_prepared_transaction_comes_with_the_statement_that_ends_it_and_is_quoted() -> None:
    prepared = {"gid": "a'b\x1b[2J", "database": "shop", "owner": "app", "seconds": 300}
    [reason] = blockers.refusals(listing(waiting=1, prepared=[prepared]), 5)
    assert "ROLLBACK PREPARED 'a''b" in reason
    assert "\x1b" not in reason
    assert "app ends it by" in reason


def test_where_somebody_may_be_freed_those_that_may_not_are_no_refusal() -> None:
    assert blockers.refusals(listing(root(), root(pid=13, verdict="protected")), 5) == []
    assert blockers.refusals(listing(root(verdict="recent"), root(verdict="not asked for")), 5) == []
    assert blockers.refusals(listing(root(), root(pid=13)), 1) == [
        "2 roots match and the limit is 1. Narrow with --database or --user, or raise --max."
    ]


def test_what_postgresql_does_not_explain_is_said() -> None:
    [reason] = blockers.refusals(listing(waiting=1, unexplained=1), 5)
    assert reason.startswith("Who blocks 1 session cannot be told: PostgreSQL names nobody, as on a standby that replays, or")
