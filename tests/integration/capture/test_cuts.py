"""What is kept of files over the limit: the programs that read them read what was kept, and each cut is in the result."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import cuts, host_capture, selection, snapshots
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.snapshots import Piece
from tests.integration.capture.test_capture_evidence import Here, files, kept

MOST = 1 << 20
RECORD = struct.Struct("<hxxi32s4s32s256shhiii4i20s")  # of utmp on x86-64


def login(number: int, user: str) -> bytes:
    host = f"host{number}".encode()
    return RECORD.pack(7, number, b"pts/0", b"ts/0", user.encode(), host, 0, 0, 0, 1_795_000_000 + number, 0, 0, 0, 0, 0, b"")


def taken(path: Path, folder: Path, most: int = MOST) -> tuple[Piece, bytes]:
    """Capture one file with this limit; the piece, and what it holds, as it is taken apart on the controller."""
    rules = selection.checked_rules([str(path.parent)], [str(path)], largest=most)
    folder.mkdir()
    with snapshots.making(str(folder), "test") as snapshot:
        [candidate] = selection.choose(selection.survey(rules), rules).wanted
        assert host_capture.take_file(candidate, rules, snapshot) == ""
    [piece] = snapshot.kept
    snapshots.unpack(snapshot.path, [(piece.name, piece.size, piece.sha256)], str(folder / "kept"))
    content, whole = (folder / "kept" / piece.name).read_bytes(), path.read_bytes()
    assert content == b"".join(whole[begin : begin + length] for begin, length in piece.extents)
    return piece, content


def put_back(content: bytes, extents: list[tuple[int, int]], path: Path) -> None:
    """As docs/evidence.md says it is done."""
    with path.open("wb") as file:
        for begin, length in extents:
            file.seek(begin)
            file.write(content[:length])
            content = content[length:]


def test_of_a_sparse_lastlog_every_record_is_kept_and_no_hole(tmp_path: Path) -> None:
    """Its size is that of the largest user id, so that its end is nothing but zeros."""
    path = tmp_path / "log" / "lastlog"
    path.parent.mkdir()
    root, nobody = (struct.pack("<i32s256s", 1_795_000_000, b"pts/0", host) for host in (b"of-root", b"of-uid"))
    with path.open("wb") as file:
        file.write(root)
        file.seek(292 * 1_000_000)
        file.write(nobody)
        file.truncate(292 * 4_000_000)
    rules = selection.checked_rules([str(path.parent)], [str(path)], largest=MOST)
    (tmp_path / "tmp").mkdir()
    with snapshots.making(str(tmp_path / "tmp"), "test") as snapshot:
        [candidate] = selection.choose(selection.survey(rules), rules).wanted
        assert rules.taken(candidate.file) < 64 << 10
        assert host_capture.take_file(candidate, rules, snapshot) == ""
    [piece] = snapshot.kept
    content = Path(snapshot.path).read_bytes()
    assert piece.size == len(content) < 64 << 10
    assert piece.note == f"a sparse file of {292 * 4_000_000} bytes: its {piece.size} bytes of data, the holes left out"
    put_back(content, piece.extents, tmp_path / "back")
    with (tmp_path / "back").open("rb") as back:
        assert back.read(292) == root
        back.seek(292 * 1_000_000)
        assert back.read(292) == nobody


def test_of_a_sparse_file_with_too_much_data_the_first_and_the_last_data_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log" / "some.db"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(b"a" * (2 << 20))
        file.seek(100 << 20)
        file.write(b"\0z" * (1 << 20))
    extents = cuts.cut(os.open(path, os.O_RDONLY), "some.db", path.stat().st_size, MOST)
    assert extents.bytes == MOST
    assert (extents.extents[0], extents.extents[-1][0] + extents.extents[-1][1]) == ((0, MOST // 4), path.stat().st_size)
    assert extents.note.endswith(f"the first and last {MOST} of its {4 << 20} bytes of data")


def test_a_file_that_is_nothing_but_a_hole_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "log" / "faillog"
    path.parent.mkdir()
    path.touch()
    os.truncate(path, 2 << 20)
    piece, content = taken(path, tmp_path / "t")
    assert (content, piece.is_odd) == (b"", True)
    assert piece.note == f"a sparse file of {2 << 20} bytes: its 0 bytes of data, the holes left out"


def test_a_log_that_was_truncated_under_its_writer_begins_with_a_hole_and_is_kept_whole(tmp_path: Path) -> None:
    """As logrotate's copytruncate has it."""
    path = tmp_path / "log" / "app.log"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.seek(500 << 20)
        file.write(b"a line\n" * 1000)
    descriptor = os.open(path, os.O_RDONLY)
    cut = cuts.cut(descriptor, "app.log", path.stat().st_size, MOST)
    os.close(descriptor)
    assert cut.bytes < 64 << 10
    assert "its " in cut.note


