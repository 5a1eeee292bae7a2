"""What content is by its sums: taken while it is read, written as S3 has them, sent behind it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.http_connection import Content

PART = 8 << 20  # bytes of a part of a large object
MOST_PARTS = 10_000
FRAME = 4 << 20  # bytes of what is sent as it is read
SMALL = 1 << 18  # bytes; less is hashed sooner than it is handed to a thread


class CutShort(Exception):
    """There was less content than had been announced."""


@dataclass(frozen=True)
class Sum:
    """What content was, as it was read: size, sha256 in hex, and, where it went in parts, the sha256 of the parts' sha256.

    The md5 is not sent to a store that takes checksums, so that, where it tells it, it has taken it of what it holds.
    """

    bytes: int
    sha256: str
    of_parts: str = ""
    md5: str = ""


def sum_of(content: Content) -> Sum:
    return Sum(len(content), hashlib.sha256(content).hexdigest(), md5=hashlib.md5(content, usedforsecurity=False).hexdigest())


def sum_of_parts(pieces: Iterable[Content]) -> Sum:
    """What these pieces are, as if each were sent as a part."""
    whole, size, parts = hashlib.sha256(), 0, hashlib.sha256()
    for piece in pieces:
        whole.update(piece)
        parts.update(hashlib.sha256(piece).digest())
        size += len(piece)
    return Sum(size, whole.hexdigest(), parts.hexdigest())


def part_size(size: int) -> int:
    """How large the parts of an object of this size are, so that there are not too many."""
    return max(PART, -(-size // MOST_PARTS))


def to_base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


def checksum_headers(digest: str) -> dict[str, str]:
    return {"x-amz-checksum-sha256": to_base64(digest), "x-amz-sdk-checksum-algorithm": "SHA256"}


def to_md5(content: Content) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def to_hex(text: str) -> str:
    with suppress(ValueError):
        return base64.b64decode(text, validate=True).hex()
    return ""


class Hashing:
    """The sha256 of pieces, and their md5 where that is wanted; of large ones each is taken in a thread of its own meanwhile."""

    def __init__(self, *, md5: bool = False) -> None:
        self._digests = [hashlib.sha256(), *([hashlib.md5(usedforsecurity=False)] if md5 else [])]
        self._crew: ThreadPoolExecutor | None = None
        self._under_way: list[Future[None]] = []
        self.bytes = 0

    def take(self, piece: Content) -> None:
        self.bytes += len(piece)
        self._wait()
        if len(piece) < SMALL:
            for digest in self._digests:
                digest.update(piece)
            return
        self._crew = self._crew or ThreadPoolExecutor(len(self._digests))
        self._under_way = [self._crew.submit(digest.update, piece) for digest in self._digests]

    def _wait(self) -> None:
        for one in self._under_way:
            one.result()

    def sums(self) -> list[str]:
        """The sha256 and, if it is taken, the md5, in hex."""
        self._wait()
        return [digest.hexdigest() for digest in self._digests]

    def __enter__(self) -> Hashing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._crew:
            self._crew.shutdown()


def framed(pieces: Iterable[Content], size: int, hashing: Hashing) -> Iterator[Content]:
    """Content in frames of FRAME bytes, as aws-chunked has it, with its checksum after it. Raises CutShort."""
    remaining = size
    for piece in pieces:
        remaining -= len(piece)
        hashing.take(piece)
        yield b"%x\r\n" % len(piece)
        yield piece
        yield b"\r\n"
    if remaining:
        raise CutShort
    yield b"0\r\nx-amz-checksum-sha256:%s\r\n\r\n" % to_base64(hashing.sums()[0]).encode()


def framed_length(size: int) -> int:
    whole, rest = divmod(size, FRAME)
    frames = whole * (FRAME + len(b"%x" % FRAME) + 4) + (rest + len(b"%x" % rest) + 4 if rest else 0)
    return frames + len("0\r\nx-amz-checksum-sha256:") + 44 + 4
