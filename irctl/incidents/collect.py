"""Take files into an incident's folder: below declared roots, never through a link, hashed in the same pass that copies them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.capture.evidence_names import safe, shown
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.errors import EvidenceError, Invalid, IrctlError, Refused, invalid
from irctl.incidents import incidents
from irctl.record import runs, seal
from irctl.record.folders import make_folder

LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
DEEPEST = 64  # folders below the one that was named
MOST_FILES = 100_000
MOST_SKIPS = 10_000  # that are listed one by one
BUFFER = 1 << 20
LOOK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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


@dataclass(frozen=True)
class Skipped:
    """What was not taken, and why."""

    source: str
    reason: str


@dataclass
class Collected:
    """What one collection took and what it did not. `into` is within the incident's folder."""

    incident: str
    at: str
    into: str = ""
    files: list[Taken] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unlisted: int = 0

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.files)


def collect(
    home: Path, incident: str, paths: Sequence[Path], rules: Rules, by: str, *, logs: bool = False, label: str = ""
) -> Collected:
    """Copy files, and folders with all below them, into the incident's folder. Raises IrctlError, and then nothing was taken."""
    folder = incidents.require(home, incident)
    if incidents.state(home, incident).closed:
        raise Refused(f"{incident} is closed. To add to it: irctl incident reopen {incident} REASON")
    wanted = [_within(path, rules.roots) for path in paths]
    runs.require_room(home)
    now = datetime.now(UTC)
    done = Collected(incident, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    try:
        with _staging(home) as staging:
            taking = _Taking(done, staging / "files", rules, home)
            for path in wanted:
                taking.take(path)
            if not done.files:
                raise EvidenceError(_nothing(done))
            _place(done, staging, folder, f"{now:%Y%m%dT%H%M%SZ}", logs, label)
    except OSError as error:
        raise EvidenceError(
            f"it cannot be kept: {error.strerror}: {printable(error.filename or home, 80)}; nothing was taken"
        ) from None
    listing = hashlib.sha256((folder / _listing(done)).read_bytes()).hexdigest()
    told = {"into": done.into, "files": len(done.files), "bytes": done.bytes, "skipped": len(done.skipped) + done.unlisted}
    sources = [shown(os.fspath(path)) for path in wanted[:20]]
    incidents.record(home, incident, {"event": "collected", "by": by, **told, "sources": sources, "listing": listing})
    return done


def size(text: str) -> int:
    """Parse a size such as 512KiB, 100MiB or 2GiB. Raises ValueError."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})(B|KiB|MiB|GiB)", text, re.ASCII)
    if not found:
        raise ValueError("a size is a whole number above zero and a unit, such as 512KiB, 100MiB or 2GiB")
    return int(found[1]) << {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[found[2]]


def _within(path: Path, roots: Sequence[Path]) -> Path:
    """The absolute path, where it lies below a root. Raises Invalid."""
    if not roots:
        raise Invalid("--root: at least one folder is needed that evidence may be taken from, such as --root /var/log")
    for option, one in [*(("--root", root) for root in roots), ("PATH", path)]:
        if ".." in one.parts or "\0" in os.fspath(one):
            raise invalid(option, "'..' is refused; write the path that is meant", one)
    if not any(path.absolute().is_relative_to(root.absolute()) for root in roots):
        raise invalid("PATH", f"not below {printable(' or '.join(map(str, roots)), 80)}, which is all that --root allows", path)
    return path.absolute()


@contextmanager
def _staging(home: Path) -> Iterator[Path]:
    """A folder of its own, removed at the end; what a killed collection left is removed at the next one's beginning."""
    parent = home / "staging"
    make_folder(parent)
    for left in parent.glob("collect-*"):
        if left.stat().st_mtime < time.time() - 60 and (descriptor := _lock(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(descriptor)
    folder = Path(tempfile.mkdtemp(prefix="collect-", dir=parent))
    descriptor = _lock(folder)
    try:
        (folder / "files").mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _lock(folder: Path) -> int | None:
    try:
        descriptor = os.open(folder, LIST)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _nothing(done: Collected) -> str:
    first = done.skipped[0] if done.skipped else None
    more = f" and {len(done.skipped) + done.unlisted - 1} more" if len(done.skipped) > 1 else ""
    return f"nothing was taken: {shown(first.source)}: {first.reason}{more}" if first else "nothing was taken: there are no files"


# Reading


class _Taking:
    """One collection under way."""

    def __init__(self, done: Collected, into: Path, rules: Rules, home: Path) -> None:
        self._done, self._into, self._rules, self._home = done, into, rules, home.stat()
        self._buffer = memoryview(bytearray(BUFFER))
        self._left = rules.total
        self._seen: set[Path] = set()

    def take(self, path: Path) -> None:
        """Take a file, or all that is below a folder, having come to it through folders only."""
        descriptor = os.open("/", LOOK)
        try:
            for part in path.parts[1:-1]:
                below = os.open(part, LOOK, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            self._entry(descriptor, path.name or ".", path, 0)
        except _Lost:
            raise
        except OSError as error:
            self._skip(path, _why(error))
        finally:
            os.close(descriptor)

    def _entry(self, parent: int, name: str, path: Path, depth: int) -> None:
        try:
            about = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(about.st_mode):
                self._folder(parent, name, path, depth)
            elif path in self._seen:  # it was named twice, or a folder above it was named too
                return
            elif reason := self._refusal(about):
                self._skip(path, reason)
            else:
                self._file(parent, name, path, about)
            self._seen.add(path)
        except _Lost:
            raise
        except OSError as error:
            self._skip(path, _why(error))

    def _folder(self, parent: int, name: str, path: Path, depth: int) -> None:
        if depth > DEEPEST:
            self._skip(path, f"more than {DEEPEST} folders deep")
            return
        descriptor = os.open(name, LIST, dir_fd=parent)
        try:
            if not _is_other(os.fstat(descriptor), self._home):
                self._skip(path, "the home of irctl itself")
                return
            for entry in sorted(os.listdir(descriptor)):
                self._entry(descriptor, entry, path / entry, depth + 1)
        finally:
            os.close(descriptor)

    def _refusal(self, about: os.stat_result) -> str:
        """Why a thing that is no folder is not taken, or ''."""
        if not stat.S_ISREG(about.st_mode):
            return f"not a regular file: {_kind(about.st_mode)}"
        if about.st_nlink > 1:
            return f"it has {about.st_nlink} names (hard links)"
        if about.st_size > self._rules.largest:
            return f"larger than --largest: {about.st_size} bytes"
        if about.st_size > self._left:
            return f"more than --total: {about.st_size} bytes, and {self._left} are left"
        return f"more than {MOST_FILES} files" if len(self._done.files) >= MOST_FILES else ""

    def _file(self, parent: int, name: str, path: Path, seen: os.stat_result) -> None:
        descriptor = os.open(name, READ, dir_fd=parent)
        try:
            about = os.fstat(descriptor)
            reason = self._refusal(about) or ("replaced while it was opened" if _is_other(about, seen) else "")
            reason = reason or ("it has holes (a sparse file)" if _has_holes(descriptor, about.st_size) else "")
            if reason:
                self._skip(path, reason)
                return
            kept = safe(os.fspath(path))
            digest, size = self._copy(descriptor, about.st_size, kept)
            note = _meanwhile(about, os.fstat(descriptor), size, _now(parent, name))
        finally:
            os.close(descriptor)
        self._left -= size
        self._done.files.append(Taken(os.fspath(path), kept, size, digest, _utc(about.st_mtime), note))

    def _copy(self, source: int, size: int, name: str) -> tuple[str, int]:
        """Copy at most the bytes that there were when it was opened: a log that grows is cut there. Raises OSError, _Lost."""
        digest, copied = hashlib.sha256(), 0
        with _Target(self._into / name) as target:
            while copied < size and (read := os.readv(source, [self._buffer[: min(BUFFER, size - copied)]])):
                digest.update(self._buffer[:read])
                target.write(self._buffer[:read])
                copied += read
        return digest.hexdigest(), copied

    def _skip(self, path: Path, reason: str) -> None:
        if len(self._done.skipped) < MOST_SKIPS:
            self._done.skipped.append(Skipped(os.fspath(path), reason))
        else:
            self._done.unlisted += 1


class _Lost(OSError):
    """What was read cannot be kept; that is no fault of the source."""


class _Target:
    """A new 0600 file, fsynced when it is closed; removed where the copy does not come to its end. Raises _Lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            make_folder(path.parent)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise
            raise _Lost(error.errno, error.strerror, os.fspath(path)) from None

    def __enter__(self) -> _Target:
        return self

    def write(self, content: memoryview) -> None:
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
        except OSError as error:
            raise _Lost(error.errno, error.strerror, os.fspath(self._path)) from None

    def __exit__(self, kind: object, *error: object) -> None:
        try:
            if kind:
                self._path.unlink()
            else:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)


def _has_holes(descriptor: int, size: int) -> bool:
    found = os.lseek(descriptor, 0, os.SEEK_HOLE) if size else 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    return found < size


def _is_other(one: os.stat_result, two: os.stat_result | None) -> bool:
    return two is None or (one.st_dev, one.st_ino) != (two.st_dev, two.st_ino)


def _now(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return None


def _meanwhile(opened: os.stat_result, after: os.stat_result, copied: int, named: os.stat_result | None) -> str:
    """What happened to a file while it was copied, or ''."""
    if copied < opened.st_size:
        return f"truncated while it was read: {copied} of {opened.st_size} bytes"
    if _is_other(opened, named):
        return "replaced or removed while it was read; this is the one that was there before"
    if after.st_size > opened.st_size:
        return f"it grows; cut at the {opened.st_size} bytes that it had"
    return "written to while it was read" if after.st_mtime_ns != opened.st_mtime_ns else ""


def _utc(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def _why(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "a link, or what is no folder, stands in its path"
    return (error.strerror or "cannot be read").lower()


def _kind(mode: int) -> str:
    kinds = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}
    return kinds.get(stat.S_IFMT(mode), "a device")


# Keeping


def _place(done: Collected, staging: Path, folder: Path, when: str, logs: bool, label: str) -> None:
    """Put what was taken into the incident's folder: one log under its label, everything else in a folder of its own."""
    stem = f"{label}-{when}" if label else when
    taken = done.files
    if logs and label and len(taken) == 1:
        _place_log(done, staging / "files" / taken[0].name, folder, stem)
        return
    parent = folder / ("logs" if logs else "evidence/collected")
    make_folder(parent)
    for name in _names(stem):
        done.into = (parent / name).relative_to(folder).as_posix()
        done.files = [replace(one, name=f"{done.into}/files/{one.name}") for one in taken]
        seal.write(staging / "collected.json", _listed(done))
        try:
            (parent / name).mkdir(mode=0o700)  # rename would replace an empty one of somebody else
        except FileExistsError:
            continue
        staging.rename(parent / name)
        _sync(parent)
        return


def _place_log(done: Collected, copy: Path, folder: Path, stem: str) -> None:
    (folder / "logs").mkdir(mode=0o700, exist_ok=True)
    for name in _names(stem):
        done.into = f"logs/{name}.log"
        done.files = [replace(done.files[0], name=done.into)]
        try:
            (folder / done.into).hardlink_to(copy)
        except FileExistsError:
            continue
        copy.unlink()
        seal.write(folder / _listing(done), _listed(done))
        return


def _names(stem: str) -> Iterator[str]:
    """20261121T022311Z, and where another collection has that, 20261121T022311Z-2 and so on."""
    yield stem
    yield from (f"{stem}-{number}" for number in range(2, 1000))
    raise IrctlError(f"there are a thousand collections called {stem}")


def _listing(done: Collected) -> str:
    return done.into.removesuffix(".log") + ".json" if done.into.endswith(".log") else f"{done.into}/collected.json"


def document(done: Collected) -> dict[str, Any]:
    """What was taken from where, and what was not and why: what --json prints and collected.json keeps."""
    files = [{**asdict(one), "source": shown(one.source)} for one in done.files]
    skipped = [{"source": shown(one.source), "reason": one.reason} for one in done.skipped]
    head = {"schema": "irctl/collected/1", "incident": done.incident, "at": done.at, "into": done.into}
    return {**head, "files": files, "skipped": skipped, "unlisted": done.unlisted}


def _listed(done: Collected) -> bytes:
    return (json.dumps(document(done), indent=1, ensure_ascii=False) + "\n").encode()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, LIST)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
