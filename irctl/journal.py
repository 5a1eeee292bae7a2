"""The append-only record of a home: one JSON object a line, numbered, each with the hash of the line before, fsynced."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irctl.errors import EvidenceError

FIRST = "0" * 64


def utc() -> str:
    """Now, as 2026-11-21T02:23:11.123456Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def canonical(document: Any) -> bytes:
    """The one byte form of a JSON document that hashes are taken of."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def append(home: Path, entry: dict[str, Any]) -> None:
    """Add one entry; `seq`, `at`, `monotonic` (seconds) and `prev` are put in here. Raises EvidenceError."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home / "journal.jsonl", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _append(descriptor, entry)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise EvidenceError(f"the journal in {home} cannot be written: {error.strerror}") from None


def _append(descriptor: int, entry: dict[str, Any]) -> None:
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 1 << 20, max(0, size - (1 << 20)))
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):  # the last writer died within its line; what it began was never reported as done
        os.ftruncate(descriptor, size - (len(tail) - len(whole)))
        size = os.fstat(descriptor).st_size
    last = whole.rstrip(b"\n").rpartition(b"\n")[2]
    number = json.loads(last)["seq"] + 1 if last else 1
    previous = hashlib.sha256(last).hexdigest() if last else FIRST
    line = canonical({"seq": number, "at": utc(), "monotonic": round(time.monotonic(), 6), "prev": previous, **entry})
    os.pwrite(descriptor, line + b"\n", size)
    os.fsync(descriptor)


def read(home: Path) -> Iterator[dict[str, Any]]:
    """The entries, first to last, each checked against the one before. Raises EvidenceError that names the line."""
    path = home / "journal.jsonl"
    if not path.exists():
        return
    previous = FIRST
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entry = json.loads(line)
        except ValueError:
            raise EvidenceError(f"{path}: line {number} is not JSON") from None
        if not isinstance(entry, dict):
            raise EvidenceError(f"{path}: line {number} is not an entry")
        if entry.get("seq") != number or entry.get("prev") != previous:
            raise EvidenceError(f"{path}: the chain breaks at line {number}: a line was changed, removed or added")
        previous = hashlib.sha256(line).hexdigest()
        yield entry
