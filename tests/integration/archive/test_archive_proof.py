"""What proves that evidence is in the archive, and what locks it there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import reader, transfer, writer
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.keys import plain
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from tests.servers import stores
from tests.servers.archives import OLD, Archive, contents, puts, write
from tests.servers.stores import S3

# What proves it


def test_an_object_that_is_not_what_was_sent_is_found_before_it_is_called_archived(archive: Archive) -> None:
    original = writer.Writer.put

    def put(self: Any, key: str, content: bytes, *more: Any) -> None:
        original(self, key, content, *more)
        if key.endswith("app-7.log"):
            archive.store.client.put_object(Bucket=archive.store.bucket, Key=key, Body=b"bit rot", ChecksumAlgorithm="SHA256")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writer.Writer, "put", put)
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
    look = reader.Reader._stored

    def mute(self: Any, key: str, found: Any) -> Any:
        found.headers = {**found.headers, "etag": '"opaque"', "x-amz-checksum-sha256": ""}
        return look(self, key, found)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reader.Reader, "_stored", mute)
        archive = Archive(store, tmp_path, tree)
        archive.step("changed")
    downloads = {request.key for request in store.requests if request.method == "GET" and "/files/" in request.key}
    assert {request.key for request in puts(store)} == downloads


@pytest.mark.parametrize("whole", [1 << 30, 5 << 20], ids=["whole", "in parts"])
def test_a_store_that_refuses_checksums_gets_an_md5_and_everything_is_downloaded(
    archive: Archive, tree: Path, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "WHOLE", whole)
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
    with pytest.raises(Failure, match=r"The archive has lost 1 of its objects, .* so nothing of trees/.* is removed here"):
        archive(bucket=archive.store.plain, remove_local=True)
    said = archive(bucket=archive.store.plain)["msg"]
    assert said.startswith("1 file archived (0 B), 1 object of the archive lost, or others by now: trees/"), said
    assert said.endswith("/empty; look for who did that")
    assert archive(bucket=archive.store.plain)["msg"] == f"{len(contents(tree))} files archived already"
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


def test_a_lock_that_somebody_shortened_is_found(archive: Archive) -> None:
    archive(retain="30d")
    key = archive.manifests()[-1]["files"][5]["key"]
    version = {"Bucket": archive.store.bucket, "Key": key, "VersionId": archive.store.head(key)["VersionId"]}
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": time.time() + 60}
    archive.store.client.put_object_retention(**version, Retention=shorter, BypassGovernanceRetention=True)
    with pytest.raises(Failure, match=r"1 object of .* not as the manifest says"):
        archive.verify()


def test_retention_is_refused_where_the_bucket_cannot_lock_and_nothing_is_sent(archive: Archive) -> None:
    with pytest.raises(Failure, match="The bucket has no Object Lock, so nothing can be retained there"):
        archive(retain="90d", bucket=archive.store.plain)
    assert archive.store.names(bucket=archive.store.plain) == []
