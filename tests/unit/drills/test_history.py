"""What the journals tell of drills: when one is due, and that a drill is never taken for an incident."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from irctl.catalog import config
from irctl.catalog.content import OURS
from irctl.cli.commands import drill as command
from irctl.drills import history
from irctl.drills import restore as drill_restore
from irctl.drills.history import Due
from irctl.drills.steps import DrillOrder, Steps, answers
from irctl.errors import DONE, FAILED, INDETERMINATE, EvidenceError, Invalid, worst
from irctl.incidents import incidents
from irctl.orders.order import Outcome
from irctl.record import locks
from irctl.running.results import Host

NOW = datetime.now(UTC)


def held(home: Path, verdict: str = "fixed", remediation: str = "db-connections", hosts: tuple[str, ...] = ("db1",)) -> str:
    """A drill that was held just now."""
    about = {"remediation": remediation, "names": ["prod"], "hosts": hosts, "scheduled": False, "proof": "health", "parameters": {}}
    about |= {"inventory": str(home / "nowhere"), "content": "", "timeout": 60}
    incident = incidents.open_drill(home, "ana", f"Drill: {remediation}", about, profile="linguamate")
    if verdict:
        said: dict[str, Any] = {"event": "drilled", "by": "ana", "verdict": verdict, "detect": 1.5, "mitigate": 3.0, "seconds": 9.0}
        incidents.record(home, incident, {**said, "why": "", "steps": []})
        incidents.record(home, incident, {"event": "closed", "by": "ana", "resolution": verdict})
    return incident


def due(home: Path, now: datetime = NOW, *hosts: str) -> list[Due]:
    return [row for row in history.due(home, [OURS], now, hosts) if row.remediation == "db-connections"]


def test_a_drill_is_told_by_its_journal_alone(tmp_path: Path) -> None:
    incident = held(tmp_path)
    (drill,) = history.history(tmp_path)
    assert (drill.incident, drill.remediation, drill.hosts, drill.names, drill.by) == (
        incident, "db-connections", ("db1",), ("prod",), "ana",
    )  # fmt: skip
    assert (drill.verdict, drill.detect, drill.mitigate, drill.seconds) == ("fixed", 1.5, 3.0, 9.0)


def test_a_drill_under_way_has_no_verdict(tmp_path: Path) -> None:
    held(tmp_path, verdict="")
    assert history.history(tmp_path)[0].verdict == ""


def test_history_is_oldest_first_and_holds_no_incident(tmp_path: Path) -> None:
    first = held(tmp_path)
    incidents.open_incident(tmp_path, "ana", "Errors", "P1")
    second = held(tmp_path)
    assert [drill.incident for drill in history.history(tmp_path)] == [first, second]


def test_an_incident_is_no_drill(tmp_path: Path) -> None:
    incident = incidents.open_incident(tmp_path, "ana", "Errors", "P1")
    with pytest.raises(Invalid, match="is no drill"):
        history.find(tmp_path, incident)


def test_a_drill_under_way_is_never_the_one_incident_that_is_open(tmp_path: Path) -> None:
    held(tmp_path, verdict="")
    assert incidents.single_open(tmp_path) is None
    incident = incidents.open_incident(tmp_path, "ana", "Errors", "P1")
    only = incidents.single_open(tmp_path)
    assert only is not None
    assert only.incident == incident


def test_a_drill_has_no_clocks(tmp_path: Path) -> None:
    state = incidents.state(tmp_path, held(tmp_path, verdict=""))
    assert state.drill
    assert incidents.readings(state, NOW + timedelta(days=9)) == []


def test_what_was_never_drilled_is_due_and_has_no_host(tmp_path: Path) -> None:
    (row,) = due(tmp_path)
    assert (row.host, row.last, row.next_due, row.overdue) == ("", None, None, True)


def test_after_a_good_drill_it_is_due_when_its_time_is_over(tmp_path: Path) -> None:
    held(tmp_path, hosts=("db1", "db2"))
    rows = due(tmp_path)
    assert [(row.host, row.overdue) for row in rows] == [("db1", False), ("db2", False)]
    assert rows[0].next_due is not None
    assert all(row.overdue for row in due(tmp_path, rows[0].next_due))
    assert not any(row.overdue for row in due(tmp_path, rows[0].next_due - timedelta(seconds=1)))


def test_a_host_or_group_that_is_asked_for_is_judged_by_its_own_drills(tmp_path: Path) -> None:
    held(tmp_path)
    assert [(row.host, row.overdue) for row in due(tmp_path, NOW, "db1", "db9", "prod")] == [
        ("db1", False), ("db9", True), ("prod", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "overdue"),
    [("not fixed", True), ("worse", True), ("hit the wrong thing", True), ("unknown", False), ("nothing to do", False)],
)
def test_a_drill_that_proved_the_contrary_makes_it_due_one_that_proved_nothing_does_not(
    tmp_path: Path, verdict: str, overdue: bool
) -> None:
    held(tmp_path)
    held(tmp_path, verdict)
    (row,) = due(tmp_path)
    assert row.last is not None
    assert (row.last.verdict, row.overdue) == (verdict, overdue)


@pytest.mark.parametrize("verdict", ["unknown", "nothing to do", "not fixed"])
def test_no_other_verdict_than_fixed_counts_as_practised(tmp_path: Path, verdict: str) -> None:
    held(tmp_path, verdict)
    (row,) = due(tmp_path)
    assert (row.next_due, row.overdue) == (None, True)


def test_only_a_drill_whose_process_is_gone_is_unfinished(tmp_path: Path) -> None:
    incident = held(tmp_path, verdict="")
    lock = history.begin(tmp_path, incident)
    assert history.unfinished(tmp_path) == []
    assert history.take_over(tmp_path, incident) is None
    locks.release([lock])
    assert history.unfinished(tmp_path) == [incident]
    assert incident in history.reminders(tmp_path)[0]
    incidents.record(tmp_path, incident, {"event": "closed", "by": "ana", "resolution": "given up"})
    assert history.unfinished(tmp_path) == []
    assert list((tmp_path / "drills").iterdir()) == []


def test_what_could_not_be_restored_is_tried_again_after_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    incident = held(tmp_path, verdict="")
    assert history.worth_a_try(tmp_path, incident)
    incidents.record(tmp_path, incident, {"event": "drill-not-restored", "by": "ana", "why": "unreachable"})
    assert not history.worth_a_try(tmp_path, incident)
    monkeypatch.setattr(history, "datetime", later(61))
    assert history.worth_a_try(tmp_path, incident)
    incidents.record(tmp_path, incident, {"event": "drill-not-restored", "by": "ana", "why": "unreachable"})
    assert not history.worth_a_try(tmp_path, incident), "the second pause is longer"
    monkeypatch.setattr(history, "datetime", later(121))
    assert history.worth_a_try(tmp_path, incident)


def later(seconds: int) -> Any:
    """A clock that is so far on."""
    return SimpleNamespace(now=lambda zone: datetime.now(zone) + timedelta(seconds=seconds))


def test_a_drill_whose_journal_is_broken_does_not_keep_the_others_from_being_restored(tmp_path: Path) -> None:
    broken, sound = held(tmp_path, verdict=""), held(tmp_path, verdict="")
    for incident in (broken, sound):
        locks.release([history.begin(tmp_path, incident)])
    with (tmp_path / "incidents" / broken / "journal.jsonl").open("a") as journal:
        journal.write("garbage\n")
    assert history.unfinished(tmp_path) == [broken, sound]
    said = history.reminders(tmp_path)
    assert ["cannot be restored" in sentence for sentence in said] == [True, False]
    tried = drill_restore.run_due(config.load({"home": str(tmp_path)}, {}), lambda what, about: None)
    assert [sentence.startswith(f"FAILED: drill {incident}") for sentence, incident in zip(tried, (broken, sound), strict=True)]


def test_of_several_drills_that_are_restored_one_that_fails_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def restore(incident: str, *_: Any) -> str:
        if incident == "first":
            raise EvidenceError("its journal is broken")
        return incident

    monkeypatch.setattr(drill_restore, "restore", restore)
    done, failed = command._restored(["first", "second"], config.load({}, {}))
    assert (done, list(failed)) == (["second"], ["first"])


def test_a_hang_up_that_nohup_has_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        order = DrillOrder("db-connections", ("lab",), "health", {})
        with Steps(order, config.load({"home": str(tmp_path)}, {}), lambda *_: None).kept_alive():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_a_proof_says_of_hosts() -> None:
    hosts = {"a": Host("unchanged"), "b": Host("failed", phase="Verify", reason="broken"), "c": Host("failed", phase="Gather")}
    assert answers(Outcome("partial", 3, hosts)) == {True, False, None}
    assert answers(Outcome("failed", 1, {"b": hosts["b"]})) == {False}
    assert Outcome("partial", 3, hosts).reasons().startswith("b: broken")


def test_of_several_exit_codes_the_one_that_most_needs_a_look_is_taken() -> None:
    assert worst([DONE, FAILED, INDETERMINATE]) == INDETERMINATE
    assert worst([DONE, DONE]) == DONE
    assert [worst([code, DONE]) for code in range(9)] == list(range(9))
