"""Collecting: only regular files below declared roots, through no link, and what is archived is what was hashed."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from irctl.errors import EvidenceError, Invalid, Refused
from irctl.incidents import collect, incidents
from irctl.incidents.collect import Collected, Rules
from irctl.record import journal
from tests.cli.conftest import listing


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def incident(home: Path) -> str:
    return incidents.open_incident(home, "ana", "It is down", "P1", "linguamate")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with two logs in it, one in a folder of its own."""
    folder = Path(os.path.realpath(tmp_path)) / "logs"
    (folder / "app").mkdir(parents=True)
    (folder / "a.log").write_text("a line\n")
    (folder / "app" / "b.log").write_text("b line\n" * 1000)
    return folder


@pytest.fixture
def take(home: Path, incident: str, logs: Path) -> Any:
    def take(*paths: Path, **more: Any) -> Collected:
        limits = {key: more.pop(key) for key in ("largest", "total") if key in more}
        rules = Rules(tuple(more.pop("roots", (logs,))), **limits)
        return collect.collect(home, incident, paths or (logs,), rules, "ana", **more)

    return take


def kept(home: Path, done: Collected) -> dict[str, bytes]:
    """What lies in the archive by its name in the incident's folder, and that it is what the listing says."""
    folder = home / "incidents" / done.incident
    for one in done.files:
        content = (folder / one.name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (one.sha256, one.bytes)
        assert stat.S_IMODE((folder / one.name).stat().st_mode) == 0o600
    return {Path(one.source).name: (folder / one.name).read_bytes() for one in done.files}


def skips(done: Collected) -> dict[str, str]:
    return {os.path.basename(one.path): one.reason for one in done.skipped}


def test_a_folder_is_taken_with_all_below_it_and_listed(take: Any, home: Path, logs: Path) -> None:
    done = take()
    assert kept(home, done) == {"a.log": b"a line\n", "b.log": b"b line\n" * 1000}
    assert not done.skipped
    folder = home / "incidents" / done.incident
    assert done.into.startswith("evidence/collected/")
    assert (folder / f"{done.into}/files{logs}/app/b.log").is_file()
    listed = json.loads((folder / done.into / "collected.json").read_text())
    assert listed == collect.document(done)
    assert [one["source"] for one in listed["files"]] == [f"{logs}/a.log", f"{logs}/app/b.log"]
    assert listed["files"][0]["modified"].endswith("Z")
    assert list((home / "staging").iterdir()) == []


def test_the_journal_of_the_incident_tells_of_it(take: Any, home: Path, logs: Path) -> None:
    (logs / "link").symlink_to("a.log")
    done = take()
    *_, entry = journal.read(home / "incidents" / done.incident)
    assert (entry["event"], entry["by"], entry["into"]) == ("collected", "ana", done.into)
    assert (entry["files"], entry["bytes"], entry["skipped"]) == (2, 7007, 1)
    listing_ = home / "incidents" / done.incident / done.into / "collected.json"
    assert entry["listing"] == hashlib.sha256(listing_.read_bytes()).hexdigest()


def test_one_log_lies_under_its_label(take: Any, home: Path, logs: Path) -> None:
    first, second = (take(logs / "a.log", logs=True, label="frontend") for _ in range(2))
    assert first.into.startswith("logs/frontend-20")
    assert first.into.endswith("Z.log")
    assert second.into != first.into
    assert kept(home, first) == kept(home, second) == {"a.log": b"a line\n"}
    folder = home / "incidents" / first.incident
    assert json.loads((folder / first.into.replace(".log", ".json")).read_text()) == collect.document(first)


def test_many_logs_lie_in_a_folder_under_logs(take: Any, home: Path, logs: Path) -> None:
    done = take(logs, logs=True, label="frontend")
    assert done.into.startswith("logs/frontend-20")
    assert len(kept(home, done)) == 2


def test_collecting_twice_in_a_second_keeps_both(take: Any, home: Path) -> None:
    places = {take().into for _ in range(5)}
    assert len(places) == 5
    assert len(list((home / "incidents").glob("*/evidence/collected/*"))) == 5


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 20)


def make_socket(path: Path) -> None:
    import socket

    socket.socket(socket.AF_UNIX).bind(str(path))


