"""What a file of a lease must look like to be believed, and that each is judged by itself."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from irctl.errors import EvidenceError
from irctl.leases import keeper, register
from irctl.leases.lease import Lease, parse, text
from irctl.record import moments, runs
from irctl.record.moments import Moment

RUN = "20261121T022311Z-db-freeze-writes-{:06x}"
LEASE = Lease(RUN.format(1), "db-freeze-writes", ("db1",), "/inventory", "", "", "ana", 60, 3600, Moment(1.0, 2.0, "boot"))


def arm(home: Path, number: int) -> Lease:
    keeper.note(home, 60)
    lease = replace(LEASE, run=RUN.format(number), armed=moments.now())
    register.arm(home, lease)
    return lease


def file_of(home: Path, lease: Lease) -> Path:
    return home / "leases" / f"{lease.run}.json"


def test_what_was_written_is_read() -> None:
    tried = replace(LEASE, state="failed", attempts=2, tried=Moment(3.0, 4.0, "boot"), why="no answer")
    for lease in (LEASE, tried):
        assert parse(text(lease), lease.run) == lease


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hosts", "db1"),
        ("hosts", []),
        ("hosts", [["db1"]]),
        ("hosts", {"db1": 1}),
        ("seconds", "60"),
        ("seconds", True),
        ("seconds", None),
        ("seconds", 1e400),
        ("seconds", -1),
        ("seconds", 10**30),
        ("armed", None),
        ("armed", {"utc": "now", "uptime": 1, "boot": "b"}),
        ("armed", {"utc": float("nan"), "uptime": 1, "boot": "b"}),
        ("armed", {"utc": 1, "uptime": [], "boot": "b"}),
        ("armed", {"utc": 1, "uptime": 1}),
        ("tried", "yesterday"),
        ("attempts", [1]),
        ("state", "over"),
        ("run", RUN.format(2)),
        ("run", "../../x"),
        ("schema", "irctl/lease/2"),
        ("more", 1),
    ],
)
def test_a_field_of_another_type_or_range_makes_no_lease(field: str, value: Any) -> None:
    document = json.loads(text(LEASE)) | {field: value}
    with pytest.raises(ValueError, match=r"."):
        parse(json.dumps(document).encode(), LEASE.run)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b"{" * 9, b'{"schema": "irctl/lease/1"}', b" " * (5 << 20)]
)
def test_what_is_no_lease_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(content, LEASE.run)


@pytest.mark.parametrize("damage", ["garbage", "nested", "huge", "a link", "a fifo", "a folder", "unknown numbers", "gone"])
def test_a_damaged_or_missing_file_is_told_and_its_lease_is_known_from_the_journal(tmp_path: Path, damage: str) -> None:
    hit, other = arm(tmp_path, 1), arm(tmp_path, 2)
    path = file_of(tmp_path, hit)
    content = path.read_bytes()
    path.unlink()
    if damage == "a link":
        path.symlink_to(file_of(tmp_path, other))
    elif damage == "a fifo":
        os.mkfifo(path)
    elif damage == "a folder":
        path.mkdir()
    elif damage != "gone":
        changed = {"garbage": b"{", "nested": b'{"a":' * 50_000, "huge": b"x" * (6 << 20)}
        path.write_bytes(changed.get(damage, content.replace(b'"seconds": 60', b'"seconds": "60"')))
    on = register.read(tmp_path)
    assert on.leases == [hit, other]
    [problem] = on.problems
    assert hit.run in problem
    assert "it is ended by what the journal knows of it" in problem
    assert problem in register.reminders(tmp_path)
    assert not register.listed(tmp_path)[0].failed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seconds", 1 << 39),
        ("limit", 1 << 40),
        ("hosts", ["db2"]),
        ("hosts", ["db1", "\ud800"]),
        ("remediation", "block-ip"),
        ("inventory", "/elsewhere"),
        ("content", "/elsewhere"),
        ("armed", {"utc": 4e18, "uptime": 4e18, "boot": moments.now().boot}),
        ("armed", {"utc": 4e18, "uptime": 1.0, "boot": "another"}),
    ],
)
def test_a_file_by_which_a_lease_would_end_later_or_elsewhere_than_the_journal_knows_is_damaged(
    tmp_path: Path, field: str, value: Any
) -> None:
    lease = arm(tmp_path, 1)
    path = file_of(tmp_path, lease)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), field: value}))
    on = register.read(tmp_path)
    assert on.leases == [lease]
    assert f"its {field} is not what the journal knows; it is ended by what the journal knows of it" in on.problems[0]


def test_a_lease_that_was_armed_in_a_time_to_come_ends() -> None:
    now = moments.now()
    assert replace(LEASE, armed=Moment(1.0, 4e18, now.boot)).due(now, {})


def test_an_attempt_that_was_made_in_a_time_to_come_keeps_no_lease_from_its_end() -> None:
    now = moments.now()
    tried = replace(LEASE, state="failed", attempts=4, armed=Moment(1.0, -60.0, now.boot), tried=Moment(4e18, 4e18, now.boot))
    assert tried.due(now, {})


@pytest.mark.parametrize("depth", ["[" * 100_000, '{"a":' * 50_000])
def test_a_record_of_a_host_that_is_nested_too_deeply_stops_no_lease(tmp_path: Path, depth: str) -> None:
    lease = arm(tmp_path, 1)
    near = register.of_host(runs.Folder(tmp_path, lease.run), "db1") / register.NEAR
    near.parent.mkdir(parents=True)
    near.write_text(depth)
    assert register.armed_at(tmp_path, lease) == {"db1": "controller"}
    near.replace(runs.Folder(tmp_path, lease.run).path / "run.json")
    with pytest.raises(EvidenceError):
        runs.Folder(tmp_path, lease.run).document("run.json")


def test_a_lease_that_ended_or_was_withdrawn_is_not_missed(tmp_path: Path) -> None:
    ended, withdrawn = arm(tmp_path, 1), arm(tmp_path, 2)
    register.ended(tmp_path, ended, "changed by a test")
    register.withdraw(tmp_path, withdrawn.run)
    on = register.read(tmp_path)
    assert (on.leases, on.problems) == ([], [])


def test_a_file_of_which_the_journal_knows_nothing_is_told_and_stops_no_other(tmp_path: Path) -> None:
    lease = arm(tmp_path, 1)
    file_of(tmp_path, replace(LEASE, run=RUN.format(9))).write_text("{}")
    on = register.read(tmp_path)
    assert on.leases == [lease]
    assert "nothing ends it; look at it, then remove it, or: irctl revert" in on.problems[0]


def test_a_lease_of_an_earlier_irctl_whose_file_is_gone_is_told(tmp_path: Path) -> None:
    from irctl.record import journal

    journal.append(
        tmp_path, {"event": "lease-armed", "run": LEASE.run, "remediation": "x", "hosts": ["a"], "seconds": 1, "by": "b"}
    )
    on = register.read(tmp_path)
    assert (on.leases, len(on.problems)) == ([], 1)
    assert "does not say enough" in on.problems[0]


def test_an_extension_outlives_its_file(tmp_path: Path) -> None:
    lease = register.extend(tmp_path, arm(tmp_path, 1), 600, approved=False)
    file_of(tmp_path, lease).unlink()
    assert register.listed(tmp_path) == [lease]


@pytest.mark.parametrize("content", ["{}", "[]", '{"at": {"utc": "x", "uptime": 1, "boot": "b"}, "every": 60, "uptimes": {}}',
                                     '{"at": {"utc": 1, "uptime": 1, "boot": "b"}, "every": 60, "uptimes": {"b": "long"}}',
                                     '{"at": {"utc": 1, "uptime": 1, "boot": "b"}, "every": 60, "uptimes": [1]}',
                                     '{"at": {"utc": NaN, "uptime": NaN, "boot": "b"}, "every": 60, "uptimes": {}}',
                                     '{"at": {"utc": 1, "uptime": 1, "boot": "b"}, "every": 9999999, "uptimes": {}}'])  # fmt: skip
def test_a_damaged_note_of_the_keeper_counts_as_none(tmp_path: Path, content: str) -> None:
    keeper.note(tmp_path, 60)
    (tmp_path / "leases" / "beat").write_text(content)
    assert keeper.uptimes(tmp_path) == {}
    assert "nothing here ends leases" in keeper.gone(tmp_path)
    keeper.note(tmp_path, 60)
    assert keeper.gone(tmp_path) == ""


def test_a_timer_that_fell_silent_is_started_again_and_one_that_never_was_is_installed(tmp_path: Path) -> None:
    assert keeper.gone(tmp_path).startswith("nothing here ends leases; install the timer that ends them: irctl leases install (or")
    keeper.note(tmp_path, 60)
    beat = tmp_path / "leases" / "beat"
    before, now = json.loads(beat.read_bytes()), moments.now()
    beat.write_text(json.dumps({**before, "at": {"utc": now.utc - 400, "uptime": now.uptime - 400, "boot": now.boot}}))
    silent = keeper.gone(tmp_path)
    assert re.match("what ends leases looks every 60 s and was last seen 40[0-9] s ago; to start its timer again", silent), silent
    assert "irctl leases install" in silent
    assert "irctl leases watch" in silent


def test_a_keeper_that_was_seen_at_a_time_to_come_is_gone(tmp_path: Path) -> None:
    keeper.note(tmp_path, 60)
    beat = tmp_path / "leases" / "beat"
    beat.write_text(json.dumps({**json.loads(beat.read_bytes()), "at": {"utc": 9e18, "uptime": 9e9, "boot": moments.now().boot}}))
    assert "a time to come" in keeper.gone(tmp_path)
