"""Records in the home that they were made in: swapped, sealed again, deleted or without a seal, each is found by the journal."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from irctl.errors import EvidenceError
from irctl.incidents import incidents
from irctl.record import anchored_check, home_check, journal, runs, seal
from irctl.record.anchored_check import Checked
from irctl.record.runs import Folder

RUNS = ("20261121T022311Z-db-connections-7f3a01", "20261121T022312Z-db-connections-7f3a02")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two runs and two incidents, all sealed but the incidents."""
    home = tmp_path / "home"
    for run in RUNS:
        folder = Folder(home, run)
        document = {"run": run, "remediation": "x", "incident": "", "check": False, "plan_hash": "", "hosts": ["a"]}
        runs.locks.release([runs.begin(folder, document)])
        runs.finish(folder, {"run": run, "outcome": "changed"})
        runs.close(folder)
    for title in ("one", "two"):
        incidents.open_incident(home, "ana", title, "P1")
    return home


def check(home: Path, run: str = RUNS[0]) -> Checked:
    return anchored_check.check(home / "runs" / run, home)


def named(checked: Checked) -> str:
    return " ".join(map(str, checked.differences))


def test_each_record_is_anchored_and_nothing_is_missing(home: Path) -> None:
    assert all(check(home, run).anchored and not check(home, run).differences for run in RUNS)
    assert list(home_check.faults(home)) == []


def _copied(home: Path) -> None:
    shutil.rmtree(home / "runs" / RUNS[0])
    shutil.copytree(home / "runs" / RUNS[1], home / "runs" / RUNS[0])


def _swapped(home: Path) -> None:
    first, second = (home / "runs" / run for run in RUNS)
    first.rename(home / "aside")
    second.rename(first)
    (home / "aside").rename(second)


def _linked(home: Path) -> None:
    shutil.rmtree(home / "runs" / RUNS[0])
    (home / "runs" / RUNS[0]).symlink_to(RUNS[1])


def _copied_and_sealed(home: Path) -> None:
    """The other record, under this name in its manifest too."""
    _copied(home)
    seal.seal(home / "runs" / RUNS[0], RUNS[0])


def _sealed_again(home: Path) -> None:
    (home / "runs" / RUNS[0] / "result.json").write_text('{"outcome":"unchanged"}')
    seal.seal(home / "runs" / RUNS[0], RUNS[0])


def _sealed_again_and_told(home: Path) -> None:
    """As somebody does who can write to the journal."""
    _sealed_again(home)
    manifest = seal.manifest(home / "runs" / RUNS[0])[1]
    journal.append(home, {"event": "run-sealed", "run": RUNS[0], "outcome": "unchanged", "manifest": manifest})


def _planted(home: Path) -> None:
    """A record that never was a run, of a journal whose tail was cut off."""
    path = home / "journal.jsonl"
    path.write_bytes(b"".join(line for line in path.read_bytes().splitlines(keepends=True) if RUNS[0].encode() not in line))
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    path.unlink()
    for line in lines:
        journal.append(home, {key: line[key] for key in line if key not in ("seq", "at", "monotonic", "prev")})


TAMPERINGS: dict[str, tuple[Callable[[Path], None], str]] = {
    "copied over": (_copied, "swapped: manifest.json (it is of"),
    "swapped": (_swapped, "swapped: manifest.json (it is of"),
    "a link to the other": (_linked, "swapped: manifest.json (it is of"),
    "copied and sealed": (_copied_and_sealed, "swapped: run.json (it is of"),
    "sealed again": (_sealed_again, "changed: manifest.json (the journal knows another)"),
    "sealed again and told": (_sealed_again_and_told, "the journal knows 2 seals, and a run is sealed once"),
    "unknown to the journal": (_planted, "unknown: manifest.json (the journal of this home knows no seal of it)"),
}


@pytest.mark.parametrize("how", TAMPERINGS)
def test_a_record_that_is_not_the_one_of_its_name_is_found(home: Path, how: str) -> None:
    tamper, why = TAMPERINGS[how]
    tamper(home)
    checked = check(home)
    assert why in named(checked)
    assert not (checked.anchored and not checked.differences)
    assert [one for one in home_check.faults(home) if RUNS[0] in one]


