"""Regular files below a folder, come to through folders only: what is there, what it is when it is read, and its removal."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import first_few, printable

PIECE = 1 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
DEEPEST = 64
DRILL = "irctl-drill"  # the folder that drills make their files in
DRILLED = re.compile(r"evidence-[0-9]{4}\.log", re.ASCII)  # and what they are called there
LINKS = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO)


@dataclass(frozen=True)
class File:
    """A regular file as it was when it was looked at. `path` is relative to its tree."""

    path: str
    bytes: int
    mtime: int  # nanoseconds
    ctime: int
    inode: tuple[int, int]
    allocated: int = field(default=-1, compare=False)  # bytes on the disk; less than `bytes` where it has holes, -1 for not known

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> File:
        inode, allocated = (status.st_dev, status.st_ino), status.st_blocks * 512
        return cls(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode, allocated)


@dataclass(frozen=True)
class Skipped:
    """What is not taken, and why."""

    path: str
    reason: str


@dataclass
class Listing:
    """What there is below a folder, and what of it is not taken."""

    files: list[File] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def walk(root: str, before: float | None = None) -> Listing:
    """All files below a folder, sorted, those last written `before` (seconds since 1970) if that is given. Raises Failure."""
    listing = Listing()
    try:
        descriptor = os.open(root, FOLDER)
    except OSError as error:
        raise Failure(f"{printable(root)} cannot be read: {reason_of(error)}.") from None
    try:
        _walk(descriptor, "", listing, before, 0)
    finally:
        os.close(descriptor)
    return listing


def _walk(parent: int, above: str, listing: Listing, before: float | None, depth: int) -> None:
    for name in sorted(os.listdir(parent)):
        path = above + name
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                _below(parent, name, path, listing, before, depth)
            elif reason := refusal(status):
                listing.skipped.append(Skipped(path, reason))
            elif before is None or status.st_mtime < before:
                listing.files.append(File.of(path, status))
        except OSError as error:
            listing.skipped.append(Skipped(path, reason_of(error)))


def _below(parent: int, name: str, path: str, listing: Listing, before: float | None, depth: int) -> None:
    if depth == DEEPEST:
        listing.skipped.append(Skipped(path, f"more than {DEEPEST} folders deep"))
        return
    descriptor = os.open(name, FOLDER, dir_fd=parent)
    try:
        _walk(descriptor, path + "/", listing, before, depth + 1)
    finally:
        os.close(descriptor)


def refusal(status: os.stat_result) -> str:
    """Why this is not taken, or ''."""
    kinds = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    if not stat.S_ISREG(status.st_mode):
        return f"not a regular file: {kinds.get(stat.S_IFMT(status.st_mode), 'a device')}"
    return f"it has {status.st_nlink} names (hard links)" if status.st_nlink > 1 else ""


def plain(path: str) -> str:
    """A path as text of one form: what is not plain in a name stands as %XX."""
    return "/".join(_plain(part) for part in path.split("/"))


def _plain(part: str) -> str:
    content = part.encode("utf-8", "surrogateescape")
    is_plain = part.isprintable() and not {"%", "\\"} & set(part) and content == part.encode("utf-8", "replace")
    return part if is_plain else quote(content)


def shown(skipped: Sequence[Skipped], most: int = 5) -> str:
    """Name some with their reasons, and count the rest: 'a.log (a link), b (a pipe) and 3 more'."""
    return first_few([f"{printable(plain(one.path), 120)} ({one.reason})" for one in skipped], most)


def reason_of(error: OSError) -> str:
    """Why a file cannot be taken, in words."""
    if error.errno in LINKS:
        return "a link, or what is no folder, stands in its path"
    return (error.strerror or "cannot be read").lower()


@contextmanager
def parent_of(root: str, path: str) -> Iterator[tuple[int, str]]:
    """The folder that holds a file, open, and the file's name in it. Raises OSError where a link stands in its path."""
    descriptor = os.open(root, FOLDER)
    try:
        *folders, name = path.split("/")
        for part in folders:
            if part in ("", ".", ".."):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
            below = os.open(part, FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor, name
    finally:
        os.close(descriptor)


class Reading:
    """One file under way: at most the bytes that it had when it was opened, and afterwards what became of it meanwhile."""

    def __init__(self, parent: int, name: str, path: str) -> None:
        self._parent, self._name = parent, name
        self.descriptor = os.open(name, FILE, dir_fd=parent)
        status = os.fstat(self.descriptor)
        if reason := refusal(status):
            os.close(self.descriptor)
            raise OSError(errno.ELOOP, reason)
        self.file = File.of(path, status)

    def rewind(self) -> None:
        os.lseek(self.descriptor, 0, os.SEEK_SET)

    def pieces(self, size: int) -> Iterator[bytes]:
        """What it had when it was opened, in pieces of this size; the last one is the remainder."""
        remaining = self.file.bytes
        while remaining and (piece := self._piece(min(size, remaining))):
            remaining -= len(piece)
            yield piece

    def _piece(self, size: int) -> bytes:
        piece = os.read(self.descriptor, size)
        while piece and len(piece) < size and (more := os.read(self.descriptor, size - len(piece))):
            piece += more
        return piece

    def meanwhile(self, read: int) -> tuple[str, bool]:
        """What happened to the file while it was read ('' for nothing), and whether what was read is one state that it had."""
        after = os.fstat(self.descriptor)
        try:
            named = os.stat(self._name, dir_fd=self._parent, follow_symlinks=False)
        except OSError:
            named = None
        if read < self.file.bytes:
            return f"cut short while it was read: {read} of {self.file.bytes} bytes", False
        if after.st_size > self.file.bytes:
            return f"it grows; these are the first {self.file.bytes} bytes", True
        if after.st_mtime_ns != self.file.mtime:
            return "written to while it was read", False
        if named is None or (named.st_dev, named.st_ino) != self.file.inode:
            return "replaced or removed while it was read; this is the one that was there before", True
        return "", True


@contextmanager
def reading(root: str, path: str) -> Iterator[Reading]:
    """A file, opened. Raises OSError where it is gone, or something else than a regular file by now."""
    with parent_of(root, path) as (parent, name):
        one = Reading(parent, name, path)
        try:
            yield one
        finally:
            os.close(one.descriptor)


def remove(root: str, file: File) -> bool:
    """Remove a file, if it is the very one that was looked at and nothing was written to it since; say whether it was.

    Raises OSError. What somebody else puts in its place between the last look and the removal is not seen.
    """
    with parent_of(root, file.path) as (parent, name):
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if refusal(status) or File.of(file.path, status) != file:
            return False
        os.unlink(name, dir_fd=parent)
        return True


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make the names in a folder stay as they are now, whatever happens to the machine. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_empty(root: str, paths: set[str]) -> None:
    """Remove the folders above these files that are empty now; not the tree itself."""
    above = {path.rpartition("/")[0] for path in paths if "/" in path}
    for folder in sorted(
        {"/".join(parts[:n]) for parts in (one.split("/") for one in above) for n in range(1, len(parts) + 1)}, reverse=True
    ):
        try:
            with parent_of(root, folder) as (parent, name):
                os.rmdir(name, dir_fd=parent)
        except OSError:
            continue
