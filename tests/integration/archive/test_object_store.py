"""One bucket: whether it may be asked, what is said where it may not, and what is read of it."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import exceptions

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import bucket_settings, object_store, reader, s3_requests
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.abilities import Abilities
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import sum_of
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.object_store import Store
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.writer import AlreadyThere
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments.aws import ARGUMENTS as AWS
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from tests.servers import stores
from tests.servers.stores import KEYS, S3

NOTHING = dict.fromkeys(name.removeprefix("aws_") for name in AWS)


def _opened(store: S3, folder: Path, **given: Any) -> Store:
    return object_store.open_store(store.bucket, {**NOTHING, **store.settings(folder), **given})


def _file(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


# Who asks


@pytest.mark.parametrize("who", [("AKIDEXAMPLE", "wrong"), ("NOSUCH", "wrong")], ids=["secret", "id"])
def test_a_key_that_is_wrong_is_said_to_be_one(store: S3, tmp_path: Path, who: tuple[str, str]) -> None:
    path = _file(tmp_path / "bad", f"[default]\naws_access_key_id = {who[0]}\naws_secret_access_key = {who[1]}\n")
    with pytest.raises(Failure, match=r"Look at the credentials and at this machine's clock\.$") as caught:
        _opened(store, tmp_path, credentials_file=path)
    assert "no reason given" not in str(caught.value)


def test_a_token_that_has_expired_is_said_to_be_one(store: S3, tmp_path: Path) -> None:
    store.hook = lambda request, number: "400 ExpiredToken"
    with pytest.raises(Failure, match=r"ExpiredToken\. Look at the credentials"):
        _opened(store, tmp_path)


def test_a_bucket_of_another_region_is_said_to_be_there(store: S3, tmp_path: Path) -> None:
    store.hook, store.region = lambda request, number: 400, "eu-west-1"
    with pytest.raises(Failure, match=f"The bucket {store.bucket} is in eu-west-1; set aws_region"):
        _opened(store, tmp_path)


ROLE = "[profile r]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = s\nregion = us-east-1\n"
SINGLE = """[profile r]\nsso_session = x\nsso_account_id = 123456789012\nsso_role_name = r
[sso-session x]\nsso_start_url = https://x.awsapps.com/start\nsso_region = us-east-1\n"""


@pytest.mark.parametrize(("config", "why"), [(ROLE, "AWS does not answer"), (SINGLE, "AWS cannot be asked")], ids=["role", "sso"])
def test_a_role_or_a_sign_on_that_cannot_be_had_is_one_sentence(
    store: S3, tmp_path: Path, config: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    source = _file(tmp_path / "source", "[s]\naws_access_key_id = NOSUCH\naws_secret_access_key = wrong\n")
    given = {"credentials_file": source, "config_file": _file(tmp_path / "config", config), "profile": "r"}
    with pytest.raises(Failure, match=why):
        _opened(store, tmp_path, **given)
    assert store.requests == []


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (exceptions.CredentialRetrievalError(provider="assume-role", error_msg="gone"), "AWS cannot be asked: .*gone"),
        (
            RuntimeError("Credentials were refreshed, but are still expired"),
            "The AWS credentials cannot be renewed: .*still expired",
        ),
    ],
    ids=["refused", "expired again"],
)
def test_credentials_that_cannot_be_renewed_meanwhile_are_one_sentence(error: Exception, why: str) -> None:
    def renewed() -> Any:
        raise error

    bucket = s3_requests.Bucket(
        s3_requests.Place(False, "127.0.0.1:9", "/b", "us-east-1"), SimpleNamespace(get_frozen_credentials=renewed)
    )
    bucket._own.connection = SimpleNamespace(send=None, close=lambda: None)
    with pytest.raises(Failure, match=why):
        bucket.ask("HEAD")


def test_the_token_of_temporary_credentials_is_sent_and_signed(store: S3, tmp_path: Path) -> None:
    names = "".join(f"{name} = {value}\n" for name, value in KEYS.items())
    path = _file(tmp_path / "temporary", f"[default]\n{names}aws_session_token = of-a-session\n")
    store.hook = lambda request, number: 404
    with pytest.raises(Failure, match="There is no bucket"):
        _opened(store, tmp_path, credentials_file=path)
    [request] = store.requests
    assert request.headers["x-amz-security-token"] == "of-a-session"
    assert "x-amz-security-token" in request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")


# What is read


