"""The list of runs: what each did, and which are meant by a filter."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from irctl.record import run_entries
from irctl.record.run_entries import Entry, Filter
from irctl.record.runs import Folder

BEGUN: dict[str, Any] = {
    "run": "20261121T022311Z-db-connections-7f3a01", "remediation": "db-connections", "incident": "INC-2026-1121-001",
    "check": False, "started": "2026-11-21T02:23:11.000000Z", "hosts": {"db2": {}, "db1": {}}, "reverts": "",
}  # fmt: skip


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    folder = Folder(tmp_path, BEGUN["run"])
    folder.path.mkdir(parents=True)
    (folder.path / "run.json").write_text(json.dumps(BEGUN))
    ended = {"outcome": "changed", "hosts": {"db1": {"reason": "12 sessions ended"}, "db2": {"reason": "nothing to end"}}}
    (folder.path / "result.json").write_text(json.dumps(ended))
    entry = run_entries.entry(folder)
    return entry


@pytest.mark.parametrize(
    ("begun", "verb"),
    [
        ({}, "remediate"),
        ({"check": True}, "check"),
        ({"remediation": "diagnose postgres"}, "diagnose"),
        ({"remediation": "block-ip revert", "reverts": "x"}, "revert"),
        ({"remediation": "block-ip revert", "reverts": "x", "check": True}, "revert"),
        ({"remediation": "db-connections fault"}, "fault"),
        ({"remediation": "db-connections fault", "drill": True}, "drill"),
        ({"remediation": "db-connections verify"}, "verify"),
        ({"remediation": "db-connections restore"}, "restore"),
    ],
)
def test_what_a_run_did_is_one_of_the_verbs(begun: dict[str, Any], verb: str) -> None:
    assert run_entries.verb_of(BEGUN | begun) == verb
    assert verb in run_entries.VERBS


@pytest.mark.parametrize(
    ("meant", "matches"),
    [
        (Filter(), True),
        (Filter(hosts=("db1", "other")), True),
        (Filter(hosts=("db",)), False),
        (Filter(verbs=("remediate",)), True),
        (Filter(verbs=("check", "drill")), False),
        (Filter(outcomes=("failed", "changed")), True),
        (Filter(outcomes=("failed",)), False),
        (Filter(since=datetime(2026, 11, 21, 2, 23, 11, tzinfo=UTC)), True),
        (Filter(since=datetime(2026, 11, 21, 2, 23, 12, tzinfo=UTC)), False),
        (Filter(text="12 SESSIONS"), True),
        (Filter(text="1121-001"), True),
        (Filter(text="db2"), True),
        (Filter(text="timeout"), False),
        (Filter(hosts=("db1",), text="timeout"), False),
    ],
)
def test_a_run_matches_where_it_matches_each_part(entry: Entry, meant: Filter, matches: bool) -> None:
    assert meant.matches(entry) is matches


def test_a_run_without_a_result_is_under_way(tmp_path: Path) -> None:
    folder = Folder(tmp_path, BEGUN["run"])
    folder.path.mkdir(parents=True)
    (folder.path / "run.json").write_text(json.dumps(BEGUN))
    entry = run_entries.entry(folder)
    assert (entry.outcome, entry.reasons, entry.hosts) == ("under way", (), ("db1", "db2"))
