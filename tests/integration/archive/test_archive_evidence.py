"""archive-evidence on a store that checks what it is sent: what goes there, what is left here, what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import trees
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import transfer
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.keys import plain
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from tests.servers import stores
from tests.servers.archives import OLD, Archive, contents, puts, write
from tests.servers.stores import Request, base64_sum

# What goes there


def test_all_of_a_tree_is_in_the_archive_with_its_manifest_last(archive: Archive, tree: Path) -> None:
    done = archive()
    assert (done["changed"], done["msg"]) == (True, f"14 files archived ({sum(map(len, contents(tree).values()))} B)")
    assert archive.held() == {plain(path): content for path, content in contents(tree).items()}
    written = [request.path for request in archive.store.requests if request.method == "PUT"]
    assert [path for path in written if "/manifests/" in path] == written[-1:]


def test_every_object_goes_with_its_checksum_and_is_asked_for_it_afterwards(archive: Archive) -> None:
    archive()
    sent = puts(archive.store)
    assert len(sent) == 14
    for request in sent:
        assert request.checksum == base64_sum(request.content)
        assert request.headers["x-amz-content-sha256"] == hashlib.sha256(request.body).hexdigest()
        assert request.headers["if-none-match"] == "*"
    after = {request.key for request in archive.store.requests if request.headers.get("x-amz-checksum-mode") == "ENABLED"}
    assert {request.key for request in sent} <= after


def test_a_second_run_sends_nothing_and_changes_nothing(archive: Archive) -> None:
    archive()
    before = archive.store.names()
    archive.store.requests.clear()
    done = archive()
    assert (done["changed"], done["msg"]) == (False, "14 files archived already")
    assert archive.store.names() == before
    assert {request.method for request in archive.store.requests} == {"GET", "HEAD"}


def test_a_dry_run_says_what_would_go_and_writes_nothing(archive: Archive) -> None:
    done = archive(check=True)
    assert done["changed"]
    assert done["msg"].startswith("14 files to send")
    assert archive.store.names() == []
    assert {request.method for request in archive.store.requests} == {"GET", "HEAD"}


def test_only_what_is_old_enough_goes(archive: Archive, tree: Path) -> None:
    write(tree / "fresh.log", b"today", age=10)
    archive()
    assert "fresh.log" not in archive.held()
    assert archive(older_than="5s")["msg"] == "1 file archived (5 B)"
    assert archive.held()["fresh.log"] == b"today"


def test_changed_content_goes_beside_what_is_there_and_overwrites_nothing(archive: Archive, tree: Path) -> None:
    archive()
    [before] = [entry for entry in archive.manifests()[-1]["files"] if entry["path"] == "empty"]
    write(tree / "empty", b"no longer", age=OLD - 5)
    assert archive()["changed"]
    first, second = archive.manifests()
    [after] = [entry for entry in second["files"] if entry["path"] == "empty"]
    assert after["key"] == f"{before['key']}~{after['sha256'][:16]}"
    assert (archive.store.content(before["key"]), archive.store.content(after["key"])) == (b"", b"no longer")
    previous = hashlib.sha256(archive.store.content(archive.store.names("irctl/manifests/")[0])).hexdigest()
    assert (first["previous"], second["previous"]) == ("", previous)


def test_links_pipes_and_files_of_two_names_are_left_out_and_listed(archive: Archive, tree: Path, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", b"secret")
    (tree / "link").symlink_to(secret)
    (tree / "folder-link").symlink_to(tmp_path)
    (tree / "hard").hardlink_to(secret)
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tree / "s"))
    done = archive()
    left = {left["path"]: left["why"] for left in archive.manifests()[-1]["left_out"]}
    assert left == {
        "link": "not a regular file: a link",
        "folder-link": "not a regular file: a link",
        "hard": "it has 2 names (hard links)",
        "pipe": "not a regular file: a pipe",
        "s": "not a regular file: a socket",
    }
    assert "not taken: folder-link (not a regular file: a link)" in done["msg"]
    assert not any(b"secret" in request.body for request in puts(archive.store))


@pytest.mark.parametrize("whole", [1 << 30, 5 << 20], ids=["as it is read", "in parts"])
def test_a_large_file_is_sent_without_being_in_memory_and_proved(
    archive: Archive, tree: Path, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "WHOLE", whole)
    content = os.urandom(21 << 20)
    write(tree / "large.bin", content)
    archive()
    assert archive.held()["large.bin"] == content
    sent = [request for request in puts(archive.store) if request.key.endswith("large.bin")]
    sent.sort(key=lambda request: int(request.query.get("partNumber", ["0"])[0]))  # they come side by side
    assert b"".join(request.content for request in sent) == content
    assert all(request.checksum == base64_sum(request.content) for request in sent)
    assert len(sent) == (1 if whole > len(content) else 3)
    assert archive.verify()["msg"] == "15 objects read back"
    assert not archive(check=True)["changed"]


# What is left here


def test_local_files_go_only_when_told_and_only_after_the_manifest(archive: Archive, tree: Path) -> None:
    before = contents(tree)
    here: list[int] = []

    def count(request: Request, number: int) -> None:
        if request.method == "PUT":
            here.append(len(contents(tree)))

    archive.store.hook = count
    done = archive(remove_local=True)
    assert done["msg"].endswith("14 files removed here")
    assert set(here) == {14}
    assert contents(tree) == {}
    assert not (tree / "day 1").exists()
    assert sorted(archive.held().values()) == sorted(before.values())
    assert not archive(remove_local=True)["changed"]


def test_what_was_archived_earlier_is_read_and_proved_again_before_it_goes(archive: Archive, tree: Path) -> None:
    archive()
    archive.store.requests.clear()
    assert archive(remove_local=True)["msg"] == "14 files found in the archive, 14 files removed here"
    looks = {request.key for request in archive.store.requests if request.method == "HEAD" and "/files/" in request.path}
    assert len(looks) == 14
    assert len(archive.manifests()) == 1


def test_a_file_that_changed_after_it_was_read_stays(archive: Archive, tree: Path) -> None:
    def touch(request: Request, number: int) -> None:
        if request.method == "PUT" and "/manifests/" in request.path:
            with (tree / "empty").open("ab") as end:
                end.write(b"more")

    archive.store.hook = touch
    done = archive.step("changed", remove_local=True)
    assert "not removed: empty (changed since it was read)" in done["msg"]
    assert list(contents(tree)) == ["empty"]


def test_nothing_goes_where_one_file_could_not_be_archived(archive: Archive, tree: Path) -> None:
    def refuse(request: Request, number: int) -> int | None:
        return 403 if request.method == "PUT" and request.key.endswith("app-3.log") else None

    archive.store.hook = refuse
    with pytest.raises(Failure, match="The store refused"):
        archive(remove_local=True)
    assert len(contents(tree)) == 14
    assert archive.manifests() == []


# Input


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"bucket": "UPPER"}, "bucket: 3 to 63 lower-case letters"),
        ({"bucket": "a..b"}, "bucket: 3 to 63 lower-case letters"),
        ({"bucket": None}, "bucket: none is named"),
        ({"prefix": "../x"}, "prefix: plain names"),
        ({"prefix": "a//b"}, "prefix: plain names"),
        ({"prefix": "a\nb"}, "prefix: plain names"),
        ({"tree": "relative"}, "tree: the whole path"),
        ({"tree": "/"}, "tree: the whole path"),
        ({"tree": None}, "tree: none is named"),
        ({"retain": "90"}, "a duration needs a unit"),
        ({"older_than": "0d"}, "a duration is a whole number"),
        ({"endpoint": "http://store.example"}, "an https address is needed"),
    ],
)
def test_bad_input_is_refused_before_the_store_is_asked(archive: Archive, given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        archive(**given)
    assert archive.store.requests == []


def test_more_than_the_limit_is_refused_before_anything_is_sent(archive: Archive) -> None:
    with pytest.raises(Failure, match=r"14 files are to be sent and the limit is 5\. Raise --max"):
        archive(limit=5)
    assert archive.store.names() == []


def test_no_secret_is_in_what_is_said_or_sent_in_clear(archive: Archive) -> None:
    said = json.dumps([archive.step(state) for state in ("listed", "captured", "changed", "proved")])
    secret = stores.KEYS["aws_secret_access_key"]
    assert secret not in said
    assert not any(secret in str(request.headers) or secret.encode() in request.body for request in archive.store.requests)


def test_a_walk_leaves_a_folder_that_is_a_link_alone(tmp_path: Path) -> None:
    write(tmp_path / "a" / "f", b"x")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(Failure, match="a link, or what is no folder"):
        trees.walk(str(tmp_path / "b"))
