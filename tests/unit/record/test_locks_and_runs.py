"""One run for each target at a time, and runs found by their ids."""

from __future__ import annotations

import multiprocessing
import os
import stat
from dataclasses import asdict
from pathlib import Path

import pytest

from irctl.errors import BUSY, Busy, EvidenceError, Invalid
from irctl.record import locks, runs
from irctl.record.run_id import new_id
from irctl.running.results import Step

RUN = "20261121T022311Z-db-connections-7f3a01"
OTHER = "20261121T022312Z-db-connections-7f3a02"


def test_a_target_that_is_held_is_busy_and_the_run_that_holds_it_is_named(tmp_path: Path) -> None:
    locks.hold_targets(tmp_path, "postgresql", ["a", "b"], RUN)
    with pytest.raises(Busy, match=f"b is busy: {RUN} works on its postgresql") as caught:
        locks.hold_targets(tmp_path, "postgresql", ["b", "c"], OTHER)
    assert caught.value.exit_code == BUSY


def test_of_targets_that_overlap_none_is_held(tmp_path: Path) -> None:
    locks.hold_targets(tmp_path, "postgresql", ["b"], RUN)
    with pytest.raises(Busy):
        locks.hold_targets(tmp_path, "postgresql", ["a", "b", "c"], OTHER)
    locks.hold_targets(tmp_path, "postgresql", ["a", "c"], OTHER)


def test_another_service_or_another_host_is_free(tmp_path: Path) -> None:
    locks.hold_targets(tmp_path, "postgresql", ["a"], RUN)
    locks.hold_targets(tmp_path, "redis", ["a"], OTHER)
    locks.hold_targets(tmp_path, "postgresql", ["b", "../../x"], OTHER)
    assert not list(tmp_path.parent.glob("x*"))


def test_a_target_is_free_again_when_released(tmp_path: Path) -> None:
    locks.release(locks.hold_targets(tmp_path, "postgresql", ["a"], RUN))
    locks.release(locks.hold_targets(tmp_path, "postgresql", ["a"], OTHER))


def _hold_and_die(home: Path) -> None:
    locks.hold_targets(home, "postgresql", ["a"], RUN)
    os._exit(9)


def test_a_target_is_free_again_when_its_process_died(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_hold_and_die, args=[tmp_path])
    process.start()
    process.join()
    assert process.exitcode == 9
    locks.release(locks.hold_targets(tmp_path, "postgresql", ["a"], OTHER))


def test_a_lock_is_for_its_owner_only_and_no_link_is_followed(tmp_path: Path) -> None:
    held = locks.hold(tmp_path / "locks" / "x", "note")
    assert held is not None
    assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "locks" / "x").stat().st_mode) == 0o600
    (tmp_path / "locks" / "y").symlink_to(tmp_path / "victim")
    with pytest.raises(EvidenceError, match="symbolic links"):
        locks.hold(tmp_path / "locks" / "y")
    locks.release([held])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in (RUN, OTHER, "not-a-run"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    return tmp_path


def test_a_new_id_is_the_id_of_a_run() -> None:
    assert runs.RUN_ID.fullmatch(new_id("db-connections"))
    assert len({new_id("x") for _ in range(100)}) == 100


@pytest.mark.parametrize("text", [RUN, RUN[:16], "7f3a01", "db-connections-7f3a01"])
def test_a_run_is_found_by_its_id_or_by_the_start_or_end_of_it(home: Path, text: str) -> None:
    assert runs.find(home, text).run == RUN


def test_runs_are_listed_newest_first(home: Path) -> None:
    assert [folder.run for folder in runs.listed(home)] == [OTHER, RUN]


def test_what_names_two_runs_names_none(home: Path) -> None:
    with pytest.raises(Invalid, match="more than one run is called '20261121T'"):
        runs.find(home, "20261121T")


@pytest.mark.parametrize("text", ["not-a-run", "7f3a", "3a01", "20261122"])
def test_what_names_no_run_is_refused(home: Path, text: str) -> None:
    with pytest.raises(Invalid, match="no run is called"):
        runs.find(home, text)


@pytest.mark.parametrize(
    "text", ["", "../../x", "/etc/passwd", "a/b", "x\n", f"{RUN}\n", ".", "..", "%2e%2e", "a\x00b", "x" * 91, "٧f3a01", "*"]
)
def test_what_cannot_be_an_id_is_refused_before_any_look(home: Path, text: str) -> None:
    with pytest.raises(Invalid, match="RUN: not the id of a run"):
        runs.find(home, text)


def test_the_phase_under_way_and_where_hosts_stopped_are_read_though_the_last_line_was_cut_short(home: Path) -> None:
    steps = [
        Step("Gather"),
        Step("Gather", "a", True, 0.1, "ok"),
        Step("Gather", "b", True, 0.1, "ok"),
        Step("Guard"),
        Step("Guard", "a", True, 0.1, "ok"),
        Step("Guard", "b", True, 0.1, "failed", "No."),
        Step("Gather", "c", True, 0.1, "unreachable", "no route"),
        Step("Change"),
    ]
    with runs.open_steps(runs.Folder(home, RUN)) as file:
        for step in steps:
            runs.write_step(runs.Folder(home, RUN), file, asdict(step))
        file.write('{"host":"","phase":"Verify","sta')
    damage = b"\n\0\0\xff\n1\n[]\n{}\n" + b"[" * 100_000 + b"\n"  # as after a power cut
    with (runs.Folder(home, RUN).path / "steps.jsonl").open("ab") as damaged:
        damaged.write(damage)
    assert runs.last_steps(runs.Folder(home, RUN)) == {"": "Change", "b": "Guard", "c": "Gather"}
    assert runs.last_steps(runs.Folder(home, OTHER)) == {}


def test_a_full_disk_is_noticed_before_anything_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "ROOM", 1 << 62)
    with pytest.raises(EvidenceError, match=r"MiB free and a record needs .* nothing was run"):
        runs.require_room(tmp_path / "not" / "yet" / "there")
