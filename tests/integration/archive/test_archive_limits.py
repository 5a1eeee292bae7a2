"""Names and sizes that a store does not take as they are, and what stores cannot do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.keys import plain
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from tests.servers.archives import Archive, contents, puts, write
from tests.servers.stores import Request


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
