"""From facts to findings: plain words, a level, and the command to run next."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import findings as pg_findings

SERVER = {
    "version": "16.2",
    "role": "ops",
    "sees_all": True,
    "may_signal": True,
    "in_recovery": False,
    "max_connections": 100,
    "in_use": 10,
}
SESSION = {
    "pid": 7, "user": "app", "database": "shop", "application": "web", "backend_start": "2026-11-21 02:00:00+00", "state": "active",
    "statement": "SELECT 'jane'", "seconds": 120, "blocks": 0, "kind": "client backend", "wait": None,
}  # fmt: skip


def found(
    matching: int = 0, verdicts: dict[str, int] | None = None, server: dict[str, Any] | None = None, **facts: Any
) -> list[Any]:
    whole = {**SERVER, **(server or {})}
    nothing: dict[str, Any] = {
        "in_transaction": [],
        "long": [],
        "blockers": [],
        "prepared": [],
        "prepared_in_all": 0,
        "replicas": [],
        "behind_seconds": 0,
        "idle_slots": [],
        "lost_slots": [],
        "limits": [],
        "reserved": 0,
        "unexplained": 0,
        "receives": True,
        "paused": False,
        "replayed_seconds": None,
    }
    listing = {"server": whole, "matching": [f"{pid}/1" for pid in range(matching)], "verdicts": verdicts or {}}
    return pg_findings.findings({"server": whole, "states": {}, "waiting": 0, **nothing, **facts}, listing, "10m")


def worst(findings: list[Any]) -> Any:
    return findings[0]


def test_a_healthy_server_has_only_fine_findings() -> None:
    assert {finding["level"] for finding in found()} == {"fine"}


@pytest.mark.parametrize(("in_use", "level"), [(74, "fine"), (75, "notice"), (89, "notice"), (90, "problem"), (100, "problem")])
def test_fullness_is_a_notice_from_three_quarters_and_a_problem_from_nine_tenths(in_use: int, level: str) -> None:
    [fullness] = [finding for finding in found(server={"in_use": in_use}) if "connections are in use" in finding["says"]]
    assert fullness["level"] == level
    assert bool(fullness["next"]) == (level != "fine")


def test_a_role_that_cannot_see_everything_is_the_first_thing_said() -> None:
    first = worst(found(server={"sees_all": False}))
    assert first["level"] == "problem"
    assert "GRANT pg_read_all_stats" in first["says"]


def test_who_blocks_is_a_problem_that_db_blockers_mends() -> None:
    first = worst(found(blockers=[{**SESSION, "blocks": 3}]))
    assert first["says"] == "pid 7 (app in shop, web) blocks 3 session(s); it is active for 2m."
    assert first["next"] == "irctl plan db-blockers --host {host} --waiting-for 5s"


def test_a_long_statement_that_blocks_nobody_is_cancelled_by_its_very_session() -> None:
    [notice] = [finding for finding in found(long=[SESSION]) if "runs for" in finding["says"]]
    assert "SELECT pg_cancel_backend(pid)" in notice["next"]
    assert "pid = 7 AND backend_start = '2026-11-21 02:00:00+00'" in notice["next"]


def test_a_blocker_that_idles_in_a_transaction_is_named_once() -> None:
    blocker = {**SESSION, "state": "idle in transaction", "blocks": 1}
    findings = found(blockers=[blocker], in_transaction=[blocker])
    assert worst(findings)["next"] == "irctl plan db-blockers --host {host} --waiting-for 5s"
    assert sum("pid 7" in finding["says"] for finding in findings) == 1, "said once, as a blocker"


@pytest.mark.parametrize(("seconds", "level"), [(59, "fine"), (60, "notice")])
def test_a_transaction_left_open_is_a_notice_after_a_minute(seconds: int, level: str) -> None:
    [said] = [
        one
        for one in found(in_transaction=[{**SESSION, "state": "idle in transaction", "seconds": seconds}])
        if "pid 7" in one["says"]
    ]
    assert said["level"] == level


def test_what_db_connections_would_end_and_spare_is_told() -> None:
    [said] = [
        one
        for one in found(matching=3, verdicts={"protected": 2, "listening": 1, "at work": 5})
        if "db-connections would" in one["says"]
    ]
    assert said["says"] == "3 sessions are idle for over 10m, and db-connections would end them; it would spare 3."
    assert said["next"] == "irctl remediate db-connections --host {host} --check"


def test_a_long_statement_is_shown_without_its_values() -> None:
    [said] = [one for one in found(long=[SESSION]) if "runs for" in one["says"]]
    assert said["says"].endswith("runs for 2m: SELECT …")


def test_replicas_that_lag_or_do_not_stream_are_noticed() -> None:
    def replica(**more: Any) -> dict[str, Any]:
        return {"application": "r1", "state": "streaming", "behind_seconds": 0.0, **more}

    levels = [
        one["level"]
        for one in found(replicas=[replica(), replica(behind_seconds=10.0), replica(state="catchup")])
        if "Replica" in one["says"]
    ]
    assert sorted(levels) == ["fine", "notice", "notice"]
    assert any("behind its primary" in one["says"] for one in found(behind_seconds=60.0))


def test_slots_that_nobody_reads_are_noticed_and_at_most_five_shown() -> None:
    slots = [one for one in found(idle_slots=[f"s{number}" for number in range(9)]) if "replication slot" in one["says"]]
    assert len(slots) == pg_findings.SHOWN


def test_names_from_the_server_are_inert() -> None:
    says = [one["says"] for one in found(long=[{**SESSION, "user": "a\x1b[2J", "application": "\x07"}], idle_slots=["x\ny"])]
    assert not any(character in line for line in says for character in "\x1b\x07\n")


def test_problems_come_before_notices_and_what_is_fine_comes_last() -> None:
    levels = [one["level"] for one in found(3, server={"in_use": 95}, long=[SESSION], blockers=[{**SESSION, "blocks": 1}])]
    assert levels == sorted(levels, key=["problem", "notice", "fine"].index)


def test_the_facts_that_are_kept_hold_no_values() -> None:
    kept = pg_findings.kept({"in_transaction": [SESSION], "long": [], "blockers": [{**SESSION, "statement": None}]})
    assert [row["statement"] for row in (*kept["in_transaction"], *kept["blockers"])] == ["SELECT …", ""]


def test_a_blocker_that_is_no_client_is_named_by_its_kind_and_only_looked_at() -> None:
    vacuum = {**SESSION, "kind": "autovacuum worker", "user": None, "application": "", "blocks": 2}
    first = worst(found(blockers=[vacuum]))
    assert first["says"] == "pid 7 (autovacuum worker in shop) blocks 2 session(s); it is active for 2m."
    assert "pg_cancel_backend" not in first["next"]


def test_a_session_without_a_state_or_a_role_is_told_of() -> None:
    lost = {**SESSION, "user": None, "state": None, "blocks": 1}
    assert worst(found(blockers=[{**lost, "kind": "walsender"}]))["says"].startswith("pid 7 (walsender in shop, web) blocks 1")
    lost = {**SESSION, "user": None, "blocks": 1}
    assert worst(found(blockers=[lost]))["says"].startswith("pid 7 (of a dropped role in shop, web) blocks 1")


@pytest.mark.parametrize(("blocks", "seconds", "level"), [(3, 1, "problem"), (0, 60, "notice"), (0, 59, "fine")])
def test_a_prepared_transaction_is_told_with_its_age(blocks: int, seconds: int, level: str) -> None:
    prepared = {"gid": "pay\x1b-7", "owner": "app", "database": "shop", "seconds": seconds, "blocks": blocks}
    [told] = [
        finding for finding in found(prepared=[prepared], prepared_in_all=3) if "pay?-7 (app in shop) is open" in finding["says"]
    ]
    assert told["level"] == level
    assert ("blocks 3 session(s)" in told["says"]) == bool(blocks)


def test_what_a_long_statement_waits_for_is_told() -> None:
    [told] = [finding for finding in found(long=[{**SESSION, "wait": "IPC SyncRep"}]) if "runs for" in finding["says"]]
    assert "runs for 2m, waiting for IPC SyncRep: SELECT" in told["says"]


def test_sessions_that_cannot_be_judged_are_told_of() -> None:
    says = [finding["says"] for finding in found(verdicts={"untracked": 2, "dropped role": 1}) if finding["level"] == "notice"]
    assert says[0].startswith("Whether 2 sessions may be ended cannot be told: track_activities is off")
    assert says[1].startswith("Whether 1 session may be ended cannot be told: the role was dropped")
