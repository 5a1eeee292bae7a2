"""The journal: a chain that names the line where it was broken, and loses nothing when many write at once."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from irctl import journal
from irctl.errors import EvidenceError

PROCESSES, EACH = 8, 50


def lines_of(home: Path) -> list[bytes]:
    return (home / "journal.jsonl").read_bytes().splitlines(keepends=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for number in range(5):
        journal.append(tmp_path, {"event": f"e{number}"})
    return tmp_path


def test_entries_are_numbered_chained_timed_and_for_their_owner_only(home: Path) -> None:
    entries = list(journal.read(home))
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry["event"] for entry in entries] == ["e0", "e1", "e2", "e3", "e4"]
    assert entries[0]["prev"] == journal.FIRST
    assert all(entry["at"].endswith("Z") and entry["monotonic"] > 0 for entry in entries)
    assert stat.S_IMODE((home / "journal.jsonl").stat().st_mode) == 0o600


def test_a_home_without_a_journal_has_no_entries(tmp_path: Path) -> None:
    assert list(journal.read(tmp_path / "nowhere")) == []
    assert not (tmp_path / "nowhere").exists()


def append_many(home: Path, writer: int) -> None:
    for number in range(EACH):
        journal.append(home, {"event": "many", "writer": writer, "number": number})


def test_eight_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(append_many, [tmp_path] * PROCESSES, range(PROCESSES)))
    entries = list(journal.read(tmp_path))
    assert len(entries) == PROCESSES * EACH
    assert {(entry["writer"], entry["number"]) for entry in entries} == {(w, n) for w in range(PROCESSES) for n in range(EACH)}


@pytest.mark.parametrize("torn", [b'{"seq":6,"ev', b'{"seq":6}', b"\x00\xff"])
def test_a_line_that_its_writer_did_not_finish_is_replaced_by_the_next(home: Path, torn: bytes) -> None:
    with (home / "journal.jsonl").open("ab") as file:
        file.write(torn)
    journal.append(home, {"event": "after"})
    assert [entry["event"] for entry in journal.read(home)] == ["e0", "e1", "e2", "e3", "e4", "after"]


TAMPERINGS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
    "changed": (lambda lines: [*lines[:1], lines[1].replace(b'"e1"', b'"x1"'), *lines[2:]], 3),
    "one bit": (lambda lines: [*lines[:1], lines[1].replace(b'"e1"', b'"e0"'), *lines[2:]], 3),
    "removed": (lambda lines: [*lines[:1], *lines[2:]], 2),
    "first removed": (lambda lines: lines[1:], 1),
    "inserted": (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),
    "swapped": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),
    "blank": (lambda lines: [*lines[:2], b"\n", *lines[2:]], 3),
    "not JSON": (lambda lines: [*lines[:2], b"hello\n", *lines[3:]], 3),
    "not an object": (lambda lines: [*lines[:2], b"[]\n", *lines[3:]], 3),
}


@pytest.mark.parametrize("how", TAMPERINGS)
def test_tampering_is_found_and_the_line_where_the_chain_breaks_is_named(home: Path, how: str) -> None:
    tamper, line = TAMPERINGS[how]
    (home / "journal.jsonl").write_bytes(b"".join(tamper(lines_of(home))))
    with pytest.raises(EvidenceError, match=rf"journal\.jsonl: .*line {line}\b"):
        list(journal.read(home))


def test_a_journal_that_cannot_be_written_is_lost_evidence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="cannot be written"):
        journal.append(tmp_path / "file", {"event": "x"})


def test_a_journal_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "journal.jsonl").symlink_to(tmp_path / "victim")
    with pytest.raises(EvidenceError, match="cannot be written"):
        journal.append(tmp_path, {"event": "x"})
    assert (tmp_path / "victim").read_text() == "precious"


def test_the_canonical_form_does_not_depend_on_the_order_of_keys() -> None:
    assert journal.canonical({"b": 1, "a": "ü"}) == journal.canonical({"a": "ü", "b": 1}) == '{"a":"ü","b":1}'.encode()
    assert json.loads(journal.canonical({"a": "ü"})) == {"a": "ü"}
