"""Objects in an S3 bucket that are never overwritten: each goes with its sha256, and what the store holds is read back as proof."""

from __future__ import annotations

import hashlib
import xml.sax.saxutils as xml
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import s3_requests
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import (
    Hashing,
    Sum,
    checksum_headers,
    framed,
    framed_length,
    to_base64,
    to_hex,
    to_md5,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.http_connection import Content
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.s3_requests import (
    EMPTY,
    Answer,
    Bucket,
    Query,
    elements,
    text_of,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

LARGEST = 5 << 40  # bytes of an object
LARGEST_READ = 2 << 30  # bytes of one that is read into memory: a manifest of some millions of files
DOWNLOADS = 3  # tries of one that breaks off
AT_ONCE = 4  # parts under way
UNTOLD = -1  # bytes of what comes in chunks
TOLD = {"x-amz-checksum-mode": "ENABLED"}
XML = {"content-type": "application/xml"}
Headers = Mapping[str, str]


class AlreadyThere(Exception):
    """Another object has this key; nothing was written."""


@dataclass(frozen=True)
class Lock:
    """How an object is kept from being deleted: until when ('' for no retention), and whether it is on legal hold."""

    mode: str = ""
    until: str = ""
    hold: bool = False

    def covers(self, wanted: Lock) -> bool:
        """Whether it keeps an object at least as well. Times are UTC text, so that they compare as they are."""
        kept = not wanted.until or (self.until >= wanted.until and (self.mode == wanted.mode or self.mode == "COMPLIANCE"))
        return kept and (self.hold or not wanted.hold)

    def headers(self) -> dict[str, str]:
        found = {"x-amz-object-lock-legal-hold": "ON"} if self.hold else {}
        if self.until:
            found |= {"x-amz-object-lock-mode": self.mode, "x-amz-object-lock-retain-until-date": self.until}
        return found


@dataclass(frozen=True)
class Stored:
    """An object as the store tells of it. `sha256` is hex, '' where the store does not say; of one in parts it is `of_parts`."""

    key: str
    bytes: int
    etag: str
    sha256: str = ""
    of_parts: bool = False
    lock: Lock = Lock()


def instant(text: str) -> str:
    """A time as the store writes it, as 2026-11-21T02:23:11Z; '' for what is none."""
    with suppress(ValueError):
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return ""


class _Limited:
    """What comes of an object that is read into memory."""

    def __init__(self, key: str) -> None:
        self._key, self.content = key, bytearray()

    def take(self, piece: bytes) -> None:
        self.content += piece
        if len(self.content) > LARGEST_READ:
            raise Failure(f"{printable(self._key, 200)} has more than {LARGEST_READ} bytes, which is too much to be read at once.")


def open_store(bucket: str, params: Mapping[str, Any]) -> Store:
    """The bucket that the settings name. Raises Failure, Unreachable or ValueError, also where there is no such bucket."""
    credentials, region, endpoint = clients.identity(params)
    store = Store(bucket, Bucket(s3_requests.place(bucket, region, endpoint), credentials))
    store.require()
    return store


class Store:
    """One bucket, for any number of threads."""

    def __init__(self, bucket: str, asked: Bucket) -> None:
        self.bucket, self._asked = bucket, asked
        self._conditional = True  # whether it is asked to make an object only where there is none
        self._sums = True  # whether it is told and asked for checksums; Backblaze refuses a request that names one

    def require(self) -> None:
        """Raises Failure where there is no such bucket, or it is not ours to look at."""
        found = self._asked.ask("HEAD")
        region = found.headers.get("x-amz-bucket-region", "")
        elsewhere = found.status in (301, 307) or (found.status == 400 and region not in ("", self._asked.region))
        if found.status in (400, 403):  # the answer to a HEAD has no body, so that it does not say why
            found = self._asked.ask("GET", query=[("list-type", "2"), ("max-keys", "0")])
        if found.status == 404:
            raise Failure(
                f"There is no bucket {self.bucket}; make it, with versioning and Object Lock, before evidence goes there."
            )
        if elsewhere and not found.done:
            raise Failure(f"The bucket {self.bucket} is in {printable(region or 'another region', 80)}; set aws_region.")
        self._done(found, f"a look at the bucket {self.bucket}")

    def locks(self) -> bool:
        """Whether objects can be locked here."""
        found = self._asked.ask("GET", query=[("object-lock", "")])
        if found.status == 403:
            raise found.failure("a look at its Object Lock")
        return found.done and text_of(found.body, "ObjectLockEnabled") == "Enabled"

    def versioned(self) -> bool:
        found = self._asked.ask("GET", query=[("versioning", "")])
        return found.done and text_of(found.body, "Status") == "Enabled"

    def listed(self, prefix: str) -> Iterator[Stored]:
        """All objects whose keys begin so, in the order of their keys, a thousand for each request."""
        token = ""
        while True:
            query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url")]
            found = self._asked.ask("GET", query=[*query, *([("continuation-token", token)] if token else [])])
            self._done(found, f"a list of {prefix}")
            encoded = text_of(found.body, "EncodingType") == "url"
            for one in elements(found.body, "Contents"):
                told = {child.tag.rpartition("}")[2]: child.text or "" for child in one}
                key = unquote_plus(told["Key"]) if encoded else told["Key"]
                yield Stored(key, int(told["Size"]), told.get("ETag", "").strip('"'))
            token = text_of(found.body, "NextContinuationToken")
            if text_of(found.body, "IsTruncated") != "true" or not token:
                return

    def look(self, key: str) -> Stored | None:
        """What the store says that it holds under a key, with its own checksum; None for nothing."""
        return self._stored(key, self._ask_for("HEAD", key))

    def _ask_for(self, method: str, key: str, into: Callable[[bytes], None] | None = None) -> Answer:
        """Ask for an object and its checksum; without that from a store that does not know what is meant."""
        for _try in range(2 if self._sums else 0):  # a single refusal may have been a hiccup
            found = self._asked.ask(method, key, headers=TOLD, into=into)
            if found.status not in (400, 501):
                return found
        found = self._asked.ask(method, key, into=into)
        if found.done or found.status == 404:
            self._sums = False
        return found

    def _stored(self, key: str, found: Answer) -> Stored | None:
        if found.status == 404:
            return None
        self._done(found, f"a look at {key}")
        told = found.headers
        checksum, _dash, parts = told.get("x-amz-checksum-sha256", "").partition("-")
        until = instant(told.get("x-amz-object-lock-retain-until-date", ""))
        lock = Lock(told.get("x-amz-object-lock-mode", ""), until, told.get("x-amz-object-lock-legal-hold") == "ON")
        etag, number = told.get("etag", "").strip('"'), int(told.get("content-length", UNTOLD))
        return Stored(key, number, etag, to_hex(checksum), bool(parts) or "-" in etag, lock)

    def download(self, key: str) -> tuple[Stored | None, str]:
        """What the store holds under a key, and the sha256 of it as it comes from there; nothing is kept."""
        for attempt in range(1, DOWNLOADS + 1):
            try:
                with Hashing() as hashing:
                    found = self._ask_for("GET", key, hashing.take)
                stored = self._stored(key, found)
                return stored and replace(stored, bytes=hashing.bytes), hashing.sums()[0]
            except Unreachable:
                if attempt == DOWNLOADS:
                    raise
        raise AssertionError("unreachable")

    def read(self, key: str) -> bytes:
        """An object of no more than LARGEST_READ bytes; a manifest grows with all that was ever archived."""
        for attempt in range(1, DOWNLOADS + 1):
            whole = _Limited(key)
            try:
                self._done(self._asked.ask("GET", key, into=whole.take), f"a download of {key}")
                return bytes(whole.content)
            except Unreachable:
                if attempt == DOWNLOADS:
                    raise
        raise AssertionError("unreachable")

    def verifies(self, prefix: str) -> bool:
        """Whether the store refuses content whose checksum is another. One that does not is no witness by its checksums."""
        key, wrong = f"{prefix}/probe", {"x-amz-checksum-sha256": to_base64(EMPTY), "x-amz-sdk-checksum-algorithm": "SHA256"}
        content = b"The checksum of this is wrong, to see whether the store looks at checksums.\n"
        found = self._asked.ask("PUT", key, (), wrong, content, hashlib.sha256(content).hexdigest())
        if found.done:
            version = found.headers.get("x-amz-version-id")
            self._asked.ask("DELETE", key, [("versionId", version)] if version else ())
        self._learn(found)
        return found.status == 400 and ("Digest" in found.code or "Checksum" in found.code)

    def _learn(self, found: Answer) -> None:
        """Where the store said that it does not know a header, that one is left out from now on."""
        said = text_of(found.body, "Message").lower() if found.status in (400, 501) else ""
        if "header" in said and "checksum" in said:
            self._sums = False
        elif found.status == 501 or ("header" in said and "if-none-match" in said):
            self._conditional = False

    def holds(self, key: str, wanted: Sum, *, believed: bool) -> Stored | None:
        """The object, where it is what was sent: by the store's own checksum where that is believed, or by the md5 that it has
        taken, or else, and always where it takes no checksums, by download and hash. None where it is not there or not the same.
        """
        stored = self.look(key)
        if stored is None or stored.bytes not in (wanted.bytes, UNTOLD):
            return None
        if believed and stored.sha256 and stored.sha256 in (wanted.sha256, wanted.of_parts):
            return stored
        if believed and stored.sha256 and not stored.of_parts:
            return None
        if not believed and self._sums and wanted.md5 and stored.etag == wanted.md5:
            return stored
        stored, sha256 = self.download(key)
        return stored if stored and (stored.bytes, sha256) == (wanted.bytes, wanted.sha256) else None

    def put(self, key: str, content: Content, sent: Sum, lock: Lock) -> None:
        """Send an object whole. Raises AlreadyThere, or Failure with what the store said."""
        self._done(self._make("PUT", key, (), lock.headers(), content, sent.sha256), key)

    def _make(self, method: str, key: str, query: Query, headers: Headers, body: Content, digest: str) -> Answer:
        """A request that makes an object, only where there is none; the store decides that, if it can. Raises AlreadyThere."""
        while True:
            conditional = self._conditional
            if not conditional and self.look(key):
                raise AlreadyThere(key)
            condition = {"if-none-match": "*"} if conditional else {}
            found = self._send(method, key, query, {**headers, **condition}, body, digest)
            if conditional and found.status in (409, 412):
                raise AlreadyThere(key)
            if found.done or conditional == self._conditional:
                return found

    def _send(self, method: str, key: str, query: Query, headers: Headers, body: Content, digest: str) -> Answer:
        """Send content with its checksum, as the store takes it. That of a POST would be for the object that it makes of parts."""
        while True:
            sums = self._sums
            checksum = {} if method == "POST" else checksum_headers(digest) if sums else {"content-md5": to_md5(body)}
            found = self._asked.ask(method, key, query, {**headers, **checksum}, body, digest)
            self._learn(found)
            if found.done or sums == self._sums:
                return found

    def stream(self, key: str, pieces: Iterable[Content], size: int, lock: Lock, *, md5: bool) -> Sum | None:
        """Send an object whole as its pieces come, its checksum at the end; None where the store does not know how to.

        Raises AlreadyThere, Failure, or what `pieces` raises; nothing is in the store then.
        """
        if not self._sums:
            return None
        headers = {
            "content-encoding": "aws-chunked",
            "x-amz-trailer": "x-amz-checksum-sha256",
            "x-amz-decoded-content-length": str(size),
            "x-amz-sdk-checksum-algorithm": "SHA256",
            **({"if-none-match": "*"} if self._conditional else {}),
            **lock.headers(),
        }
        if not self._conditional and self.look(key):
            raise AlreadyThere(key)
        with Hashing(md5=md5) as hashing:
            found = self._asked.stream(key, headers, framed(pieces, size, hashing), framed_length(size))
        if found.status in (409, 412):
            raise AlreadyThere(key)
        if found.transient:
            raise Unreachable(f"The store does not take {key}: {found.code}")
        if found.status in (400, 411, 501):
            return None
        self._done(found, key)
        sha256, *more = hashing.sums()
        return Sum(size, sha256, md5="".join(more))

    def upload(self, key: str, pieces: Iterable[Content], lock: Lock) -> Sum:
        """Send an object in parts as its pieces come. Raises AlreadyThere or Failure; then no part of it is left in the store."""
        number = self._begin(key, lock)
        try:
            with ThreadPoolExecutor(AT_ONCE) as crew:
                sent, parts = self._parts(crew, key, number, pieces)
            self._end(key, number, parts)
        except BaseException:
            self._asked.ask("DELETE", key, [("uploadId", number)])
            raise
        return sent

    def _begin(self, key: str, lock: Lock) -> str:
        algorithm = {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "COMPOSITE"} if self._sums else {}
        found = self._asked.ask("POST", key, [("uploads", "")], {**algorithm, **lock.headers()})
        self._done(found, f"the beginning of {key}")
        return text_of(found.body, "UploadId")

    def _end(self, key: str, number: str, parts: list[tuple[str, str]]) -> None:
        """Make one object of the parts. Raises AlreadyThere or Failure."""
        sums = [f"<ChecksumSHA256>{to_base64(digest)}</ChecksumSHA256>" if self._sums else "" for _etag, digest in parts]
        document = "".join(
            f"<Part><PartNumber>{at}</PartNumber><ETag>{xml.escape(etag)}</ETag>{said}</Part>"
            for at, ((etag, _digest), said) in enumerate(zip(parts, sums, strict=True), 1)
        )
        body = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>".encode()
        found = self._make("POST", key, [("uploadId", number)], XML, body, hashlib.sha256(body).hexdigest())
        self._done(found, f"the end of {key}")
        if text_of(found.body, "Code"):  # an error that came after the 200
            raise found.failure(f"the end of {key}")

    def _parts(
        self, crew: ThreadPoolExecutor, key: str, number: str, pieces: Iterable[Content]
    ) -> tuple[Sum, list[tuple[str, str]]]:
        """Hash the whole in this thread, and each part in the one that sends it; at most AT_ONCE parts are in memory."""
        whole, size, parts = hashlib.sha256(), 0, list[tuple[str, str]]()
        under_way: deque[Future[tuple[str, str]]] = deque()
        for at, piece in enumerate(pieces, 1):
            under_way.append(crew.submit(self._part, key, number, at, piece))
            whole.update(piece)
            size += len(piece)
            if len(under_way) == AT_ONCE:
                parts.append(under_way.popleft().result())
        parts += [one.result() for one in under_way]
        of_parts = hashlib.sha256(b"".join(bytes.fromhex(digest) for _etag, digest in parts)).hexdigest()
        return Sum(size, whole.hexdigest(), of_parts), parts

    def _part(self, key: str, number: str, at: int, piece: Content) -> tuple[str, str]:
        digest = hashlib.sha256(piece).hexdigest()
        found = self._send("PUT", key, [("partNumber", str(at)), ("uploadId", number)], {}, piece, digest)
        self._done(found, f"part {at} of {key}")
        return found.headers.get("etag", ""), digest

    def forget_parts(self, key: str) -> int:
        """Remove the parts that an upload of this key left which was killed; return of how many uploads."""
        found = self._asked.ask("GET", query=[("uploads", ""), ("prefix", key)])
        if not found.done:
            return 0
        left = [one for one in elements(found.body, "Upload") if text_in(one, "Key") == key]
        for one in left:
            self._asked.ask("DELETE", key, [("uploadId", text_in(one, "UploadId"))])
        return len(left)

    def keep(self, key: str, lock: Lock) -> None:
        """Lock an object that is there already, never less than it is, whoever did that. Raises Failure."""
        found = self.look(key)
        there, now = found.lock if found else Lock(), instant(datetime.now(UTC).isoformat())
        if lock.until > now and not there.covers(Lock(lock.mode, lock.until)):
            strict = there.mode == "COMPLIANCE" and there.until > now
            self._prolong(key, there, Lock(there.mode if strict else lock.mode, max(lock.until, there.until)))
        if lock.hold and not there.hold:
            self._configure(key, "legal-hold", "<LegalHold><Status>ON</Status></LegalHold>")

    def _prolong(self, key: str, there: Lock, lock: Lock) -> None:
        """Give an object a retention that is no less than what it has. A stricter mode may need the right to pass the other by."""
        said = f"<Retention><Mode>{lock.mode}</Mode><RetainUntilDate>{lock.until}</RetainUntilDate></Retention>"
        try:
            self._configure(key, "retention", said)
        except Failure:
            if (there.mode, lock.mode) != ("GOVERNANCE", "COMPLIANCE"):
                raise
            self._configure(key, "retention", said, {"x-amz-bypass-governance-retention": "true"})

    def _configure(self, key: str, what: str, document: str, headers: Headers | None = None) -> None:
        body = document.encode()
        found = self._send("PUT", key, [(what, "")], {**XML, **(headers or {})}, body, hashlib.sha256(body).hexdigest())
        self._done(found, f"the {what} of {key}")

    def _done(self, found: Answer, what: str) -> None:
        if not found.done:
            raise found.failure(what)


def text_in(element: Any, name: str) -> str:
    found = element.find(f"{{*}}{name}")
    return (found.text or "") if found is not None else ""


__all__ = ["EMPTY", "AlreadyThere", "Lock", "Store", "Stored", "open_store"]
