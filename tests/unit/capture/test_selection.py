"""Which files are captured, what is hidden in command lines, and what a snapshot keeps and hands over."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import (
    evidence_names,
    host_capture,
    masks,
    selection,
    snapshots,
    streams,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import EvidenceLost, Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, Listing, Skipped

NOW = 1_800_000_000


def file(path: str, size: int = 10, ago: float = 0, ctime_ago: float | None = None) -> File:
    changed = ago if ctime_ago is None else ctime_ago
    return File(path, size, int((NOW - ago) * 1e9), int((NOW - changed) * 1e9), (1, hash(path)))


def chosen(files: list[File], paths: tuple[str, ...] = (), **more: float) -> tuple[list[str], dict[str, str], int]:
    rules = selection.checked_rules(["/var/log"], paths, **more)
    choice = selection.choose({"/var/log": Listing(files)}, rules)
    return [one.file.path for one in choice.wanted], {one.path: one.reason for one in choice.skipped}, choice.older


def test_a_file_that_was_written_before_is_counted_and_one_that_only_looks_so_is_taken() -> None:
    files = [file("new"), file("old", ago=7200), file("touched", ago=7200, ctime_ago=60)]
    assert chosen(files, since=NOW - 3600) == (["new", "touched"], {}, 1)


def test_a_file_that_is_named_is_taken_whenever_it_was_written_and_what_is_in_a_named_folder_by_time() -> None:
    files = [file("a/old", ago=7200), file("b/old", ago=7200), file("b/new")]
    assert chosen(files, ("/var/log/a/old", "/var/log/b"), since=NOW - 3600) == (["a/old", "b/new"], {}, 1)


def test_what_was_written_last_goes_first_where_all_of_it_is_too_much() -> None:
    files = [file("a", 60, ago=30), file("b", 60, ago=20), file("c", 30, ago=10)]
    assert chosen(files, total=100) == (["b", "c"], {"/var/log/a": "too much in all: it has 60 bytes, and 10 are left"}, 0)


def test_a_large_log_counts_with_the_end_that_is_kept_and_a_large_archive_is_left_out() -> None:
    taken, why, _ = chosen([file("app.log", 500), file("app.log.1.gz", 500)], largest=100, total=100)
    assert taken == ["app.log"]
    assert why == {"/var/log/app.log.1.gz": "compressed, so its end alone is of no use, and it has 500 bytes"}


def test_a_file_below_two_roots_is_taken_once_and_what_irctl_keeps_is_not() -> None:
    rules = selection.checked_rules(["/var/log", "/var/log/app"], [], home="/var/log/irctl")
    found = {"/var/log": Listing([file("app/a"), file("irctl/runs/x")]), "/var/log/app": Listing([file("a")])}
    choice = selection.choose(found, rules)
    assert [one.source for one in choice.wanted] == ["/var/log/app/a"]
    assert choice.skipped == [Skipped("/var/log/irctl/runs/x", "what irctl itself keeps")]


@pytest.mark.parametrize("root", ["/", "/proc", "/sys/kernel", "//", "/dev/shm", "log", "/var/log/../../etc"])
def test_a_root_that_cannot_be_meant_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match=r"^root: "):
        selection.checked_rules([root], [])


def test_no_root_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one folder"):
        selection.checked_rules([], [])


def test_a_root_that_is_not_there_is_left_out_with_its_reason(tmp_path: Path) -> None:
    rules = selection.checked_rules([str(tmp_path / "gone")], [])
    choice = selection.choose(selection.survey(rules), rules)
    assert choice.skipped == [Skipped(str(tmp_path / "gone"), "no such file or directory")]


def test_the_roots_that_are_gone_are_named_as_they_were_given(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    given = [f"{tmp_path}/there/", f"{tmp_path}//gone/"]
    rules = selection.checked_rules(given, [])
    assert selection.gone(given, selection.survey(rules)) == {
        given[1]: f"{given[1]} cannot be captured: no such file or directory."
    }


def looked(tmp_path: Path, *, memory: bool, largest: int = 100 << 20) -> host_capture.Look:
    log = tmp_path / "log"
    log.mkdir(exist_ok=True)
    (log / "a.log").write_bytes(b"x" * 5000)
    rules = selection.checked_rules([str(log)], [], largest=largest, total=1 << 60)
    return host_capture.survey(host_capture.Request(rules, time.time(), memory=memory))


def test_a_dump_of_the_memory_needs_room_twice_where_it_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = looked(tmp_path, memory=True)
    assert (without.memory, without.skipped[-1].path) == (0, "memory"), "no avml is here"
    (tmp_path / "avml").write_text("#!/bin/sh\n")
    (tmp_path / "avml").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = looked(tmp_path, memory=True)
    assert found.memory == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert (found.bytes - without.bytes, found.most - without.most) == (found.memory, 2 * found.memory)
    assert json.loads(host_capture.preview(found))["memory"] == found.memory
    assert looked(tmp_path, memory=False).most == without.most


def test_sizes_are_those_of_what_is_taken_of_each_file(tmp_path: Path) -> None:
    found = looked(tmp_path, memory=False, largest=1000)
    assert found.of_files == 1000
    assert [one["bytes"] for one in json.loads(host_capture.preview(found))["files"]] == [1000]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["app", "--password=x1"], ["app", "--password=***"]),
        (["app", "--db-password", "x1", "--port", "80"], ["app", "--db-password", "***", "--port", "80"]),
        (["app", "--password-file", "/etc/p"], ["app", "--password-file", "/etc/p"]),
        (["env", "API_TOKEN=x1", "HOME=/root"], ["env", "API_TOKEN=***", "HOME=/root"]),
        (["sh", "-c", "mysql --password='a b' -e 'select 1'"], ["sh", "-c", "mysql --password=*** -e 'select 1'"]),
        (["/usr/bin/mysqldump", "-px1", "shop"], ["/usr/bin/mysqldump", "-p***", "shop"]),
        (["ssh", "-p2222", "host"], ["ssh", "-p2222", "host"]),
        (["sshpass", "-p", "x1", "ssh"], ["sshpass", "-p", "***", "ssh"]),
        (["curl", "-u", "ops:x1", "http://a/"], ["curl", "-u", "ops:***", "http://a/"]),
        (["curl", "-H", "Authorization: Bearer x1"], ["curl", "-H", "Authorization: Bearer ***"]),
        (["psql", "postgres://ops:x1@db/shop"], ["psql", "postgres://ops:***@db/shop"]),
        (["aws", "AKIA" + "A" * 16], ["aws", "***"]),
        (["postgres: ops shop [local] idle"], ["postgres: ops shop [local] idle"]),
        (["nginx", "-u", "www-data"], ["nginx", "-u", "www-data"]),
    ],
)
def test_the_secrets_of_a_command_line_are_hidden_and_the_rest_is_kept(given: list[str], kept: list[str]) -> None:
    assert masks.words(given) == kept


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a//b", "a/./b", "", "a\nb", "a" * 256, "a/" * 1001 + "b"])
def test_a_name_that_leads_elsewhere_is_not_inside(name: str) -> None:
    assert not evidence_names.is_inside(name)


def test_a_path_of_any_bytes_becomes_a_name_that_is_inside() -> None:
    path = os.fsdecode(b"/var/log/caf\xe9 50%\n.log")
    assert evidence_names.safe(path) == "var/log/caf%E9%2050%25%0A.log"
    assert evidence_names.is_inside(evidence_names.safe(path))
    assert evidence_names.shown(path) == "/var/log/caf\\xe9 50%\\n.log"


def made(folder: Path, *contents: bytes) -> snapshots.Snapshot:
    with snapshots.making(str(folder), "one") as snapshot:
        for number, content in enumerate(contents):
            snapshot.add(f"files/{number}", str(number), [content])
    return snapshot


def promised(snapshot: snapshots.Snapshot) -> list[tuple[str, int, str]]:
    return [(one.name, one.size, one.sha256) for one in snapshot.kept]


def test_a_snapshot_taken_apart_is_what_was_put_in(tmp_path: Path) -> None:
    snapshot = made(tmp_path, b"one", b"", b"x" * 3_000_000)
    snapshots.unpack(snapshot.path, promised(snapshot), str(tmp_path / "kept"))
    assert [(tmp_path / "kept" / "files" / str(one)).stat().st_size for one in range(3)] == [3, 0, 3_000_000]


@pytest.mark.parametrize("change", ["flip", "cut", "more", "rename"])
def test_a_snapshot_that_is_not_as_promised_is_no_evidence(tmp_path: Path, change: str) -> None:
    snapshot = made(tmp_path, b"one", b"two")
    path, names = Path(snapshot.path), promised(snapshot)
    content = {"flip": b"onetwO", "cut": b"onetw", "more": b"onetwo!", "rename": b"onetwo"}[change]
    path.write_bytes(content)
    if change == "rename":
        names[1] = ("../two", *names[1][1:])
    with pytest.raises(EvidenceLost):
        snapshots.unpack(snapshot.path, names, str(tmp_path / "kept"))
    assert not (tmp_path / "two").exists()


def test_a_piece_that_fails_half_way_leaves_no_trace_in_the_snapshot(tmp_path: Path) -> None:
    def fails() -> object:
        yield b"half"
        raise Failure("it is gone")

    with snapshots.making(str(tmp_path), "one") as snapshot:
        snapshot.add("a", "a", [b"one"])
        with pytest.raises(Failure, match="it is gone"):
            snapshot.add("b", "b", fails())  # type: ignore[arg-type]
        snapshot.add("c", "c", [b"two"])
    assert Path(snapshot.path).read_bytes() == b"onetwo"
    snapshots.unpack(snapshot.path, promised(snapshot), str(tmp_path / "kept"))


def test_a_capture_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(Failure), snapshots.making(str(tmp_path), "one"):
        raise Failure("no")
    assert list(tmp_path.iterdir()) == []


def test_what_is_swept_is_ones_own_and_what_is_old_and_nothing_else(tmp_path: Path) -> None:
    ours, others = Path(made(tmp_path, b"1").folder), tmp_path / f"{snapshots.prefix('another')}x"
    others.mkdir()
    old = tmp_path / f"{snapshots.prefix('a third')}y"
    old.mkdir()
    os.utime(old, (time.time() - 2 * snapshots.STALE,) * 2)
    (tmp_path / f"{snapshots.prefix('one')}link").symlink_to("/etc")
    (tmp_path / "mine").mkdir()
    assert set(snapshots.sweep(str(tmp_path), "one")) == {str(ours), str(old)}
    assert {path.name for path in tmp_path.iterdir()} == {others.name, "mine", f"{snapshots.prefix('one')}link"}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nosuchprogram"], "The host has no program nosuchprogram."),
        (["sh", "-c", "echo sorry >&2; exit 3"], "sh says: sorry"),
        (["sh", "-c", "echo begun; sleep 60"], "sh did not end in 1 s."),
    ],
)
def test_a_program_that_does_not_end_well_is_a_failure_that_says_why(words: list[str], why: str) -> None:
    with pytest.raises(Failure) as failed, streams.Program(words, 1) as program:
        list(program.pieces(1 << 62))
    assert str(failed.value) == why
