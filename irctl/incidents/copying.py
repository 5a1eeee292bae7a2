"""Copy files, and folders with all below them, into a staging folder: never through a link, hashed in the pass that copies."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import trees
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.evidence_names import safe
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, Reading, Skipped
from irctl.record.folders import make_folder

DEEPEST = 64  # folders below the one that was named
MOST_FILES = 100_000
MOST_SKIPS = 10_000  # that are listed one by one
LOOK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Rules:
    """What may be taken: only below `roots`, no file above `largest` bytes, no more than `total` in all."""

    roots: tuple[Path, ...]
    largest: int = 100 << 20
    total: int = 1 << 30


@dataclass(frozen=True)
class Taken:
    """One file as it was archived, by its name in the incident's folder. `note` says what happened to the source meanwhile."""

    source: str
    name: str
    bytes: int
    sha256: str
    modified: str
    note: str = ""


@dataclass
class Copies:
    """What was taken and what was not; of many skipped files the last are only counted, in `unlisted`."""

    files: list[Taken] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unlisted: int = 0

    @property
    def bytes(self) -> int:
        return sum(taken.bytes for taken in self.files)

    def skip(self, path: Path, reason: str) -> None:
        if len(self.skipped) < MOST_SKIPS:
            self.skipped.append(Skipped(os.fspath(path), reason))
        else:
            self.unlisted += 1


class NotKept(OSError):
    """What was read cannot be kept; that is no fault of the source."""


class Copier:
    """Copies what it is given into one folder."""

    def __init__(self, copies: Copies, into: Path, rules: Rules, home: Path) -> None:
        self._copies, self._into, self._rules, self._home = copies, into, rules, home.stat()
        self._remaining = rules.total
        self._seen: set[Path] = set()

    def take(self, path: Path) -> None:
        """Take a file, or all that is below a folder, having come to it through folders only. Raises NotKept."""
        descriptor = os.open("/", LOOK)
        try:
            for part in path.parts[1:-1]:
                below = os.open(part, LOOK, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            self._entry(descriptor, path.name or ".", path, 0)
        except NotKept:
            raise
        except OSError as error:
            self._copies.skip(path, trees.reason_of(error))
        finally:
            os.close(descriptor)

    def _entry(self, parent: int, name: str, path: Path, depth: int) -> None:
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._folder(parent, name, path, depth)
            elif path in self._seen:  # it was named twice, or a folder above it was named too
                return
            elif reason := trees.refusal(status) or self._over_limit(status.st_size):
                self._copies.skip(path, reason)
            else:
                self._file(parent, name, path, File.of(name, status))
            self._seen.add(path)
        except NotKept:
            raise
        except OSError as error:
            self._copies.skip(path, trees.reason_of(error))

    def _folder(self, parent: int, name: str, path: Path, depth: int) -> None:
        if depth > DEEPEST:
            self._copies.skip(path, f"more than {DEEPEST} folders deep")
            return
        descriptor = os.open(name, trees.FOLDER, dir_fd=parent)
        try:
            if os.path.samestat(os.fstat(descriptor), self._home):
                self._copies.skip(path, "the home of irctl itself")
                return
            for entry in sorted(os.listdir(descriptor)):
                self._entry(descriptor, entry, path / entry, depth + 1)
        finally:
            os.close(descriptor)

    def _over_limit(self, size: int) -> str:
        """Why a file of this size is not taken, or ''."""
        if size > self._rules.largest:
            return f"larger than --largest: {size} bytes"
        if size > self._remaining:
            return f"more than --total: {size} bytes, and {self._remaining} are left"
        return f"more than {MOST_FILES} files" if len(self._copies.files) >= MOST_FILES else ""

    def _file(self, parent: int, name: str, path: Path, seen: File) -> None:
        with _opened(parent, name) as reading:
            replaced = "replaced while it was opened" if reading.file.inode != seen.inode else ""
            holes = "it has holes (a sparse file)" if _has_holes(reading) else ""
            if reason := self._over_limit(reading.file.bytes) or replaced or holes:
                self._copies.skip(path, reason)
                return
            kept = safe(os.fspath(path))
            digest, size = _copy(reading, self._into / kept)
            note, _ = reading.meanwhile(size)
        self._remaining -= size
        self._copies.files.append(Taken(os.fspath(path), kept, size, digest, _utc(reading.file.mtime / 1e9), note))


@contextmanager
def _opened(parent: int, name: str) -> Iterator[Reading]:
    reading = Reading(parent, name, name)
    try:
        yield reading
    finally:
        os.close(reading.descriptor)


def _has_holes(reading: Reading) -> bool:
    hole = os.lseek(reading.descriptor, 0, os.SEEK_HOLE) if reading.file.bytes else 0
    reading.rewind()
    return hole < reading.file.bytes


def _copy(reading: Reading, path: Path) -> tuple[str, int]:
    """Copy at most the bytes that there were when it was opened: a log that grows is cut there. Raises OSError, NotKept."""
    digest, size = hashlib.sha256(), 0
    with _Target(path) as target:
        for piece in reading.pieces(trees.PIECE):
            digest.update(piece)
            target.write(piece)
            size += len(piece)
    return digest.hexdigest(), size


class _Target:
    """A new 0600 file, fsynced when it is closed; removed where the copy does not come to its end. Raises NotKept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            make_folder(path.parent)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise
            raise NotKept(error.errno, error.strerror, os.fspath(path)) from None

    def __enter__(self) -> _Target:
        return self

    def write(self, content: bytes) -> None:
        remaining = memoryview(content)
        try:
            while remaining:
                remaining = remaining[os.write(self._descriptor, remaining) :]
        except OSError as error:
            raise NotKept(error.errno, error.strerror, os.fspath(self._path)) from None

    def __exit__(self, kind: object, *error: object) -> None:
        try:
            if kind:
                self._path.unlink()
            else:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)


def _utc(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
