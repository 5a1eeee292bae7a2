"""Stores that answer 200 to what they do not do: nothing archived is destroyed there, and nothing is believed that was not seen."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import object_store
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import sum_of
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments.aws import ARGUMENTS as AWS
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from irctl.incidents import incidents
from tests.servers import rclone, stores
from tests.servers.archives import CLOSED, HELD, RELEASED, Archive, contents, incident, settled, write
from tests.servers.stores import S3

LOCKED = Lock("GOVERNANCE", "2099-01-01T00:00:00Z")
OF_LOCKS = {"retention", "legal-hold"}


@pytest.fixture
def simple(tmp_path: Path) -> Iterator[S3]:
    """A store that knows no Object Lock."""
    (tmp_path / "rclone").mkdir()
    with rclone.served(tmp_path / "rclone") as url, stores.watched(url) as store:
        yield store


def _copy(source: S3, target: S3) -> dict[str, bytes]:
    """Copy every object, as an operator does with a sync; what was copied."""
    copied = {key: source.content(key) for key in source.names()}
    for key, content in copied.items():
        target.client.put_object(Bucket=target.bucket, Key=key, Body=content)
    target.requests.clear()
    return copied


def _opened(store: S3, folder: Path, bucket: str = "") -> object_store.Store:
    return object_store.open_store(
        bucket or store.bucket, {**dict.fromkeys(name.removeprefix("aws_") for name in AWS), **store.settings(folder)}
    )


def _held(store: S3) -> dict[str, bytes]:
    return {key: store.content(key) for key in store.names()}


@pytest.mark.parametrize("asked", [{}, {"retain": "90d"}, {"remove_local": True}], ids=["nothing", "retention", "removal"])
def test_a_copy_of_what_is_retained_in_a_store_without_object_lock_is_refused_and_stays_as_it_is(
    archive: Archive, simple: S3, tmp_path: Path, tree: Path, asked: dict[str, object]
) -> None:
    archive(retain="30d")
    copied = _copy(archive.store, simple)
    write(tree / "new.log", b"new")
    again = Archive(simple, tmp_path, tree)
    here = contents(tree)
    why = r"trees/.* is retained until .* by its newest manifest, and the bucket has no Object Lock: this is a copy"
    with pytest.raises(Failure, match=why):
        again(**asked)
    with pytest.raises(Failure, match=r"no Object Lock|does not say that it has Object Lock"):
        again.step("changed", **asked)
    with pytest.raises(Failure, match=why):
        again.verify()
    assert (_held(simple), contents(tree)) == (copied, here)
    assert not [request for request in simple.requests if request.method in ("PUT", "POST") or OF_LOCKS & set(request.query)]


def test_a_copy_of_what_is_on_hold_is_refused_and_stays_as_it_is_even_after_the_hold(
    store: S3, simple: S3, tmp_path: Path, home: Path
) -> None:
    """The copy's own hold is for somebody to end who knows where else it is."""
    name = incident(home, CLOSED, HELD)
    settled(store, home)()
    copied = _copy(store, simple)
    for event in ({}, RELEASED):
        if event:
            incidents.record(home, name, {"by": "ana", **event})
        with pytest.raises(Failure, match=r"on legal hold .*Object Lock"):
            settled(simple, home)()
    assert _held(simple) == copied


def test_a_lock_is_never_sent_where_the_bucket_does_not_say_that_it_has_one(simple: S3, store: S3, tmp_path: Path) -> None:
    for one, bucket in ((simple, simple.bucket), (store, store.plain)):
        opened = _opened(one, tmp_path, bucket)
        opened.writer.put("k", b"x", sum_of(b"x"), Lock())
        one.requests.clear()
        sends = [
            lambda opened=opened: opened.writer.put("n", b"x", sum_of(b"x"), LOCKED),
            lambda opened=opened: opened.writer.stream("n", [b"x"], 1, LOCKED, md5=False),
            lambda opened=opened: opened.uploads.upload("n", [b"x"], Lock(hold=True)),
            lambda opened=opened: opened.retention.extend("k", LOCKED),
            lambda opened=opened: opened.retention.extend("k", Lock(hold=True)),
        ]
        for send in sends:
            with pytest.raises(Failure, match="does not say that it has Object Lock"):
                send()
        assert not [request for request in one.requests if request.method in ("PUT", "POST")]
        assert one.content("k", bucket) == b"x"