def test_a_record_without_its_seal_is_told_apart_from_one_that_never_had_it(home: Path) -> None:
    (home / "runs" / RUNS[0] / "manifest.json").unlink()
    with pytest.raises(EvidenceError, match="the journal of this home knows that it was sealed"):
        check(home)
    assert [one for one in home_check.faults(home) if RUNS[0] in one]
    shutil.copytree(home / "runs" / RUNS[0], home.parent / "copy")
    with pytest.raises(EvidenceError) as caught:
        anchored_check.check(home.parent / "copy", home)
    assert "knows" not in str(caught.value)


def test_whole_records_that_were_deleted_are_missed(home: Path) -> None:
    shutil.rmtree(home / "runs" / RUNS[0])
    incident = incidents.listed(home)[0]
    shutil.rmtree(home / "incidents" / incident)
    assert list(home_check.faults(home)) == [f"the record of run {RUNS[0]} is gone", f"the record of incident {incident} is gone"]
    shutil.rmtree(home / "runs")
    assert len(list(home_check.faults(home))) == 3


def test_a_run_that_was_deleted_before_it_was_sealed_is_missed_and_one_under_way_is_not(home: Path) -> None:
    folder = Folder(home, RUNS[0].replace("7f3a01", "7f3a03"))
    document = {"run": folder.run, "remediation": "x", "incident": "", "check": False, "plan_hash": "", "hosts": ["a"]}
    held = runs.begin(folder, document)
    assert list(home_check.faults(home)) == []
    runs.locks.release([held])
    shutil.rmtree(folder.path)
    folder.marker.unlink()
    assert list(home_check.faults(home)) == [f"the record of run {folder.run} is gone"]


@pytest.mark.parametrize("lines", [1, 2])
def test_a_cut_journal_of_an_incident_is_missed_also_when_it_went_on(home: Path, lines: int) -> None:
    incident = incidents.listed(home)[0]
    for number in range(3):
        incidents.record(home, incident, {"event": "note", "text": str(number), "by": "ana"})
    path = home / "incidents" / incident / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-lines]))
    [fault] = home_check.faults(home)
    assert f"incident {incident}: missing: journal.jsonl: {lines} line" in fault
    incidents.record(home, incident, {"event": "note", "text": "as if nothing was", "by": "eve"})
    assert any("the journal of this home knows another" in one for one in home_check.faults(home))


def test_a_run_whose_process_was_killed_right_after_its_seal_is_not_sealed_twice(home: Path) -> None:
    folder = Folder(home, RUNS[0])
    before = (folder.path / "manifest.json").read_bytes()
    digest = runs.finish(folder, folder.document("result.json"))
    assert digest == hashlib.sha256(before).hexdigest()
    assert (folder.path / "manifest.json").read_bytes() == before
    assert check(home).anchored


def test_packs_of_incidents_that_changed_places_are_found(home: Path) -> None:
    from irctl.catalog import config
    from irctl.incidents import pack

    settings = config.load({"home": str(home)}, {"XDG_CONFIG_HOME": str(home)})
    first, second = incidents.listed(home)
    for incident in (first, second):
        pack.pack(home, incident, settings)
        assert anchored_check.check(home / "incidents" / incident, home).anchored
    shutil.rmtree(home / "incidents" / first)
    shutil.copytree(home / "incidents" / second, home / "incidents" / first)
    assert "swapped: manifest.json" in named(anchored_check.check(home / "incidents" / first, home))
    assert any(first in one for one in home_check.faults(home))


def test_an_incident_whose_journal_was_cut_is_not_packed(home: Path) -> None:
    from irctl.catalog import config
    from irctl.incidents import pack

    settings = config.load({"home": str(home)}, {"XDG_CONFIG_HOME": str(home)})
    incident = incidents.listed(home)[0]
    incidents.record(home, incident, {"event": "note", "text": "I did it", "by": "ana"})
    path = home / "incidents" / incident / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(EvidenceError, match=r"cannot be packed: missing: .* 1 line is missing at the end") as caught:
        pack.pack(home, incident, settings)
    assert caught.value.exit_code == 8
    assert not (home / "incidents" / incident / "manifest.json").exists()
