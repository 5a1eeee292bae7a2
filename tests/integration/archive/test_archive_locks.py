"""How long what is archived stays: retention that ends, is prolonged or is somebody else's, and holds that reach everything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import locks, retention
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from irctl.incidents import incidents
from tests.servers import stores
from tests.servers.archives import CLOSED, HELD, OLD, Archive, incident, settled, write
from tests.servers.stores import S3

DAY = 86400
UNTIL = "x-amz-object-lock-retain-until-date"


@pytest.fixture(params=["a store that refuses to shorten", "one that shortens"])
def store(request: pytest.FixtureRequest) -> Iterator[S3]:
    careless = request.param == "one that shortens"
    with stores.careless() if careless else stores.watched(request.getfixturevalue("seaweed")) as found:
        yield found


@pytest.fixture
def strict(seaweed: str) -> Iterator[S3]:
    with stores.watched(seaweed) as found:
        yield found


def _archive(store: S3, tmp_path: Path) -> Archive:
    for name in ("a.log", "b.log"):
        write(tmp_path / "tree" / name, name.encode())
    return Archive(store, tmp_path, tmp_path / "tree")


def _locks(archive: Archive) -> set[tuple[str, int]]:
    """The mode and the days that are left, rounded, of every object."""
    heads = [archive.store.head(key) for key in archive.store.names()]
    return {(head["ObjectLockMode"], round((head["ObjectLockRetainUntilDate"].timestamp() - time.time()) / DAY)) for head in heads}


def _wait_until_after(text: str) -> None:
    end = datetime.fromisoformat(text).timestamp()
    while time.time() <= end:
        time.sleep(0.1)


def test_after_the_end_of_a_retention_new_files_are_archived_and_retained(strict: S3, tmp_path: Path) -> None:
    archive = _archive(strict, tmp_path)
    archive(retain="5s")
    _wait_until_after(archive.manifests()[-1]["lock"]["until"])
    write(tmp_path / "tree" / "later.log", b"later")
    began = int(time.time())
    assert archive(retain="5s")["msg"].startswith("1 file archived")
    [entry] = [entry for entry in archive.manifests()[-1]["files"] if entry["path"] == "later.log"]
    assert strict.head(entry["key"])["ObjectLockRetainUntilDate"].timestamp() > began
    assert archive.verify()
    write(tmp_path / "tree" / "last.log", b"last")
    assert archive()["msg"].startswith("1 file archived"), "nor does it need one"
    assert archive(retain="30d")["changed"]
    assert _locks(archive) == {("GOVERNANCE", 30)}


def test_after_the_end_of_a_retention_a_hold_reaches_everything(strict: S3, tmp_path: Path) -> None:
    home = tmp_path / "home"
    name = incident(home, CLOSED)
    archive = settled(strict, home)
    archive(retain="5s")
    _wait_until_after(archive.manifests()[-1]["lock"]["until"])
    incidents.record(home, name, {"by": "ana", **HELD})
    archive(retain="5s")
    assert {strict.head(key)["ObjectLockLegalHoldStatus"] for key in strict.names()} == {"ON"}


def test_what_is_sent_later_is_retained_from_then_on_for_as_long_as_is_asked(strict: S3, tmp_path: Path) -> None:
    archive = _archive(strict, tmp_path)
    archive(retain="90d")
    first = archive.manifests()[-1]["lock"]["until"]
    time.sleep(1.1)
    write(tmp_path / "tree" / "later.log", b"later")
    strict.requests.clear()
    archive(retain="90d")
    sent = [request.headers[UNTIL] for request in strict.requests if request.method == "PUT" and "/probe" not in request.path]
    assert len(sent) == 2, "the file and its manifest"
    assert all(until > first for until in sent)
    assert archive.manifests()[-1]["lock"]["until"] == first


def test_what_is_read_again_to_be_removed_is_not_retained_anew(strict: S3, tmp_path: Path) -> None:
    archive = _archive(strict, tmp_path)
    archive(retain="90d")
    time.sleep(1.1)
    strict.requests.clear()
    assert archive(retain="90d", remove_local=True)["msg"] == "2 files found in the archive, 2 files removed here"
    assert not [request for request in strict.requests if "retention" in request.query]


def test_a_longer_retention_in_a_weaker_mode_keeps_the_mode(store: S3, tmp_path: Path) -> None:
    archive = _archive(store, tmp_path)
    archive(retain="30d", retain_mode="compliance")
    assert archive(retain="90d")["changed"]
    assert _locks(archive) == {("COMPLIANCE", 90)}
    assert not archive(retain="90d")["changed"]


def test_a_stricter_mode_for_a_shorter_time_shortens_nothing(store: S3, tmp_path: Path) -> None:
    archive = _archive(store, tmp_path)
    archive(retain="365d")
    assert archive(retain="30d", retain_mode="compliance")["changed"]
    assert _locks(archive) == {("COMPLIANCE", 365)}


def test_what_somebody_prolonged_by_hand_stays_as_long(store: S3, tmp_path: Path) -> None:
    archive = _archive(store, tmp_path)
    archive(retain="30d")
    key = archive.manifests()[-1]["files"][0]["key"]
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": time.time() + 1000 * DAY}
    store.client.put_object_retention(Bucket=store.bucket, Key=key, Retention=retention)
    archive(retain="90d")
    assert _locks(archive) == {("GOVERNANCE", 90), ("GOVERNANCE", 1000)}


def test_a_hold_reaches_what_has_other_content_by_now_and_older_manifests(strict: S3, tmp_path: Path) -> None:
    home = tmp_path / "home"
    name = incident(home, CLOSED)
    archive = settled(strict, home)
    archive()
    incidents.record(home, name, {"by": "ana", "event": "reopened"})
    write(home / "incidents" / name / "evidence" / "0.txt", b"changed since")
    incidents.record(home, name, {"by": "ana", **CLOSED})
    time.sleep(1.1)
    archive()
    incidents.record(home, name, {"by": "ana", **HELD})
    archive()
    keys = [key for key in strict.names() if not key.endswith("/probe")]
    assert len(keys) == 4 + 2 + 1 + 3, "four files, two of them with other content, the journal once more, three manifests"
    assert {strict.head(key)["ObjectLockLegalHoldStatus"] for key in keys} == {"ON"}
    assert archive.verify()
    now = {entry["key"] for entry in archive.manifests()[-1]["files"]}
    [old] = [key for key in keys if key.endswith("0.txt") and key not in now]
    strict.client.put_object_legal_hold(Bucket=strict.bucket, Key=old, LegalHold={"Status": "OFF"})
    with pytest.raises(Failure, match=f"1 object of .* not as the manifest says, such as {old}"):
        archive.verify()


def test_a_tree_in_a_tree_keeps_its_own_retention(strict: S3, tmp_path: Path) -> None:
    """Their keys begin alike."""
    archive = _archive(strict, tmp_path)
    write(tmp_path / "tree" / "inner" / "c.log", b"c")
    archive(tree=str(tmp_path / "tree" / "inner"))
    [inner] = strict.names("irctl/files/")
    archive()
    (tmp_path / "tree" / "inner" / "c.log").unlink()
    write(tmp_path / "tree" / "inner" / "d.log", b"d", age=OLD + 1)
    archive(tree=str(tmp_path / "tree" / "inner"))
    other = next(key for key in strict.names("irctl/files/") if key.endswith("d.log"))
    (tmp_path / "tree" / "inner" / "d.log").unlink()
    archive(retain="30d")
    assert "ObjectLockMode" not in strict.head(other)
    assert archive.verify()
    assert strict.head(inner)["ObjectLockMode"] == "GOVERNANCE", "it is of both"


def test_a_store_that_takes_no_lock_is_found_out(store: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what it says of the object itself, when it is sent and when the archive is proved."""
    archive = _archive(store, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(locks.Lock, "headers", lambda self: {})
        patched.setattr(retention.Retention, "extend", lambda self, key, lock: None)
        with pytest.raises(Failure, match=r"The store does not lock irctl/files/.* as it was told"):
            archive(retain="30d")
    assert archive.manifests() == []


def test_a_lock_that_is_gone_fails_the_proof(store: S3, tmp_path: Path) -> None:
    archive = _archive(store, tmp_path)
    archive(retain="30d")
    key = archive.manifests()[-1]["files"][1]["key"]
    version = {"Bucket": store.bucket, "Key": key, "VersionId": store.head(key)["VersionId"]}
    shorter: dict[str, Any] = {"Mode": "GOVERNANCE", "RetainUntilDate": time.time() + DAY}
    store.client.put_object_retention(**version, Retention=shorter, BypassGovernanceRetention=True)
    with pytest.raises(Failure, match=r"1 object of .* not as the manifest says, such as b\.log"):
        archive.verify()