UNFIT = {
    "a link": (lambda path: path.symlink_to("a.log"), "not a regular file: a link"),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), "not a regular file: a link"),
    "a link to a folder": (lambda path: path.symlink_to("/etc"), "not a regular file: a link"),
    "a hard link": (lambda path: path.hardlink_to(path.parent / "app" / "b.log"), "it has 2 names (hard links)"),
    "a pipe": (os.mkfifo, "not a regular file: a pipe"),
    "a socket": (make_socket, "not a regular file: a socket"),
    "a sparse file": (make_sparse, "it has holes (a sparse file)"),
    "a large file": (lambda path: path.write_bytes(b"x" * 20_000), "larger than --largest: 20000 bytes"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_is_no_plain_file_is_skipped_with_its_reason(take: Any, home: Path, logs: Path, what: str) -> None:
    make, reason = UNFIT[what]
    make(logs / "odd")
    done = take(largest=20 << 20 if what == "a sparse file" else 10_000)
    assert skips(done)["odd"] == reason
    assert kept(home, done)["a.log"] == b"a line\n"
    assert "odd" not in kept(home, done)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_not_read(take: Any, logs: Path) -> None:
    os.mknod(logs / "odd", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    assert skips(take()) == {"odd": "not a regular file: a device"}


def test_a_hard_link_to_a_secret_is_not_read(take: Any, home: Path, logs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    (logs / "app" / "harmless.log").hardlink_to(tmp_path / "secret")
    take()
    assert "s3cret" not in "".join(path.read_text() for path in home.rglob("*") if path.is_file())


def test_no_path_leads_through_a_link(take: Any, home: Path, logs: Path) -> None:
    (logs / "door").symlink_to(logs / "app")
    before = listing(home / "incidents")
    with pytest.raises(EvidenceError, match=r"nothing was taken: .*: a link, or what is no folder, stands in its path"):
        take(logs / "door" / "b.log")
    assert listing(home / "incidents") == before


def test_a_root_that_is_a_link_opens_nothing(take: Any, logs: Path, tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to(logs)
    with pytest.raises(EvidenceError, match="a link, or what is no folder, stands in its path"):
        take(tmp_path / "root" / "a.log", roots=(tmp_path / "root",))


@pytest.mark.parametrize("path", ["../secret", "app/../../secret", "/etc/passwd", "/"])
def test_what_is_not_below_a_root_is_refused_before_anything_is_read(take: Any, home: Path, logs: Path, path: str) -> None:
    before = listing(home)
    with pytest.raises(Invalid, match="PATH: "):
        take(logs / "a.log", logs / path)
    assert listing(home) == before


def test_without_a_root_nothing_may_be_taken(take: Any, home: Path) -> None:
    before = listing(home)
    with pytest.raises(Invalid, match="--root: at least one folder is needed"):
        take(roots=())
    assert listing(home) == before


def test_a_root_whose_name_only_begins_the_same_is_another(take: Any, logs: Path) -> None:
    (logs.parent / "logs-of-others").mkdir()
    with pytest.raises(Invalid, match="PATH: not below"):
        take(logs.parent / "logs-of-others")


def test_the_total_is_not_exceeded(take: Any, home: Path, logs: Path) -> None:
    (logs / "c.log").write_text("c" * 6000)
    done = take(total=7_500)
    assert skips(done) == {"c.log": "more than --total: 6000 bytes, and 493 are left"}
    assert done.bytes == 7007


def test_a_file_that_is_gone_or_cannot_be_read_is_skipped(take: Any, logs: Path) -> None:
    assert skips(take(logs, logs / "gone.log")) == {"gone.log": "no such file or directory"}


def test_a_collection_of_nothing_is_an_error_and_leaves_nothing(take: Any, home: Path, logs: Path) -> None:
    (logs / "empty").mkdir()
    before = listing(home / "incidents")
    with pytest.raises(EvidenceError, match="nothing was taken: there are no files"):
        take(logs / "empty")
    with pytest.raises(EvidenceError, match=r"nothing was taken: .*/gone: no such file or directory"):
        take(logs / "gone")
    assert listing(home / "incidents") == before
    assert list((home / "staging").iterdir()) == []


def test_a_closed_incident_takes_no_more(take: Any, home: Path, incident: str) -> None:
    incidents.record(home, incident, {"event": "closed", "by": "ana"})
    before = listing(home)
    with pytest.raises(Refused, match="is closed"):
        take()
    assert listing(home) == before


def test_what_is_named_twice_is_taken_once(take: Any, home: Path, logs: Path) -> None:
    (logs / "link").symlink_to("a.log")
    done = take(logs, logs / "app" / "b.log", logs, logs / "link")
    assert len(kept(home, done)) == len(done.files) == 2
    assert len(done.skipped) == 1


def test_an_empty_file_is_a_file(take: Any, home: Path, logs: Path) -> None:
    (logs / "empty.log").touch()
    assert kept(home, take())["empty.log"] == b""


NAMES = [b"\xff\xfe", "größe.log".encode(), b"a\nb", b"100%", b"a%0Ab", b"\x1b[2J", b"-rf", b" ", b"collected.json"]


def test_names_of_every_kind_are_kept_apart_and_told(take: Any, home: Path, logs: Path) -> None:
    for number, name in enumerate(NAMES):
        (logs / "app" / os.fsdecode(name)).write_text(str(number))
    done = take()
    assert len(kept(home, done)) == 2 + len(NAMES)
    folder = home / "incidents" / done.incident
    assert all(name.isprintable() for _, _, names in os.walk(folder / done.into) for name in names)
    text = (folder / done.into / "collected.json").read_text()
    assert all(line.isprintable() for line in text.splitlines())
    assert {one["source"] for one in json.loads(text)["files"]} >= {f"{logs}/app/größe.log", f"{logs}/app/a\\nb"}


def test_a_name_that_grows_too_long_is_skipped(take: Any, logs: Path) -> None:
    (logs / ("%" * 200)).touch()
    assert skips(take()) == {"%" * 200: "file name too long"}


def test_a_folder_without_bottom_is_left_at_a_depth(take: Any, logs: Path) -> None:
    (logs / "/".join("d" * 70)).mkdir(parents=True)
    assert skips(take()) == {"d": "more than 64 folders deep"}


def test_the_home_itself_is_left_out(take: Any, home: Path, logs: Path) -> None:
    done = take(logs.parent, roots=(logs.parent,))
    assert skips(done) == {"home": "the home of irctl itself"}
    assert len(done.files) == 2


def test_a_log_that_grows_is_cut_at_what_it_had(take: Any, home: Path, logs: Path) -> None:
    """H18: twenty times, the archive is what was hashed, whatever is written meanwhile."""
    stop = threading.Event()

    def write() -> None:
        with (logs / "live.log").open("ab", buffering=0) as file:
            while not stop.wait(0.001):
                file.write(b"a line of a live log\n" * 10)

    (logs / "live.log").write_bytes(b"first\n" * 1_000_000)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        collections = [take(logs / "live.log") for _ in range(20)]
    finally:
        stop.set()
        writer.join()
    for done in collections:
        assert kept(home, done)["live.log"].startswith(b"first\n")
        assert done.files[0].note in ("", f"it grows; these are the first {done.files[0].bytes} bytes")
    assert any(done.files[0].note for done in collections)


def test_a_log_that_is_rotated_meanwhile_is_told(take: Any, home: Path, logs: Path) -> None:
    """Truncated or replaced under the reader: what was there is kept, and the listing says what happened."""
    path = logs / "live.log"
    content = b"x" * (2 << 20)
    stop = threading.Event()

    def rotate() -> None:
        while not stop.is_set():
            path.write_bytes(content)
            os.truncate(path, 100)
            (logs / "new").write_bytes(content)
            os.replace(logs / "new", path)

    path.write_bytes(content)
    rotator = threading.Thread(target=rotate)
    rotator.start()
    notes = set()
    until = time.monotonic() + 3
    try:
        while len(notes) < 3 and time.monotonic() < until:
            with suppress(EvidenceError):  # it was gone just then, or replaced while it was opened
                done = take(path)
                kept(home, done)
                notes.add(done.files[0].note.split(" ")[0])
    finally:
        stop.set()
        rotator.join()
    assert notes & {"cut", "replaced", "written"}


def test_links_that_are_swapped_in_under_the_reader_are_never_followed(take: Any, home: Path, logs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "b.log").write_text("s3cret")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (logs / "app").rename(logs / "aside")
            (logs / "app").symlink_to(tmp_path / "secret")
            (logs / "app").unlink()
            (logs / "aside").rename(logs / "app")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(50):
            take(logs, logs / "app" / "b.log")
    finally:
        stop.set()
        swapper.join()
    assert "s3cret" not in "".join(path.read_text() for path in home.rglob("*") if path.is_file())


def test_what_a_killed_collection_left_is_swept_away(take: Any, home: Path) -> None:
    left = home / "staging" / "collect-dead"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    take()
    assert not left.exists()


@pytest.mark.parametrize("text", ["0", "10", "1.5MiB", "-1MiB", "1MB", "1 MiB", "", "010MiB", "1mib", "MiB"])
def test_a_size_has_a_unit(text: str) -> None:
    with pytest.raises(ValueError, match="a size is a whole number above zero and a unit"):
        collect.size(text)


def test_sizes_are_read() -> None:
    assert [collect.size(text) for text in ("5B", "512KiB", "100MiB", "2GiB")] == [5, 512 << 10, 100 << 20, 2 << 30]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk of its own")
def test_a_full_disk_takes_nothing_and_says_so(tmp_path: Path, logs: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", disk], capture_output=True).returncode:
        pytest.skip("this machine does not let its root mount")
    try:
        home = disk / "home"
        incident = incidents.open_incident(home, "ana", "It is down", "P1", "linguamate")
        (logs / "large.log").write_bytes(os.urandom(50 << 20))
        before = listing(home / "incidents")
        with pytest.raises(EvidenceError, match=r"No space left on device: .*; nothing was taken"):
            collect.collect(home, incident, [logs], Rules((logs,)), "ana")
        assert listing(home / "incidents") == before
        assert list((home / "staging").iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)