def test_a_lock_that_a_store_only_echoes_is_not_believed(simple: S3, tmp_path: Path) -> None:
    headers = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": "2099-01-01T00:00:00Z"}
    simple.client.put_object(Bucket=simple.bucket, Key="k", Body=b"x", **headers)
    assert simple.head("k")["ObjectLockMode"] == "COMPLIANCE", "it is echoed"
    stored = _opened(simple, tmp_path).reader.look("k")
    assert stored
    assert stored.lock == Lock()


def test_a_store_that_writes_over_what_is_there_is_seen_and_said(simple: S3, archive: Archive, tmp_path: Path, tree: Path) -> None:
    assert "no other controller" not in archive()["msg"]
    again = Archive(simple, tmp_path, tree)
    assert again()["msg"].endswith("this store writes over what is there, so no other controller may use the prefix irctl")
    assert again.held().keys() == archive.held().keys()
    assert not [name for name in simple.names() + archive.store.names() if "/probe" in name]
    assert not again()["changed"]


def test_of_many_writers_one_makes_the_object_where_that_was_promised(store: S3, simple: S3, tmp_path: Path) -> None:
    for one, winners in ((store, 1), (simple, 8)):
        opened = _opened(one, tmp_path)

        def write_it(number: int, opened: object_store.Store = opened) -> int:
            content = b"%d" % number
            try:
                opened.writer.put("contended", content, sum_of(content), Lock())
            except Exception:
                return 0
            return 1

        with ThreadPoolExecutor(8) as crew:
            won = sum(crew.map(write_it, range(8)))
        opened.probe("p")
        assert opened.abilities.conditional_writes == (winners == 1)
        assert (won == 1) == (winners == 1)


def test_before_a_local_file_goes_it_is_said_what_this_store_cannot_be_asked(simple: S3, archive: Archive, tmp_path: Path) -> None:
    assert "such as a TTL of SeaweedFS on a path, cannot be asked" in archive.step("listed", remove_local=True)["msg"]
    said = Archive(simple, tmp_path, archive.tree).step("listed", remove_local=True)["msg"]
    assert said.endswith("this store does not answer what lifecycle rules it has, so what it removes by itself cannot be asked")
    assert "cannot be asked" not in archive.step("listed")["msg"]


def test_a_bucket_whose_versions_are_suspended_locks_nothing(careless: S3, tmp_path: Path, tree: Path) -> None:
    """moto lets that be done to a bucket with Object Lock; AWS does not."""
    careless.client.put_bucket_versioning(Bucket=careless.bucket, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(Failure, match="The bucket has no Object Lock"):
        Archive(careless, tmp_path, tree)(retain="30d")
    assert careless.names() == []


def test_whether_versions_are_suspended_is_not_guessed_where_it_may_not_be_asked(careless: S3, tmp_path: Path, tree: Path) -> None:
    careless.client.put_bucket_versioning(Bucket=careless.bucket, VersioningConfiguration={"Status": "Suspended"})
    careless.hook = lambda request, number: "403 AccessDenied" if "versioning" in request.query else None
    with pytest.raises(Failure, match="refused a look at its versions"):
        Archive(careless, tmp_path, tree)(retain="30d")
    assert careless.names() == []


def test_a_refusal_without_a_reason_says_what_a_lock_needs(store: S3, tmp_path: Path) -> None:
    """SeaweedFS says 'Invalid Request' of a retention that has ended, by its own clock."""
    opened = _opened(store, tmp_path)
    with pytest.raises(
        Failure, match=r"InvalidRequest: .*it does not say why\. For a lock a bucket needs Object Lock and versions"
    ):
        opened.writer.put("k", b"x", sum_of(b"x"), Lock("GOVERNANCE", "2020-01-01T00:00:00Z"))
