"""The journal: a chain that names the line where it was broken, and loses nothing when many write at once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from irctl.errors import EvidenceError
from irctl.record import journal

PROCESSES, EACH = 8, 1000
KILLS = 40


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


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where writers meet more often than on a disk that they wait for."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path) as folder:
        yield Path(folder)


def test_eight_processes_that_append_at_once_lose_nothing(memory: Path) -> None:
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(append_many, [memory] * PROCESSES, range(PROCESSES)))
    entries = list(journal.read(memory))
    assert len(entries) == PROCESSES * EACH
    assert {(entry["writer"], entry["number"]) for entry in entries} == {(w, n) for w in range(PROCESSES) for n in range(EACH)}


WRITER = """
import sys
from pathlib import Path
from irctl.record import journal
for number in range(1_000_000):
    head = journal.append(Path(sys.argv[1]), {"event": "many", "number": number, "text": "x" * (number * 997 % 20_000)})
    print(head.seq, head.head, flush=True)
"""


def test_forty_kills_at_random_moments_leave_all_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(4711)
    told: list[str] = []
    for _ in range(KILLS):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout
        told.append(writer.stdout.readline())
        time.sleep(chance.random() / 20)
        writer.kill()
        told += [line for line in writer.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
        entries = list(journal.read(tmp_path))
        hashes = [hashlib.sha256(line.rstrip(b"\n")).hexdigest() for line in lines_of(tmp_path)]
        assert all(hashes[int(seq) - 1] == head for seq, head in map(str.split, told))
        assert len(told) <= len(entries) <= len(told) + KILLS
    assert len(told) > KILLS


@pytest.mark.parametrize("torn", [b'{"seq":6,"ev', b'{"seq":6}', b"\x00\xff", b"x" * (200 << 10)])
def test_a_line_that_its_writer_did_not_finish_is_replaced_by_the_next(home: Path, torn: bytes) -> None:
    with (home / "journal.jsonl").open("ab") as file:
        file.write(torn)
    assert [entry["event"] for entry in journal.read(home)] == ["e0", "e1", "e2", "e3", "e4"]
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


@pytest.mark.parametrize("end", [b"\r", b"\r\n", b"\x0b", b"\xe2\x80\xa8"])
def test_only_a_line_feed_ends_a_line(home: Path, end: bytes) -> None:
    lines = lines_of(home)
    (home / "journal.jsonl").write_bytes(lines[0].rstrip(b"\n") + end + b"".join(lines[1:]))
    with pytest.raises(EvidenceError, match="line"):
        list(journal.read(home))


def test_appending_returns_the_number_and_the_hash_of_the_line(home: Path) -> None:
    assert journal.append(home, {"event": "e5"}) == (6, hashlib.sha256(lines_of(home)[-1].rstrip(b"\n")).hexdigest())


def test_what_makes_the_chain_cannot_be_given(home: Path) -> None:
    journal.append(home, {"event": "x", "seq": 1, "prev": "0" * 64, "at": "yesterday", "monotonic": -1})
    *_, last = journal.read(home)
    assert (last["seq"], last["event"]) == (6, "x")
    assert last["at"] > "2020"
    assert last["monotonic"] > 0


UNFIT: dict[str, dict[str, Any]] = {
    "too large": {"event": "x", "text": "x" * (256 << 10)},
    "not JSON": {"event": {1, 2}},
    "half a character": {"event": "\ud800"},
    "not a number": {"event": float("nan")},
}


@pytest.mark.parametrize("what", UNFIT)
def test_an_entry_that_cannot_be_kept_is_refused_and_nothing_is_written(home: Path, what: str) -> None:
    before = lines_of(home)
    with pytest.raises(EvidenceError, match=r"cannot be written: ['\w]") as caught:
        journal.append(home, UNFIT[what])
    assert "\n" not in str(caught.value)
    assert lines_of(home) == before
    journal.append(home, {"event": "after"})
    assert len(list(journal.read(home))) == 6


def test_entries_as_large_as_they_may_be_follow_each_other(tmp_path: Path) -> None:
    for _ in range(6):
        journal.append(tmp_path, {"event": "x", "text": "x" * (255 << 10)})
    assert [entry["seq"] for entry in journal.read(tmp_path)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("last", [b"[]\n", b"hello\n", b'{"seq":"x"}\n', b"\n", b"x" * (2 << 20)])
def test_nothing_is_appended_to_a_journal_whose_end_is_none(home: Path, last: bytes) -> None:
    with (home / "journal.jsonl").open("ab") as file:
        file.write(last)
    before = (home / "journal.jsonl").read_bytes()
    with pytest.raises(EvidenceError, match="cannot be written"):
        journal.append(home, {"event": "x"})
    assert (home / "journal.jsonl").read_bytes() == before


def test_a_disk_that_is_full_leaves_the_journal_as_it_was(home: Path) -> None:
    before = (home / "journal.jsonl").read_bytes()
    script = f"""
import resource, signal
from pathlib import Path
from irctl import errors
from irctl.record import journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 100}, {len(before) + 100}))
try:
    journal.append(Path({str(home)!r}), {{"event": "x" * 200}})
except errors.EvidenceError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout
    assert (home / "journal.jsonl").read_bytes() == before


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
