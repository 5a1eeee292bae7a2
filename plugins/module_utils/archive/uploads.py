"""Objects that go in parts, because they are too large to be sent whole."""

from __future__ import annotations

import hashlib
import xml.sax.saxutils as xml
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.abilities import Abilities
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import Sum, to_base64
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.http_connection import Content
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.s3_requests import Bucket, elements, text_of
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.writer import XML, Writer

AT_ONCE = 4  # parts under way, and in memory


class Part(NamedTuple):
    """A part that the store has: its ETag, and its sha256 in hex."""

    etag: str
    sha256: str


class Uploads:
    """Uploads in parts to one bucket."""

    def __init__(self, bucket: Bucket, abilities: Abilities, writer: Writer) -> None:
        self._bucket, self._abilities, self._writer = bucket, abilities, writer

    def upload(self, key: str, pieces: Iterable[Content], lock: Lock) -> Sum:
        """Send an object in parts as its pieces come. Raises AlreadyThere or Failure; then no part of it stays in the store."""
        upload = self._begin(key, lock)
        try:
            with ThreadPoolExecutor(AT_ONCE) as crew:
                total, parts = self._send_parts(crew, key, upload, pieces)
            self._complete(key, upload, parts)
        except BaseException:
            self._bucket.ask("DELETE", key, [("uploadId", upload)])
            raise
        return total

    def forget(self, key: str) -> int:
        """Remove the parts that a killed upload of this key left; return of how many uploads."""
        answer = self._bucket.ask("GET", query=[("uploads", ""), ("prefix", key)])
        if not answer.ok:
            return 0
        unfinished = [upload for upload in elements(answer.body, "Upload") if _child(upload, "Key") == key]
        for upload in unfinished:
            self._bucket.ask("DELETE", key, [("uploadId", _child(upload, "UploadId"))])
        return len(unfinished)

    def _begin(self, key: str, lock: Lock) -> str:
        algorithm = {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "COMPOSITE"} if self._abilities.checksums else {}
        answer = self._bucket.ask("POST", key, [("uploads", "")], {**algorithm, **self._abilities.lock_headers(lock)})
        answer.require(f"the beginning of {key}")
        return text_of(answer.body, "UploadId")

    def _send_parts(self, crew: ThreadPoolExecutor, key: str, upload: str, pieces: Iterable[Content]) -> tuple[Sum, list[Part]]:
        """Hash the whole in this thread, and each part in the one that sends it."""
        whole, size, parts = hashlib.sha256(), 0, list[Part]()
        under_way: deque[Future[Part]] = deque()
        for number, piece in enumerate(pieces, 1):
            under_way.append(crew.submit(self._send_part, key, upload, number, piece))
            whole.update(piece)
            size += len(piece)
            if len(under_way) == AT_ONCE:
                parts.append(under_way.popleft().result())
        parts += [future.result() for future in under_way]
        of_parts = hashlib.sha256(b"".join(bytes.fromhex(part.sha256) for part in parts)).hexdigest()
        return Sum(size, whole.hexdigest(), of_parts), parts

    def _send_part(self, key: str, upload: str, number: int, piece: Content) -> Part:
        digest = hashlib.sha256(piece).hexdigest()
        answer = self._writer.send("PUT", key, [("partNumber", str(number)), ("uploadId", upload)], {}, piece, digest)
        answer.require(f"part {number} of {key}")
        return Part(answer.headers.get("etag", ""), digest)

    def _complete(self, key: str, upload: str, parts: list[Part]) -> None:
        """Make one object of the parts. Raises AlreadyThere or Failure."""
        listed = "".join(self._listed(number, part) for number, part in enumerate(parts, 1))
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        answer = self._writer.create("POST", key, [("uploadId", upload)], XML, body, hashlib.sha256(body).hexdigest())
        answer.require(f"the end of {key}")
        if text_of(answer.body, "Code"):  # an error that came after the 200
            raise answer.failure(f"the end of {key}")

    def _listed(self, number: int, part: Part) -> str:
        checksum = f"<ChecksumSHA256>{to_base64(part.sha256)}</ChecksumSHA256>" if self._abilities.checksums else ""
        return f"<Part><PartNumber>{number}</PartNumber><ETag>{xml.escape(part.etag)}</ETag>{checksum}</Part>"


def _child(element: Any, name: str) -> str:
    child = element.find(f"{{*}}{name}")
    return (child.text or "") if child is not None else ""
