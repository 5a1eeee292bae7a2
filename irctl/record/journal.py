"""The append-only record of a home or an incident: one JSON object a line, numbered, chained by hashes, fsynced."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.trees import sync_folder
from irctl.errors import EvidenceError
from irctl.record.folders import make_folder
from irctl.record.manifest_format import FIRST, JOURNAL
from irctl.record.manifest_format import canonical as canonical

LARGEST = 256 << 10  # bytes of a line
TIME_OF_LINE = re.compile(rb'"at":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)"')
WINDOWS = (8 << 10, 4 * LARGEST)  # in which the last whole line lies: nearly always, always


class Head(NamedTuple):
    """The last line of a journal: its number and its sha256."""

    seq: int
    head: str


def utc() -> str:
    """Now, as 2026-11-21T02:23:11.123456Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def append(home: Path, entry: Mapping[str, Any]) -> Head:
    """Add one entry, and return it as the new head. Raises EvidenceError, and then nothing was added.

    `seq`, `at`, `monotonic` (seconds) and `prev` are put in here.
    """
    try:
        make_folder(home)
        descriptor = os.open(home / JOURNAL, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return _append(home, descriptor, entry)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise EvidenceError(f"the journal in {home} cannot be written: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise EvidenceError(f"the journal in {home} cannot be written: {why}") from None


def _append(home: Path, descriptor: int, entry: Mapping[str, Any]) -> Head:
    size, last = _end(descriptor)
    number = json.loads(last)["seq"] + 1 if last else 1
    previous = hashlib.sha256(last).hexdigest() if last else FIRST
    when = {"at": utc(), "monotonic": round(time.monotonic(), 6)}
    line = canonical({**entry, "seq": number, **when, "prev": previous})
    if len(line) > LARGEST:
        raise ValueError(f"an entry of {len(line)} bytes is more than the {LARGEST} that a line may have")
    _write(descriptor, line + b"\n", size)
    if not size:
        sync_folder(home)
    return Head(number, hashlib.sha256(line).hexdigest())


def _end(descriptor: int) -> tuple[int, bytes]:
    """Where the next line begins, and the last whole one. What follows that was never reported as written, and is cut off."""
    size = os.fstat(descriptor).st_size
    for window in WINDOWS:
        tail = os.pread(descriptor, window, max(0, size - window))
        whole = tail[: tail.rfind(b"\n") + 1]
        last = whole[:-1].rpartition(b"\n")[2]
        if size <= window or len(whole) > len(last) + 1:
            break
    else:
        raise ValueError("its last line is longer than a line may be")
    if whole and not last:
        raise ValueError("its last line is empty")
    if len(whole) < len(tail):
        os.ftruncate(descriptor, size - (len(tail) - len(whole)))
    return size - (len(tail) - len(whole)), last


def _write(descriptor: int, line: bytes, at: int) -> None:
    try:
        if os.pwrite(descriptor, line, at) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, at)
        raise


def latest(home: Path) -> str:
    """The latest time that any line of the journal has, which need not be the last one; '' where there is none.

    The chain is not checked for that. Raises EvidenceError.
    """
    try:
        return max((match[1].decode() for line in _lines(home / JOURNAL) for match in TIME_OF_LINE.finditer(line)), default="")
    except ValueError:
        raise EvidenceError(f"{home / JOURNAL}: a time in it is none") from None


def read(home: Path) -> Iterator[dict[str, Any]]:
    """The entries, first to last, each checked against the one before. Raises EvidenceError that names the line.

    A last line without its end is passed over: its writer was killed, or is at it, and nobody was told that it is there.
    """
    path = home / JOURNAL
    previous = FIRST
    for number, line in enumerate(_lines(path), 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise EvidenceError(f"{path}: line {number} is not JSON") from None
        if not isinstance(entry, dict):
            raise EvidenceError(f"{path}: line {number} is not an entry")
        if entry.get("seq") != number or entry.get("prev") != previous:
            raise EvidenceError(f"{path}: the chain breaks at line {number}: a line was changed, removed or added")
        previous = hashlib.sha256(line).hexdigest()
        yield entry


class Marked(NamedTuple):
    """The entries of some kind; `broken` says where the chain of the lines is not whole, '' where it is."""

    entries: list[dict[str, Any]]
    broken: str


def marked(home: Path, *marks: bytes) -> Marked:
    """The entries in whose lines one of these marks stands; no other line is parsed. Raises EvidenceError where it cannot be read.

    An entry that the line before it or the line after it contradicts is left out: it was changed, moved or added.
    """
    path, previous, beside = home / JOURNAL, FIRST, False
    entries: list[dict[str, Any]] = []
    broken = ""
    for number, line in enumerate(_lines(path), 1):
        chained = f'"prev":"{previous}"'.encode() in line
        is_marked = any(mark in line for mark in marks)
        entry = _entry(line) if chained and is_marked else {}
        if not chained and beside:
            entries.pop()
        if not chained or (is_marked and entry.get("prev") != previous):
            broken = broken or f"{path}: the chain breaks at line {number}: a line was changed, removed or added"
        beside = entry.get("prev") == previous
        if beside:
            entries.append(entry)
        previous = hashlib.sha256(line).hexdigest()
    return Marked(entries, broken)


def _entry(line: bytes) -> dict[str, Any]:
    """What stands in a line; nothing where it is no entry."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _lines(path: Path) -> Iterator[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}") from None
