"""archive-evidence on a store that checks what it is sent: what goes there, what proves it, what interferes, what is left here."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.irctl.runbooks.plugins.module_utils import archiving, checksums, object_store, trees
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import plain
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from irctl import config, incidents, pack
from tests import stores
from tests.archives import CLOSED, HELD, OLD, RELEASED, Archive, contents, incident, run_of, write
from tests.conftest import ROOT, Irctl, write_inventory
from tests.stores import S3, Request, base64_sum


@pytest.fixture
def store(seaweed: str) -> Iterator[S3]:
    with stores.watched(seaweed) as found:
        yield found


@pytest.fixture
def careless() -> Iterator[S3]:
    with stores.careless() as found:
        yield found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for number in range(12):
        write(folder / f"day {number % 3}" / f"app-{number}.log", f"line {number}\n".encode() * (number + 1))
    write(folder / "ünï+%41.txt", b"odd name")
    write(folder / "empty", b"")
    return folder


@pytest.fixture
def archive(store: S3, tmp_path: Path, tree: Path) -> Archive:
    return Archive(store, tmp_path, tree)


def puts(store: S3) -> list[Request]:
    return [request for request in store.requests if request.method == "PUT" and "/files/" in request.path]


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
    monkeypatch.setattr(archiving, "WHOLE", whole)
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


# What proves it


def test_an_object_that_is_not_what_was_sent_is_found_before_it_is_called_archived(archive: Archive) -> None:
    original = object_store.Store.put

    def put(self: Any, key: str, content: bytes, *more: Any) -> None:
        original(self, key, content, *more)
        if key.endswith("app-7.log"):
            archive.store.client.put_object(Bucket=archive.store.bucket, Key=key, Body=b"bit rot", ChecksumAlgorithm="SHA256")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(object_store.Store, "put", put)
        with pytest.raises(Failure, match=r"does not hold what was sent as .*app-7.log: its checksum is another"):
            archive()
    assert archive.manifests() == []


def test_a_store_that_does_not_look_at_checksums_is_not_believed(careless: S3, tmp_path: Path, tree: Path) -> None:
    store, archive = careless, Archive(careless, tmp_path, tree)
    archive()
    assert not any(entry.get("believed") for entry in archive.manifests()[-1]["files"])
    assert not [request for request in store.requests if request.method == "GET" and "/files/" in request.key], "its md5 is witness"
    assert not any(key.endswith("/probe") for key in store.names())
    key = archive.manifests()[-1]["files"][3]["key"]
    content, echoed = b"x" * store.head(key)["ContentLength"], store.head(key)["ChecksumSHA256"]
    store.client.put_object(Bucket=store.bucket, Key=key, Body=content, ChecksumSHA256=echoed)
    with pytest.raises(Failure, match=r"1 object of .* not as the manifest says"):
        archive.verify()


def test_of_a_store_that_tells_neither_everything_is_downloaded(careless: S3, tmp_path: Path, tree: Path) -> None:
    store = careless
    look = object_store.Store._stored

    def mute(self: Any, key: str, found: Any) -> Any:
        found.headers = {**found.headers, "etag": '"opaque"', "x-amz-checksum-sha256": ""}
        return look(self, key, found)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(object_store.Store, "_stored", mute)
        archive = Archive(store, tmp_path, tree)
        archive.step("changed")
    downloads = {request.key for request in store.requests if request.method == "GET" and "/files/" in request.key}
    assert {request.key for request in puts(store)} == downloads


@pytest.mark.parametrize("whole", [1 << 30, 5 << 20], ids=["whole", "in parts"])
def test_a_store_that_refuses_checksums_gets_an_md5_and_everything_is_downloaded(
    archive: Archive, tree: Path, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "WHOLE", whole)
    archive.store.hook = stores.backblaze
    write(tree / "large.bin", os.urandom(9 << 20))
    archive(retain="90d")
    archive.store.hook = None
    assert archive.held() == {plain(path): content for path, content in contents(tree).items()}
    sent = {request.key for request in puts(archive.store) if "content-md5" in request.headers}
    assert {request.key for request in archive.store.requests if request.method == "GET" and "/files/" in request.path} >= sent
    archive.store.hook = stores.backblaze
    assert archive.verify(retain="90d")["msg"] == "15 objects read back"
    assert not archive(retain="90d")["changed"]


def test_what_is_old_and_not_archived_as_it_is_fails_the_proof(archive: Archive, tree: Path) -> None:
    with pytest.raises(Failure, match="is not archived: 14 files, and it has no manifest"):
        archive.verify()
    archive()
    assert archive.verify()["msg"] == "14 objects read back"
    write(tree / "forgotten.log", b"old, and came later")
    write(tree / "empty", b"no longer", age=OLD - 5)
    with pytest.raises(Failure, match="2 files not in its manifest as now, such as empty"):
        archive.verify()
    archive()
    assert archive.verify(remove_local=True)["msg"] == "15 objects read back"


def test_one_bit_that_is_another_in_the_archive_is_found(archive: Archive) -> None:
    archive()
    key = archive.manifests()[-1]["files"][5]["key"]
    content = bytearray(archive.store.content(key))
    content[0] ^= 1
    archive.store.client.put_object(Bucket=archive.store.bucket, Key=key, Body=bytes(content), ChecksumAlgorithm="SHA256")
    with pytest.raises(Failure, match="not as the manifest says"):
        archive.verify()


def test_an_object_that_is_gone_from_the_archive_is_sent_again_or_else_refused(archive: Archive, tree: Path) -> None:
    archive(bucket=archive.store.plain)
    keys = {
        entry["path"]: entry["key"]
        for entry in Archive(archive.store, tree.parent, tree, bucket=archive.store.plain).manifests()[-1]["files"]
    }
    archive.store.client.delete_object(Bucket=archive.store.plain, Key=keys["empty"])
    assert archive(bucket=archive.store.plain)["msg"] == "1 file archived (0 B)"
    archive.store.client.delete_object(Bucket=archive.store.plain, Key=keys["empty"])
    (tree / "empty").unlink()
    with pytest.raises(Failure, match=r"The archive has lost 1 of its objects, or they are others by now: trees/.*/empty"):
        archive(bucket=archive.store.plain)


# What locks it


def test_what_is_retained_cannot_be_deleted_and_a_second_run_asks_for_no_more(archive: Archive, tree: Path) -> None:
    archive(retain="90d", retain_mode="compliance")
    [entry, *_] = archive.manifests()[-1]["files"]
    before = archive.store.head(entry["key"])
    assert (before["ObjectLockMode"], before["ObjectLockRetainUntilDate"].timestamp()) == (
        "COMPLIANCE",
        pytest.approx(time.time() + 90 * 86400, abs=60),
    )
    assert all(request.headers["x-amz-object-lock-mode"] == "COMPLIANCE" for request in puts(archive.store))
    assert not archive(retain="90d", retain_mode="compliance")["changed"]
    assert not archive(retain="30d")["changed"]
    assert archive.store.head(entry["key"])["ObjectLockRetainUntilDate"] == before["ObjectLockRetainUntilDate"]
    version = {"Bucket": archive.store.bucket, "Key": entry["key"], "VersionId": before["VersionId"]}
    with pytest.raises(ClientError, match="AccessDenied"):
        archive.store.client.delete_object(**version)
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": time.time() + 60}
    with pytest.raises(ClientError, match="AccessDenied"):
        archive.store.client.put_object_retention(**version, Retention=shorter)


def test_a_longer_retention_is_given_to_what_is_archived_already(archive: Archive) -> None:
    archive(retain="30d")
    assert archive(check=True, retain="90d")["msg"] == "14 files archived already, 15 objects to lock"
    assert archive(retain="90d")["msg"] == "15 objects locked"
    for entry in archive.manifests()[-1]["files"]:
        until = archive.store.head(entry["key"])["ObjectLockRetainUntilDate"].timestamp()
        assert until == pytest.approx(time.time() + 90 * 86400, abs=60)
    assert archive.verify()
    assert not archive(retain="90d")["changed"]


def test_retention_is_refused_where_the_bucket_cannot_lock_and_nothing_is_sent(archive: Archive) -> None:
    with pytest.raises(Failure, match="The bucket has no Object Lock, so nothing can be retained there"):
        archive(retain="90d", bucket=archive.store.plain)
    assert archive.store.names(bucket=archive.store.plain) == []


# Names, limits and what the store can do


def test_names_that_stores_take_apart_go_under_keys_of_their_own(archive: Archive, tree: Path) -> None:
    odd = [
        "a b+c~.log",
        "&<>'\"x",
        "a=b;c,d@e!$()*",
        "%41",
        "100%",
        "~",
        "#?[]{}|^`",
        "tab\there",
        "nl\nx",
        "..a",
        "a\\b",
        "日本",
        "\udc80",
    ]
    for number, name in enumerate(odd):
        write(tree / name, b"%d" % number)
    write(tree / "a" / "b", b"not the one with a backslash")
    archive()
    assert archive.held() == {plain(path): content for path, content in contents(tree).items()}
    assert archive.verify()
    assert not archive()["changed"]


def test_more_files_than_a_page_of_the_list_has_are_all_known_again(archive: Archive, tree: Path) -> None:
    for number in range(1001):
        write(tree / "many" / f"{number:04}", b"%d" % number)
    archive.step("changed")
    archive.store.requests.clear()
    assert archive.step("listed")["msg"] == "1015 files archived already"
    assert [request for request in archive.store.requests if "continuation-token" in request.query]


def test_more_bytes_than_the_limit_or_a_name_too_long_is_refused_before_anything_is_sent(archive: Archive, tree: Path) -> None:
    os.truncate(write(tree / "sparse", b""), (1 << 30) + 1)
    os.utime(tree / "sparse", (1, 1))
    with pytest.raises(Failure, match=r"bytes are to be sent and the limit is 1073741824\. Raise --max-gib"):
        archive(limit_gib=1)
    (tree / "sparse").unlink()
    write(tree / ("d" * 250) / ("e" * 250) / ("f" * 250) / ("g" * 250), b"deep")
    with pytest.raises(Failure, match=r"A name is too long for a key of the store: ddd"):
        archive()
    assert archive.store.names() == []


def test_a_store_that_knows_no_condition_is_looked_at_first_and_nothing_is_overwritten(archive: Archive, tree: Path) -> None:
    """What somebody else puts there between the list and the sending stays."""
    store = archive.store
    write(tree / "large.bin", b"b" * (5 << 20))
    key = f"irctl/files/trees{tree}/large.bin"

    def unknown(request: Request, number: int) -> str | None:
        told = "A header you provided implies functionality that is not implemented: If-None-Match"
        return f"501 {told}" if "if-none-match" in request.headers else None

    def somebody_else(request: Request) -> None:
        if request.method == "PUT" and request.key.endswith("app-3.log"):
            store.acted = None
            store.client.put_object(Bucket=store.plain, Key=key, Body=b"somebody else's")

    store.hook, store.acted, archive.given["bucket"] = unknown, somebody_else, store.plain
    archive.step("changed")
    store.hook = store.acted = None
    assert store.content(key, store.plain) == b"somebody else's"
    assert archive.held() == {plain(path): content for path, content in contents(tree).items()}


@pytest.mark.parametrize("refusal", ["501 Not Implemented", "400 Unsupported header If-None-Match"])
def test_a_store_without_conditions_gets_everything_all_the_same(archive: Archive, tree: Path, refusal: str) -> None:
    archive.store.hook = lambda request, number: refusal if "if-none-match" in request.headers else None
    archive()
    assert len(archive.held()) == 14


def test_one_refusal_of_a_look_does_not_turn_checksums_off(archive: Archive, tree: Path) -> None:
    refused: list[str] = []

    def once(request: Request, number: int) -> int | None:
        if request.method == "HEAD" and "/files/" in request.path and not refused:
            refused.append(request.path)
            return 400
        return None

    archive.store.hook = once
    archive()
    assert refused
    assert all(request.checksum for request in puts(archive.store))
    assert not [request for request in archive.store.requests if request.method == "GET" and "/files/" in request.key]


@pytest.mark.parametrize("size", [10, 5 << 20], ids=["small", "as it is read"])
def test_a_request_that_came_too_slowly_is_sent_again(archive: Archive, tree: Path, size: int) -> None:
    write(tree / "slow.log", b"s" * size)
    refused: list[str] = []

    def once(request: Request, number: int) -> str | None:
        if request.method == "PUT" and request.key.endswith("slow.log") and not refused:
            refused.append(request.path)
            return "400 RequestTimeout"
        return None

    archive.store.hook = once
    archive()
    sent = [request for request in puts(archive.store) if request.key.endswith("slow.log")]
    assert [len(request.content) for request in sent] == [size, size]
    assert all(request.checksum for request in sent)


# What interferes


def test_a_manifest_whose_answer_is_lost_is_not_taken_for_somebody_elses(archive: Archive, tree: Path) -> None:
    lost: list[str] = []

    def lose(request: Request) -> int | None:
        if request.method == "PUT" and "/manifests/" in request.path and not lost:
            lost.append(request.path)
            return 500
        return None

    archive.store.acted = lose
    assert archive(remove_local=True)["msg"].endswith("14 files removed here")
    assert (len(lost), len(archive.manifests()), contents(tree)) == (1, 1, {})


@pytest.mark.parametrize("status", [409, 412])
def test_somebody_elses_manifest_of_the_same_number_is_said_and_stays(archive: Archive, tree: Path, status: int) -> None:
    key = f"irctl/manifests/trees{tree}/000001.json"

    def first(request: Request, number: int) -> int | None:
        if request.method != "PUT" or request.key != key:
            return None
        archive.store.hook = None
        archive.store.client.put_object(Bucket=archive.store.bucket, Key=key, Body=b"{}")
        return status

    archive.store.hook = first
    with pytest.raises(Failure, match=r"Somebody else has archived trees/.* at the same time; run this again"):
        archive.step("changed", remove_local=True)
    assert (archive.store.content(key), len(contents(tree))) == (b"{}", 14)


def test_a_large_file_that_is_written_over_before_it_is_sent_is_read_again(archive: Archive, tree: Path) -> None:
    """What lies under the key of its hash is then not what that says, and does not stand in the way of that content for ever."""
    first, second, third = (letter * (5 << 20) for letter in (b"a", b"b", b"c"))
    file = write(tree / "large.bin", first)
    archive()
    write(file, second, age=OLD - 5)
    original = archiving.Sending._stream
    swapped: list[str] = []

    def stream(self: Any, one: Any, key: str) -> Any:
        if "~" in key and not swapped:
            swapped.append(key)
            write(file, third, age=OLD - 10)
        return original(self, one, key)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(archiving.Sending, "_stream", stream)
        archive()
    assert archive.held()["large.bin"] == third
    write(file, second, age=OLD - 15)
    archive()
    assert archive.held()["large.bin"] == second
    assert archive.verify()


def test_parts_that_a_kill_left_under_another_key_go_with_the_next_run(
    archive: Archive, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "WHOLE", 5 << 20)
    file = write(tree / "large.bin", os.urandom(9 << 20))
    archive()
    content = os.urandom(9 << 20)
    write(file, content, age=OLD - 5)
    key = f"irctl/files/trees{tree}/large.bin~{hashlib.sha256(content).hexdigest()[:16]}"
    client, bucket = archive.store.client, archive.store.bucket
    client.create_multipart_upload(Bucket=bucket, Key=key)
    archive()
    assert archive.store.content(key) == content
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_a_file_that_grows_meanwhile_is_cut_where_it_was_and_said_so(archive: Archive, tree: Path) -> None:
    file = write(tree / "growing.log", b"a" * 1000)

    def grow(request: Request, number: int) -> None:
        if request.method == "PUT" and request.key.endswith("growing.log"):
            with file.open("ab") as end:
                end.write(b"b" * 100)

    archive.store.hook = grow
    done = archive()
    assert archive.held()["growing.log"] == b"a" * 1000
    assert "noted: growing.log (it grows; these are the first 1000 bytes)" in done["msg"]


def test_a_file_that_is_written_over_meanwhile_is_read_again_and_else_it_fails(archive: Archive, tree: Path) -> None:
    file = write(tree / "torn.log", b"a" * 1000)
    times = iter([1, 2])

    def tear(request: Request, number: int) -> None:
        if request.method == "PUT" and "torn.log" in request.key and next(times, 0) == 1:
            file.write_bytes(b"b" * 1000)

    archive.store.hook = tear
    archive()
    assert archive.held()["torn.log"] == b"b" * 1000

    def always(request: Request, number: int) -> None:
        if request.method == "PUT" and "torn.log" in request.key:
            file.write_bytes(os.urandom(500) * 2)

    file.write_bytes(b"c" * 1000)
    archive.store.hook = always
    with pytest.raises(Failure, match=r"1 file could not be archived: torn.log \(written to while it was read, twice\)"):
        archive(older_than="1s") if not time.sleep(1.1) else None
    assert len(archive.manifests()) == 1


def test_a_file_that_is_rotated_meanwhile_is_archived_as_it_was(archive: Archive, tree: Path) -> None:
    file = write(tree / "rotated.log", b"first")

    def rotate(request: Request, number: int) -> None:
        if request.method == "PUT" and request.key.endswith("rotated.log") and not (tree / "rotated.log.1").exists():
            file.rename(tree / "rotated.log.1")
            write(file, b"second")

    archive.store.hook = rotate
    done = archive()
    assert archive.held()["rotated.log"] == b"first"
    assert "rotated.log (replaced or removed while it was read; this is the one that was there before)" in done["msg"]
    archive.store.hook = None
    archive()
    assert (archive.held()["rotated.log"], archive.held()["rotated.log.1"]) == (b"second", b"first")


def test_a_file_that_is_replaced_by_a_link_meanwhile_is_not_followed(archive: Archive, tree: Path, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", b"do not send this")
    target = tree / "day 1" / "app-10.log"

    def replace(request: Request, number: int) -> None:
        if not target.is_symlink():
            target.unlink()
            target.symlink_to(secret)

    archive.step("listed")
    archive.store.hook = lambda request, number: replace(request, number) if request.key.endswith("/probe") else None
    done = archive.step("changed")
    assert "app-10.log (no longer the file that it was: a link, or what is no folder, stands in its path)" in done["msg"]
    assert not any(b"do not send" in request.body for request in archive.store.requests)
    assert "day 1/app-10.log" not in archive.held()


def test_a_store_that_asks_for_patience_gets_it(archive: Archive, tree: Path) -> None:
    write(tree / "large.bin", os.urandom(6 << 20))
    refused: set[str] = set()

    def slow_down(request: Request, number: int) -> int | None:
        if request.method == "PUT" and request.key not in refused:
            refused.add(request.key)
            return 503
        return None

    archive.store.hook = slow_down
    archive()
    assert len(archive.held()) == 15
    assert len(refused) >= 15


def test_a_store_that_is_not_there_is_unreachable_and_nothing_is_changed(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(Unreachable, match="The store does not answer"):
        archive(endpoint="http://127.0.0.1:9")
    with pytest.raises(Failure, match="There is no bucket nonesuch"):
        archive(bucket="nonesuch")


SCRIPT = """
import json, os, resource, sys
import botocore.session
from ansible_collections.irctl.runbooks.plugins.module_utils import archiving, checksums
from ansible_collections.irctl.runbooks.plugins.modules import archive_evidence
for line in sys.stdin:
    given = json.loads(line)
    if not (child := os.fork()):
        archiving.SMALL, archiving.WHOLE, checksums.PART = given.pop("sizes")
        defaults = {name: about.get("default") for name, about in archive_evidence.ARGUMENTS.items()}
        archive_evidence.run({**defaults, **given, "state": "changed"}, False)
        os._exit(0)
    print(child, flush=True)
    _, status, used = os.wait4(child, 0)
    print(status, used.ru_maxrss, flush=True)
