"""Before a local file goes, the archive is asked again: what it lets expire, what it has lost, what it dropped since."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from tests.servers import stores
from tests.servers.archives import Archive, contents, write
from tests.servers.stores import S3, Request

DAY = 86400


@pytest.fixture(params=["SeaweedFS", "moto"])
def ruled(request: pytest.FixtureRequest) -> Iterator[S3]:
    """A store that takes lifecycle rules."""
    if request.param == "moto":
        with stores.careless() as store:
            yield store
    else:
        with stores.watched(request.getfixturevalue("seaweed")) as store:
            yield store


def _rule(store: S3, bucket: str = "", **rule: Any) -> None:
    configuration = {"Rules": [{"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, **rule}]}
    store.client.put_bucket_lifecycle_configuration(Bucket=bucket or store.bucket, LifecycleConfiguration=configuration)


@pytest.mark.parametrize(
    ("rule", "asked", "why"),
    [
        ({"Expiration": {"Days": 30}}, {"retain": "90d"}, "before its retention ends"),
        ({"Expiration": {"Days": 30}}, {}, "within a year, and nothing retains it"),
        ({"Expiration": {"Days": 30}, "Filter": {"Prefix": "irctl/files/"}}, {"retain": "90d"}, "before its retention ends"),
        ({"Expiration": {"Days": 30}, "Filter": {"Prefix": "irctl/manifests/"}}, {"retain": "90d"}, "before its retention ends"),
        ({"Expiration": {"Days": 120}}, {"retain": "90d"}, ""),
        ({"Expiration": {"Days": 400}}, {}, ""),
        ({"Expiration": {"Days": 30}, "Status": "Disabled"}, {"retain": "90d"}, ""),
        ({"Expiration": {"Days": 30}, "Filter": {"Prefix": "other/"}}, {"retain": "90d"}, ""),
    ],
    ids=["all", "all, unretained", "files", "manifests", "later", "much later", "disabled", "elsewhere"],
)
def test_a_rule_that_ends_an_object_before_its_retention_keeps_the_local_file(
    ruled: S3, tmp_path: Path, tree: Path, rule: dict[str, Any], asked: dict[str, Any], why: str
) -> None:
    archive = Archive(ruled, tmp_path, tree, **asked)
    archive()
    _rule(ruled, **rule)
    if not why:
        assert archive(remove_local=True)["msg"].endswith("14 files removed here")
        return
    refused = f"No local file may go: the lifecycle rule tidy of the bucket deletes irctl/.* {why}"
    with pytest.raises(Failure, match=refused):
        archive(remove_local=True)
    with pytest.raises(Failure, match=refused):
        archive.step("changed", remove_local=True)
    assert len(contents(tree)) == 14
    assert not archive()["changed"], "to archive alone it is no objection"


def test_rules_that_may_not_be_asked_for_keep_the_local_file(archive: Archive, tree: Path) -> None:
    archive.store.hook = lambda request, number: 403 if "lifecycle" in request.query else None
    with pytest.raises(Failure, match=r"may not be asked \(InternalError\); allow s3:GetLifecycleConfiguration"):
        archive(remove_local=True)
    assert len(contents(tree)) == 14


def test_a_lock_that_is_gone_a_moment_later_keeps_the_local_file(careless: S3, tmp_path: Path, tree: Path) -> None:
    """The store answered that it retains everything. moto shortens whatever is asked."""
    archive = Archive(careless, tmp_path, tree, retain="90d", retain_mode="compliance")
    done = threading.Event()

    def drop(request: Request) -> int | None:
        if request.method == "PUT" and "/manifests/" in request.path and not done.is_set():
            done.set()
            key = next(name for name in careless.names("irctl/files/") if name.endswith("empty"))
            soon = {"Mode": "GOVERNANCE", "RetainUntilDate": time.time() + DAY}
            careless.client.put_object_retention(Bucket=careless.bucket, Key=key, Retention=soon, BypassGovernanceRetention=True)
        return None

    careless.acted = drop
    with pytest.raises(Failure, match=r"was removed here: empty: the store does not lock it as its manifest says"):
        archive(remove_local=True)
    assert len(contents(tree)) == 14


def test_an_object_that_expires_a_moment_later_keeps_the_local_file(archive: Archive, tree: Path) -> None:
    """As a path's TTL in SeaweedFS has it. It is asked for twice, the second time when it is as old as was asked."""
    looks: list[float] = []

    def expire(request: Request, number: int) -> None:
        if request.method == "HEAD" and request.key.endswith("/empty"):
            looks.append(time.monotonic())
            if len(looks) > 2:
                archive.store.client.delete_object(Bucket=archive.store.plain, Key=request.key)

    archive.store.hook = expire
    with pytest.raises(Failure, match=r"was removed here: empty: the store does not hold it"):
        archive(bucket=archive.store.plain, remove_local=True, min_age="2s")
    assert looks[-1] - looks[0] >= 2
    assert len(contents(tree)) == 14


# What is lost


def test_a_manifest_that_is_listed_and_gone_is_lost(archive: Archive) -> None:
    plain = archive.store.plain
    archive(bucket=plain)

    def vanish(request: Request, number: int) -> None:
        if request.method == "GET" and request.key.endswith("/000001.json"):
            archive.store.client.delete_object(Bucket=plain, Key=request.key)

    archive.store.hook = vanish
    with pytest.raises(Failure, match=r"The archive has lost a manifest of trees/.*000001\.json \(the store lists it"):
        archive(bucket=plain)


def test_an_older_manifest_that_is_not_there_any_more_is_lost_and_no_local_file_goes(archive: Archive, tree: Path) -> None:
    plain = archive.store.plain
    archive(bucket=plain)
    write(tree / "later.log", b"later")
    archive(bucket=plain)
    [first] = [key for key in archive.store.names("irctl/manifests/", plain) if key.endswith("/000001.json")]
    archive.store.client.delete_object(Bucket=plain, Key=first)
    with pytest.raises(Failure, match=r"The archive has lost manifest 1 of trees/.*, so nothing of it is removed here"):
        archive(bucket=plain, remove_local=True)
    with pytest.raises(Failure, match=r"The archive has lost manifest 1 of trees/"):
        archive.verify(bucket=plain)
    assert len(contents(tree)) == 15
