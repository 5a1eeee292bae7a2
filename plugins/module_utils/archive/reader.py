"""Objects as a store describes them and as they are downloaded. Nothing is changed in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote_plus

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.abilities import Abilities
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import Hashing, Sum, to_hex
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import UNLOCKED, Lock, http_moment, instant, moment
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.s3_requests import Answer, Bucket, elements, text_of
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

LARGEST_READ = 2 << 30  # bytes of an object that is read into memory: a manifest of some millions of files
DOWNLOADS = 3  # tries of one that breaks off
UNKNOWN = -1  # bytes of what comes in chunks
WITH_CHECKSUM = {"x-amz-checksum-mode": "ENABLED"}


class Missing(Failure):
    """There is no such object."""


@dataclass(frozen=True)
class Stored:
    """An object as the store describes it. `sha256` is hex, '' where the store does not say; of one in parts it is `of_parts`."""

    key: str
    bytes: int
    etag: str
    sha256: str = ""
    of_parts: bool = False
    lock: Lock = UNLOCKED
    made: float = 0.0  # seconds since 1970, by the store's clock
    age: float = 0.0  # seconds, by the store's clock; 0 where it does not say


class Reader:
    """The objects of one bucket, for any number of threads."""

    def __init__(self, bucket: Bucket, abilities: Abilities) -> None:
        self._bucket, self._abilities = bucket, abilities

    def list(self, prefix: str) -> Iterator[Stored]:
        """All objects whose keys begin so, in the order of their keys, a thousand for each request."""
        token = ""
        while True:
            query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url")]
            answer = self._bucket.ask("GET", query=[*query, *([("continuation-token", token)] if token else [])])
            answer.require(f"a list of {prefix}")
            encoded = text_of(answer.body, "EncodingType") == "url"
            for element in elements(answer.body, "Contents"):
                fields = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
                key = unquote_plus(fields["Key"]) if encoded else fields["Key"]
                made = moment(fields.get("LastModified", ""))
                yield Stored(key, int(fields["Size"]), fields.get("ETag", "").strip('"'), made=made)
            if text_of(answer.body, "IsTruncated") != "true":
                return
            last, token = token, text_of(answer.body, "NextContinuationToken")
            if token in ("", last):
                raise Failure(f"The store says that its list of {prefix} goes on, and not how, so what it holds is not known.")

    def look(self, key: str) -> Stored | None:
        """What the store says that it holds under a key, with its own checksum; None for nothing."""
        return self._stored(key, self._ask_with_checksum("HEAD", key))

    def download(self, key: str) -> tuple[Stored | None, str]:
        """What the store holds under a key, and the sha256 of it as it comes from there; nothing is kept."""
        for _try in range(DOWNLOADS - 1):
            try:
                return self._download(key)
            except Unreachable:
                continue
        return self._download(key)

    def read(self, key: str) -> bytes:
        """An object of no more than LARGEST_READ bytes. Raises Missing where there is none, or Failure."""
        for _try in range(DOWNLOADS - 1):
            try:
                return self._read(key)
            except Unreachable:
                continue
        return self._read(key)

    def matching(self, key: str, expected: Sum, *, trusted: bool) -> Stored | None:
        """The object, where it is what was sent; None where it is missing or another.

        Proved by the store's own checksum where those are `trusted`, by the md5 that it has taken, or else by download and hash;
        always by download where the store takes no checksums.
        """
        stored = self.look(key)
        if stored is None or stored.bytes not in (expected.bytes, UNKNOWN):
            return None
        if trusted and stored.sha256 and stored.sha256 in (expected.sha256, expected.of_parts):
            return stored
        if trusted and stored.sha256 and not stored.of_parts:
            return None
        if not trusted and self._abilities.checksums and expected.md5 and stored.etag == expected.md5:
            return stored
        stored, sha256 = self.download(key)
        return stored if stored and (stored.bytes, sha256) == (expected.bytes, expected.sha256) else None

    def _download(self, key: str) -> tuple[Stored | None, str]:
        with Hashing() as hashing:
            answer = self._ask_with_checksum("GET", key, hashing.take)
        stored = self._stored(key, answer)
        return stored and replace(stored, bytes=hashing.bytes), hashing.sums()[0]

    def _read(self, key: str) -> bytes:
        whole = _Limited(key)
        answer = self._bucket.ask("GET", key, into=whole.take)
        if answer.status == 404:
            raise Missing(f"The store has nothing as {printable(key, 200)}.")
        answer.require(f"a download of {key}")
        return bytes(whole.content)

    def _ask_with_checksum(self, method: str, key: str, into: Callable[[bytes], None] | None = None) -> Answer:
        """Ask for an object and its checksum; for the object alone where the store does not know what a checksum is."""
        for _try in range(2 if self._abilities.checksums else 0):  # a single refusal may have been a hiccup
            answer = self._bucket.ask(method, key, headers=WITH_CHECKSUM, into=into)
            if answer.status not in (400, 501):
                return answer
        answer = self._bucket.ask(method, key, into=into)
        if answer.ok or answer.status == 404:
            self._abilities.checksums = False
        return answer

    def _stored(self, key: str, answer: Answer) -> Stored | None:
        if answer.status == 404:
            return None
        answer.require(f"a look at {key}")
        headers = answer.headers
        checksum, _dash, parts = headers.get("x-amz-checksum-sha256", "").partition("-")
        until = instant(headers.get("x-amz-object-lock-retain-until-date", ""))
        lock = Lock(headers.get("x-amz-object-lock-mode", ""), until, headers.get("x-amz-object-lock-legal-hold") == "ON")
        lock = lock if self._abilities.object_lock else UNLOCKED  # some stores echo what they were sent
        made, answered = http_moment(headers.get("last-modified", "")), http_moment(headers.get("date", ""))
        age = max(answered - made, 0.0) if made and answered else 0.0
        etag, size = headers.get("etag", "").strip('"'), int(headers.get("content-length", UNKNOWN))
        return Stored(key, size, etag, to_hex(checksum), bool(parts) or "-" in etag, lock, made, age)


class _Limited:
    """Collects an object that is read into memory."""

    def __init__(self, key: str) -> None:
        self._key, self.content = key, bytearray()

    def take(self, piece: bytes) -> None:
        self.content += piece
        if len(self.content) > LARGEST_READ:
            raise Failure(f"{printable(self._key, 200)} has more than {LARGEST_READ} bytes, which is too much to be read at once.")
