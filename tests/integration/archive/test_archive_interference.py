"""What happens to files and to the store while evidence is archived."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import transfer
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from tests.servers.archives import OLD, Archive, contents, write
from tests.servers.stores import Request


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
    original = transfer.Transfer._stream
    swapped: list[str] = []

    def stream(self: Any, one: Any, key: str) -> Any:
        if "~" in key and not swapped:
            swapped.append(key)
            write(file, third, age=OLD - 10)
        return original(self, one, key)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(transfer.Transfer, "_stream", stream)
        archive()
    assert archive.held()["large.bin"] == third
    write(file, second, age=OLD - 15)
    archive()
    assert archive.held()["large.bin"] == second
    assert archive.verify()


def test_parts_that_a_kill_left_under_another_key_go_with_the_next_run(
    archive: Archive, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "WHOLE", 5 << 20)
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
    time.sleep(1.1)
    with pytest.raises(Failure, match=r"1 file could not be archived: torn.log \(written to while it was read, twice\)"):
        archive(older_than="1s")
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