"""
POINTS = 20
TINY = (50_000, 200_000, 5 << 20)  # no store takes smaller parts


class Worker:
    """Processes that archive, one after another, made from one that has everything loaded, so that they begin at once."""

    def __init__(self) -> None:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        self._parent = subprocess.Popen(
            [sys.executable, "-c", SCRIPT], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def start(self, archive: Archive, small: int, whole: int, part: int) -> int:
        """Begin to archive; files above `small` bytes go as they are read, above `whole` in parts of `part`."""
        assert self._parent.stdin
        given = {name: value for name, value in archive.given.items() if value}
        self._parent.stdin.write(json.dumps({**given, "sizes": [small, whole, part]}) + "\n")
        return int(self._said())

    def end(self) -> tuple[int, int]:
        """How it ended, as waitpid has it, and the most KiB of memory that it had."""
        status, most = self._said().split()
        return int(status), int(most)

    def _said(self) -> str:
        assert self._parent.stdout
        return self._parent.stdout.readline()

    def close(self) -> None:
        self._parent.communicate()


@pytest.fixture
def worker() -> Iterator[Worker]:
    found = Worker()
    yield found
    found.close()


def test_killed_at_twenty_points_and_taken_up_again_nothing_is_lost(store: S3, tmp_path: Path, worker: Worker) -> None:
    """Small files, one that is sent as it is read, and one in parts; killed before the store knows of a request, or after."""
    tree = tmp_path / "tree"
    for number in range(15):
        write(tree / f"{number:02}.log", os.urandom(300 + number))
    write(tree / "streamed.bin", os.urandom(100_000))
    write(tree / "parts.bin", os.urandom(12 << 20))
    _killed(store, worker, Archive(store, tmp_path, tree, prefix="whole"), at=0, after=False)
    whole, cut = len(store.requests), 0
    for point in range(POINTS):
        prefix = f"point-{point}"
        archive = Archive(store, tmp_path, tree, prefix=prefix)
        cut += _killed(store, worker, archive, at=1 + point * whole // POINTS, after=point % 2 == 1)
        assert len(contents(tree)) == 17
        complete = store.names(f"{prefix}/manifests/")
        assert not complete or len(json.loads(store.content(complete[0]))["files"]) == 17
        worker.start(archive, *TINY)
        assert worker.end()[0] == 0
        [manifest] = [json.loads(store.content(key)) for key in store.names(f"{prefix}/manifests/")]
        assert {entry["path"]: store.content(entry["key"]) for entry in manifest["files"]} == contents(tree), point
        assert archive.verify()["msg"] == "17 objects read back"
        assert not store.client.list_multipart_uploads(Bucket=store.bucket, Prefix=f"{prefix}/").get("Uploads"), (
            "no part is left over"
        )
    assert cut == POINTS, "each was still under way"


def _killed(store: S3, worker: Worker, archive: Archive, at: int, *, after: bool) -> bool:
    """Kill it at its nth request, and wait for its end; whether that was how it ended."""
    store.requests.clear()
    known = threading.Event()
    process: list[int] = []

    def kill(request: Request) -> None:
        if 0 < at <= len(store.requests) and request is store.requests[at - 1]:
            known.wait(10)
            os.kill(process[0], signal.SIGKILL)

    if after:
        store.acted = kill
    else:
        store.hook = lambda request, number: kill(request)
    process.append(worker.start(archive, *TINY))
    known.set()
    status, _ = worker.end()
    store.hook = store.acted = None
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("whole", [archiving.WHOLE, 1 << 20], ids=["as it is read", "in parts"])
def test_a_file_that_is_larger_than_the_memory_it_takes(store: S3, tmp_path: Path, worker: Worker, whole: int) -> None:
    file = write(tmp_path / "tree" / "sparse.bin", b"")
    os.truncate(file, 160 << 20)
    os.utime(file, (1, 1))
    worker.start(Archive(store, tmp_path, tmp_path / "tree"), archiving.SMALL, whole, checksums.PART)
    status, most = worker.end()
    assert status == 0
    assert most << 10 < 160 << 20, f"{most} KiB"


# What is left here


def test_local_files_go_only_when_told_and_only_after_the_manifest(archive: Archive, tree: Path) -> None:
    before = contents(tree)
    here: list[int] = []
    archive.store.hook = lambda request, number: here.append(len(contents(tree))) if request.method == "PUT" else None  # type: ignore[func-returns-value]
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


# Incidents


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_closed_incidents_go_and_open_ones_stay(store: S3, tmp_path: Path, home: Path) -> None:
    closed, reopened, opened = (
        incident(home, CLOSED),
        incident(home, CLOSED, {"event": "reopened"}),
        incident(home),
    )
    time.sleep(1.1)
    archive = Archive(store, tmp_path, home=str(home), older_than="1s")
    archive()
    assert {manifest["name"] for manifest in archive.manifests()} == {f"incidents/{closed}"}
    assert f"{reopened}" not in str(store.names())
    assert f"{opened}" not in str(store.names())
    assert set(archive.held()) == {"journal.jsonl", "evidence/0.txt", "evidence/1.txt", "evidence/2.txt"}
    assert archive(older_than="60d")["msg"] == "no incident is closed for more than 60d"


def test_an_incident_on_hold_gets_a_legal_hold_and_never_leaves(store: S3, tmp_path: Path, home: Path) -> None:
    held, free = incident(home, CLOSED, HELD), incident(home, CLOSED, HELD, RELEASED)
    time.sleep(1.1)
    archive = Archive(store, tmp_path, home=str(home), older_than="1s", remove_local=True)
    archive()
    status = {key: store.head(key).get("ObjectLockLegalHoldStatus", "OFF") for key in store.names()}
    assert {status[key] for key in status if held in key} == {"ON"}
    assert {status[key] for key in status if free in key} == {"OFF"}
    key = next(key for key in status if held in key)
    with pytest.raises(ClientError, match="AccessDenied"):
        store.client.delete_object(Bucket=store.bucket, Key=key, VersionId=store.head(key)["VersionId"])
    assert len(contents(home / "incidents" / held)) == 4
    assert set(contents(home / "incidents" / free)) == {"journal.jsonl"}, "its record stays"
    assert incidents.state(home, free).closed


def test_a_hold_that_comes_later_reaches_what_is_archived_already(store: S3, tmp_path: Path, home: Path) -> None:
    name = incident(home, CLOSED)
    time.sleep(1.1)
    archive = Archive(store, tmp_path, home=str(home), older_than="1s")
    archive()
    incidents.record(home, name, {"by": "ana", **HELD})
    assert archive()["changed"]
    assert all(store.head(entry["key"])["ObjectLockLegalHoldStatus"] == "ON" for entry in archive.manifests()[-1]["files"])
    assert not archive()["changed"]


def test_a_hold_that_comes_while_it_is_sent_keeps_it_here(store: S3, tmp_path: Path, home: Path) -> None:
    name = incident(home, CLOSED)
    time.sleep(1.1)

    def hold(request: Request, number: int) -> None:
        if request.method == "PUT" and "/manifests/" in request.path:
            incidents.record(home, name, {"by": "ana", **HELD})

    store.hook = hold
    archive = Archive(store, tmp_path, home=str(home), older_than="1s", remove_local=True)
    done = archive.step("changed")
    assert "on legal hold: a court asked for it" in done["msg"]
    assert len(contents(home / "incidents" / name)) == 4


def test_an_incident_on_hold_is_refused_where_its_copy_could_not_be_held(store: S3, tmp_path: Path, home: Path) -> None:
    name = incident(home, CLOSED, HELD)
    time.sleep(1.1)
    with pytest.raises(Failure, match=f"incidents/{name} is on legal hold and the bucket has no Object Lock"):
        Archive(store, tmp_path, home=str(home), older_than="1s", bucket=store.plain)()
    assert store.names(bucket=store.plain) == []


def test_an_incident_whose_runs_are_not_packed_is_left_alone_and_goes_with_them_later(
    store: S3, tmp_path: Path, home: Path
) -> None:
    bare, loose = incident(home, CLOSED), incident(home)
    run = run_of(home, loose)
    incidents.record(home, loose, {"by": "ana", **CLOSED})
    time.sleep(1.1)
    archive = Archive(store, tmp_path, home=str(home), older_than="1s", remove_local=True)
    why = f"1 incident left alone: {loose} (the records of its runs are not in it; run: irctl incident pack {loose})"
    assert why in archive.step("listed")["msg"]
    archive()
    assert {manifest["name"] for manifest in archive.manifests()} == {f"incidents/{bare}"}
    assert len(contents(home / "incidents" / loose)) == 4
    pack.pack(home, loose, config.load({}, {"IRCTL_HOME": str(home)}), sign=False)
    archive()
    assert archive.held()[f"runs/{run}/evidence/h1/app.log"] == b"what was captured"
    assert set(contents(home / "incidents" / loose)) == {"journal.jsonl", "manifest.json"}
    assert not archive()["changed"]


def test_a_run_that_came_after_the_pack_keeps_the_incident_here(store: S3, tmp_path: Path, home: Path) -> None:
    name = incident(home)
    pack.pack(home, name, config.load({}, {"IRCTL_HOME": str(home)}), sign=False)
    run_of(home, name)
    incidents.record(home, name, {"by": "ana", **CLOSED})
    time.sleep(1.1)
    archive = Archive(store, tmp_path, home=str(home), older_than="1s")
    assert f"run: irctl incident pack {name}" in archive()["msg"]
    assert store.names() == []


def test_an_incident_that_is_reopened_while_it_is_sent_stays_here(store: S3, tmp_path: Path, home: Path) -> None:
    name = incident(home, CLOSED)
    time.sleep(1.1)

    def reopen(request: Request, number: int) -> None:
        if request.method == "PUT" and "/manifests/" in request.path:
            incidents.record(home, name, {"by": "ana", "event": "reopened"})

    store.hook = reopen
    done = Archive(store, tmp_path, home=str(home), older_than="1s", remove_local=True).step("changed")
    assert "not removed: evidence/0.txt (reopened)" in done["msg"]
    assert len(contents(home / "incidents" / name)) == 4


def test_an_incident_whose_journal_is_broken_is_left_alone_and_named(store: S3, tmp_path: Path, home: Path) -> None:
    broken, sound = incident(home, CLOSED, HELD), incident(home, CLOSED)
    path = home / "incidents" / broken / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"court", b"count"))
    first = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first[0].replace(b"Disk", b"Desk"), *first[1:]]))
    time.sleep(1.1)
    archive = Archive(store, tmp_path, home=str(home), older_than="1s", remove_local=True)
    assert f"1 incident left alone: {broken} (its journal is broken at line 2)" in archive.step("listed")["msg"]
    archive()
    assert len(contents(home / "incidents" / broken)) == 4
    assert {manifest["name"] for manifest in archive.manifests()} == {f"incidents/{sound}"}


@pytest.mark.parametrize("inside", ["", "incidents", "incidents/{}", "..", "incidents/{}/evidence"])
def test_an_irctl_home_is_no_tree_so_that_no_hold_is_passed_by(store: S3, tmp_path: Path, home: Path, inside: str) -> None:
    name = incident(home, CLOSED, HELD)
    tree = home / inside.format(name)
    with pytest.raises(ValueError, match="this is of an irctl home"):
        Archive(store, tmp_path, tree, home=str(home), remove_local=True)()
    assert len(contents(home / "incidents" / name)) == 4


def test_files_of_another_home_within_a_tree_stay_out(store: S3, tmp_path: Path, tree: Path) -> None:
    name = incident(tree / "other-home", CLOSED, HELD)
    for path in (tree / "other-home").rglob("*"):
        os.utime(path, (time.time() - OLD,) * 2)
    archive = Archive(store, tmp_path, tree, remove_local=True)
    archive()
    assert len(contents(tree / "other-home" / "incidents" / name)) == 4
    assert not any("other-home" in key for key in store.names())


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


# The command


def test_the_command_archives_the_incidents_of_its_own_home(store: S3, tmp_path: Path, home: Path) -> None:
    name = incident(home, CLOSED)
    settings = {f"aws_{key}": value for key, value in store.settings(tmp_path).items()}
    host = {"ansible_connection": "local", "archive_evidence_bucket": store.bucket, **settings}
    irctl = Irctl(home, write_inventory(tmp_path, {"archive": host}))
    time.sleep(1.1)
    words = ("remediate", "archive-evidence", "--host", "archive", "--older-than", "1s", "--retain", "90d", "--json")
    checked = irctl(*words, "--check")
    assert (checked.code, checked.host("archive")["outcome"], store.names()) == (0, "changed", []), checked.err
    first, second = irctl(*words), irctl(*words)
    assert [done.host("archive")["outcome"] for done in (first, second)] == ["changed", "unchanged"], first.err + second.err
    assert any(name in key for key in store.names("irctl/manifests/incidents/"))
    plan = json.loads((Path(first.json["folder"]) / "evidence" / "archive" / "archive-plan.json").read_text())
    assert [one["name"] for one in plan["names"]] == [f"incidents/{name}"]


def test_a_walk_leaves_a_folder_that_is_a_link_alone(tmp_path: Path) -> None:
    write(tmp_path / "a" / "f", b"x")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(Failure, match="a link, or what is no folder"):
        trees.walk(str(tmp_path / "b"))