@pytest.mark.parametrize("name", ["wtmp", "btmp", "btmp.1", "wtmp-20261101"])
def test_logins_are_cut_between_records_and_last_reads_the_first_and_the_last(tmp_path: Path, name: str) -> None:
    path = tmp_path / "log" / name
    path.parent.mkdir()
    path.write_bytes(b"".join(login(number, f"user{number}") for number in range(4000)))
    piece, content = taken(path, tmp_path / "t")
    assert len(content) % RECORD.size == 0
    assert MOST - 2 * RECORD.size < len(content) <= MOST
    assert piece.note.startswith("a record of logins, 384 bytes each: its first ")
    (tmp_path / "kept.wtmp").write_bytes(content)
    shown = subprocess.run(["utmpdump", tmp_path / "kept.wtmp"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(shown) == len(content) // RECORD.size
    assert ("user0" in shown[0], "user3999" in shown[-1]) == (True, True)


def test_a_login_that_is_being_written_and_a_record_of_another_size_are_no_reason_to_cut_one(tmp_path: Path) -> None:
    path = tmp_path / "log" / "wtmp"
    path.parent.mkdir()
    path.write_bytes(b"".join(login(number, "u") + bytes(16) for number in range(4000)) + b"\7\0half")
    piece, content = taken(path, tmp_path / "t")
    assert piece.note.startswith("a record of logins, 400 bytes each")
    assert all(begin % 400 == 0 for begin, _ in piece.extents)
    assert content.endswith(b"\7\0half")


def _pcap(packets: int, order: str = "<") -> bytes:
    head = struct.pack(f"{order}IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    sizes = [60 + number % 7 for number in range(packets)]
    headers = [struct.pack(f"{order}IIII", number, 0, size, size) for number, size in enumerate(sizes)]
    return head + b"".join(header + bytes(size) for header, size in zip(headers, sizes, strict=True))


def _packets(content: bytes, order: str = "<") -> list[int]:
    """The seconds of each packet, as somebody reads a pcap who knows nothing of a cut."""
    at, found = 24, []
    while at < len(content):
        seconds, _, length, _ = struct.unpack_from(f"{order}IIII", content, at)
        assert length in range(60, 67)
        found.append(seconds)
        at += 16 + length
    assert at == len(content)
    return found


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_capture_of_packets_stays_one_with_its_first_and_last_packets(tmp_path: Path, order: str) -> None:
    path = tmp_path / "log" / "trace.pcap"
    path.parent.mkdir()
    path.write_bytes(_pcap(30_000, order) + b"half a packet"[:10])
    piece, content = taken(path, tmp_path / "t")
    packets = _packets(content[:-10], order)
    assert (packets[0], packets[-1]) == (0, 29_999)
    assert "at packets" in piece.note


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def test_a_newer_capture_keeps_the_interfaces_that_its_packets_name(tmp_path: Path) -> None:
    path = tmp_path / "log" / "trace.pcapng"
    path.parent.mkdir()
    section = _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    interface = _block(1, struct.pack("<HHI", 1, 0, 65535))
    packets = [_block(6, struct.pack("<IIIII", number % 2, 0, number, 60, 60) + bytes(60)) for number in range(30_000)]
    path.write_bytes(section + interface + b"".join(packets[:10_000]) + interface + b"".join(packets[10_000:]))
    _, content = taken(path, tmp_path / "t")
    kinds, at = [], 0
    while at < len(content):
        kind, length = struct.unpack_from("<II", content, at)
        kinds.append(kind)
        at += length
    assert (kinds[:2], kinds.count(1), kinds[-1]) == ([0x0A0D0D0A, 1], 2, 6)
    assert len(content) <= MOST
    assert content.endswith(packets[-1])


def test_a_damaged_capture_of_packets_is_not_walked_into_the_void(tmp_path: Path) -> None:
    path = tmp_path / "log" / "trace.pcap"
    path.parent.mkdir()
    whole = bytearray(_pcap(30_000))
    whole[24 + 8 : 24 + 12] = b"\xff\xff\xff\xff"
    path.write_bytes(whole)
    piece, content = taken(path, tmp_path / "t")
    assert piece.note.startswith("of a format that is not known: its first 262144 and last 7")
    assert content[:24] == bytes(whole[:24])


def test_a_database_is_cut_at_pages_and_reads_again_where_they_stood(tmp_path: Path) -> None:
    path = tmp_path / "log" / "events.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA page_size = 1024")
        database.execute("CREATE TABLE event (number INTEGER PRIMARY KEY, what TEXT)")
        rows = ((number, f"event {number} " + "x" * 100) for number in range(30_000))
        database.executemany("INSERT INTO event VALUES (?, ?)", rows)
    database.close()
    piece, content = taken(path, tmp_path / "t")
    assert piece.note.startswith("a database of SQLite: its first ")
    assert all(begin % 1024 == 0 for begin, _ in piece.extents)
    put_back(content, piece.extents, tmp_path / "back.sqlite")
    os.truncate(tmp_path / "back.sqlite", path.stat().st_size)
    with sqlite3.connect(tmp_path / "back.sqlite") as back:
        assert back.execute("SELECT sql FROM sqlite_master").fetchone()[0].startswith("CREATE TABLE event")
    back.close()


def test_of_what_is_not_known_the_head_and_the_end_are_kept_and_said(tmp_path: Path) -> None:
    path = tmp_path / "log" / "blob"
    path.parent.mkdir()
    path.write_bytes(b"MAGIC\0" + os.urandom(3 << 20) + b"\0END")
    piece, content = taken(path, tmp_path / "t")
    assert (content[:6], content[-4:]) == (b"MAGIC\0", b"\0END")
    assert piece.note.startswith("of a format that is not known: its first 262144 and last ")


@pytest.mark.parametrize(
    ("start", "name", "layout"),
    [
        (b"LPKSHHRH", "system.journal", "a journal of systemd"),
        (b"\x37\x7f\x06\x82" + bytes(4) + b"\0\0\x10\0", "x-wal", "a write-ahead log of SQLite"),
        (b"ElfFile\0", "Security.evtx", "an event log of Windows"),
        (b"\x02\x03" + bytes(62), "pacct", "a record of processes, 64 bytes each"),
    ],
    ids=["journal", "wal", "evtx", "pacct"],
)
def test_a_format_is_told_by_what_is_in_it(tmp_path: Path, start: bytes, name: str, layout: str) -> None:
    path = tmp_path / "log" / name
    path.parent.mkdir()
    path.write_bytes(start + bytes(32) + os.urandom(3 << 20))
    piece, content = taken(path, tmp_path / "t")
    assert piece.note.startswith(f"{layout}: its first ")
    assert content.startswith(start)


def test_what_was_cut_is_said_in_the_result_and_in_the_listing(tmp_path: Path) -> None:
    here = Here(tmp_path)
    (here.root / "btmp").write_bytes(b"".join(login(number, "guess") for number in range(4000)))
    (here.root / "app.log").write_text("a line\n")
    done = here.capture("--max-file-mib", "1")
    assert done.code == 0, done.err
    listed: dict[str, Any] = files(kept(done)[1])
    assert "extents" not in listed["app.log"]
    assert sum(length for _, length in listed["btmp"]["extents"]) == listed["btmp"]["bytes"]
    assert f"in part: {here.root}/btmp: a record of logins, 384 bytes each: its first " in done.host("here")["reason"]