def test_an_object_is_read_whole_however_large_an_answer_may_be_otherwise(
    store: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = _opened(store, tmp_path)
    store.client.put_object(Bucket=store.bucket, Key="m", Body=b"m" * 5000)
    monkeypatch.setattr(s3_requests, "LARGEST_ANSWER", 4000)
    assert opened.reader.read("m") == b"m" * 5000
    monkeypatch.setattr(reader, "LARGEST_READ", 4000)
    with pytest.raises(Failure, match=r"^m has more than 4000 bytes, which is too much"):
        opened.reader.read("m")


def test_a_key_with_a_plus_in_it_is_listed_as_it_is(store: S3, tmp_path: Path) -> None:
    opened = _opened(store, tmp_path)
    for key in ("x/a+b", "x/a b", "x/a%2Bb"):
        opened.writer.put(key, b"x", sum_of(b"x"), Lock())
    assert {stored.key for stored in opened.reader.list("x/")} == {"x/a+b", "x/a b", "x/a%2Bb"}


@contextmanager
def _chunked(content: bytes) -> Iterator[str]:
    """A server that says of nothing how long it is."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                one, _ = listening.accept()
            except OSError:
                return
            with one:
                said = one.recv(65536)
                one.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
                if not said.startswith(b"HEAD"):
                    one.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def test_what_comes_in_chunks_is_counted_as_it_comes() -> None:
    who = SimpleNamespace(access_key="a", secret_key="b", token=None)
    with _chunked(b"in chunks") as host:
        bucket = s3_requests.Bucket(
            s3_requests.Place(False, host, "/b", "us-east-1"), SimpleNamespace(get_frozen_credentials=lambda: who)
        )
        opened = Store("b", bucket)
        stored, sha256 = opened.reader.download("k")
        assert stored
        assert (stored.bytes, sha256) == (9, hashlib.sha256(b"in chunks").hexdigest())
        assert opened.reader.matching("k", sum_of(b"in chunks"), trusted=False)
        assert not opened.reader.matching("k", sum_of(b"in chunkz"), trusted=False)


# What is written


@pytest.mark.parametrize("status", [409, 412])
def test_a_key_that_somebody_else_takes_at_the_same_time_is_taken(store: S3, tmp_path: Path, status: int) -> None:
    opened = _opened(store, tmp_path)
    store.hook = lambda request, number: status if request.method == "PUT" else None
    with pytest.raises(AlreadyThere):
        opened.writer.put("k", b"x", sum_of(b"x"), Lock())
    with pytest.raises(AlreadyThere):
        opened.writer.stream("k", [b"x"], 1, Lock(), md5=False)


def test_what_a_store_took_of_the_probe_is_removed_with_its_version(tmp_path: Path) -> None:
    """Else a marker would stand in its place, and it would be there, and billed, for ever."""
    with stores.careless() as store:
        opened = _opened(store, tmp_path)
        opened.probe("p")
        assert not opened.abilities.trusted
        removals = [request for request in store.requests if request.method == "DELETE"]
        assert removals
        assert all(removal.query["versionId"] != [""] for removal in removals)
        versions = store.client.list_object_versions(Bucket=store.bucket)
        assert not versions.get("Versions")
        assert not versions.get("DeleteMarkers")


# What cannot be judged


@pytest.mark.parametrize("token", ["", "<NextContinuationToken>again</NextContinuationToken>"], ids=["none", "the same for ever"])
def test_a_list_that_goes_on_and_does_not_say_how_is_not_taken_for_the_whole(token: str) -> None:
    page = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}</ListBucketResult>".encode()
    bucket = SimpleNamespace(ask=lambda *_words, **_more: s3_requests.Answer(200, {}, page))
    with pytest.raises(Failure, match=r"its list of irctl/ goes on, and not how, so what it holds is not known"):
        list(reader.Reader(bucket, Abilities()).list("irctl/"))


@pytest.mark.parametrize(("seconds", "words"), [(7300, "2h ahead of"), (-7300, "2h behind")])
def test_a_clock_that_is_not_that_of_the_store_decides_nothing(
    store: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, words: str
) -> None:
    """SeaweedFS, as AWS, refuses by itself what is signed in another hour; a store that does not is not relied on either."""
    clock = SimpleNamespace(time=lambda: time.time() + seconds)
    monkeypatch.setattr(bucket_settings, "time", clock)
    with pytest.raises(Failure, match=f"The clock of this machine is {words} that of the store"):
        _opened(store, tmp_path)
