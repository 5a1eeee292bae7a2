"""Objects that are made and never overwritten: each goes with its sha256, whole or as its pieces come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.abilities import Abilities
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import (
    Hashing,
    Sum,
    checksum_headers,
    framed,
    framed_length,
    to_md5,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.http_connection import Content
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.reader import Reader
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.s3_requests import Answer, Bucket, Query
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Unreachable

ONLY_NEW = {"if-none-match": "*"}
XML = {"content-type": "application/xml"}
Headers = Mapping[str, str]


class AlreadyThere(Exception):
    """Another object has this key; nothing was written."""


class Writer:
    """Makes objects in one bucket, for any number of threads."""

    def __init__(self, bucket: Bucket, abilities: Abilities, reader: Reader) -> None:
        self._bucket, self._abilities, self._reader = bucket, abilities, reader

    def put(self, key: str, content: Content, expected: Sum, lock: Lock) -> None:
        """Send an object whole. Raises AlreadyThere, or Failure with what the store said."""
        self.create("PUT", key, (), self._abilities.lock_headers(lock), content, expected.sha256).require(key)

    def stream(self, key: str, pieces: Iterable[Content], size: int, lock: Lock, *, md5: bool) -> Sum | None:
        """Send an object whole as its pieces come, its checksum at the end; None where the store does not know how to.

        Raises AlreadyThere, Failure, or what `pieces` raises; nothing is in the store then.
        """
        if not self._abilities.checksums:
            return None
        headers = {
            "content-encoding": "aws-chunked",
            "x-amz-trailer": "x-amz-checksum-sha256",
            "x-amz-decoded-content-length": str(size),
            "x-amz-sdk-checksum-algorithm": "SHA256",
            **(ONLY_NEW if self._abilities.conditional_writes else {}),
            **self._abilities.lock_headers(lock),
        }
        if not self._abilities.conditional_writes and self._reader.look(key):
            raise AlreadyThere(key)
        with Hashing(md5=md5) as hashing:
            answer = self._bucket.stream(key, headers, framed(pieces, size, hashing), framed_length(size))
        if answer.status in (409, 412):
            raise AlreadyThere(key)
        if answer.transient:
            raise Unreachable(f"The store does not take {key}: {answer.code}")
        if answer.status in (400, 411, 501):
            return None
        answer.require(key)
        sha256, *optional_md5 = hashing.sums()
        return Sum(size, sha256, md5="".join(optional_md5))

    def create(self, method: str, key: str, query: Query, headers: Headers, body: Content, digest: str) -> Answer:
        """A request that makes an object, only where there is none; the store decides that, if it can. Raises AlreadyThere."""
        while True:
            conditional = self._abilities.conditional_writes
            if not conditional and self._reader.look(key):
                raise AlreadyThere(key)
            condition = ONLY_NEW if conditional else {}
            answer = self.send(method, key, query, {**headers, **condition}, body, digest)
            if conditional and answer.status in (409, 412):
                raise AlreadyThere(key)
            if answer.ok or conditional == self._abilities.conditional_writes:
                return answer

    def send(self, method: str, key: str, query: Query, headers: Headers, body: Content, digest: str) -> Answer:
        """Send content with its checksum, as the store takes it. That of a POST would be for the object that it makes of parts."""
        while True:
            checksums = self._abilities.checksums
            checksum = {} if method == "POST" else checksum_headers(digest) if checksums else {"content-md5": to_md5(body)}
            answer = self._bucket.ask(method, key, query, {**headers, **checksum}, body, digest)
            self._abilities.learn(answer)
            if answer.ok or checksums == self._abilities.checksums:
                return answer
