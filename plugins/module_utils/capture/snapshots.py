"""Many pieces of evidence in one file of a folder of its own on a host, hashed as they are written, taken apart elsewhere.

One file, because fetching costs a program for each. The folder is for its owner only and goes in any case; what a capture that
was killed has left is known by its name, which says whose it is.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.capture import evidence_names
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import EvidenceLost, Failure

PREFIX = "irctl-capture-"
FILE = "snapshot"
STALE = 86400.0  # seconds after which another controller's is taken to be left over
ROOM = 64 << 20  # bytes that stay free
PIECE = 1 << 20


@dataclass(frozen=True)
class Piece:
    """One piece of evidence: its name within the evidence, where it came from, and what happened to it meanwhile."""

    name: str
    source: str
    size: int
    sha256: str
    note: str = ""
    extents: list[tuple[int, int]] = field(default_factory=list)  # the parts of the source that it is, where it is not all of it

    @property
    def is_odd(self) -> bool:
        """Whether it is not all that there was, or the journal has something that must be known."""
        return bool(self.note and (self.extents or "/" not in self.source))


@dataclass
class Snapshot:
    """The file that is being written, and what is in it so far."""

    folder: str
    descriptor: int
    kept: list[Piece] = field(default_factory=list)

    @property
    def path(self) -> str:
        return os.path.join(self.folder, FILE)

    @property
    def size(self) -> int:
        return sum(one.size for one in self.kept)

    def add(self, name: str, source: str, pieces: Iterable[bytes]) -> Piece:
        """Write the pieces and hash them in the same pass. Where they fail, it is as if they had never begun."""
        begun, digest, size = self.size, hashlib.sha256(), 0
        try:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                self._write(piece)
        except BaseException:
            os.ftruncate(self.descriptor, begun)
            os.lseek(self.descriptor, begun, os.SEEK_SET)
            raise
        self.kept.append(Piece(name, source, size, digest.hexdigest()))
        return self.kept[-1]

    def _write(self, piece: bytes) -> None:
        try:
            _write(self.descriptor, piece)
        except OSError as error:
            raise Full((error.strerror or "no reason was given").lower()) from None

    def note(self, note: str, extents: Sequence[tuple[int, int]] = ()) -> None:
        """Say of the last piece what happened to its source, and which parts of it were taken."""
        self.kept[-1] = replace(self.kept[-1], note=note, extents=list(extents))


class Full(Exception):
    """The snapshot cannot be written; that is no fault of what was read."""


def _write(descriptor: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def home_of(folder: str) -> str:
    """Where irctl keeps its runs, or plain Ansible its evidence, by the folder that a run keeps the evidence of a host in."""
    run = os.path.dirname(folder)
    return os.path.dirname(os.path.dirname(run) if os.path.basename(run) == "evidence" else run)


def owner_of(folder: str | None) -> str:
    """Whose a snapshot is: that home's, for that host."""
    return f"{home_of(folder or '')} {os.path.basename(folder or '')}"


def prefix(owner: str) -> str:
    """How the folders are called that belong to this owner, such as a run's home and host."""
    return f"{PREFIX}{hashlib.sha256(owner.encode('utf-8', 'surrogateescape')).hexdigest()[:10]}-"


@contextmanager
def making(parent: str, owner: str) -> Iterator[Snapshot]:
    """Make a folder with a snapshot to be filled, which the user of the connection then owns; else it goes. Raises Failure."""
    try:
        folder = tempfile.mkdtemp(prefix=prefix(owner), dir=parent)
    except OSError as error:
        raise Failure(f"No snapshot can be made in {parent}: {(error.strerror or '').lower()}.") from None
    try:
        descriptor = os.open(os.path.join(folder, FILE), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            snapshot = Snapshot(folder, descriptor)
            yield snapshot
            _hand_over(snapshot)
        except Full as error:
            raise Failure(f"The snapshot cannot be written to {parent}: {error}.") from None
        finally:
            os.close(descriptor)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _hand_over(snapshot: Snapshot) -> None:
    """The connection fetches as the user who logged in, who may be another one than the one who may read everything."""
    user = reader()
    if user != os.geteuid():
        try:
            os.fchown(snapshot.descriptor, user, -1)
            os.chown(snapshot.folder, user, -1, follow_symlinks=False)
        except OSError:
            raise Failure("The snapshot cannot be handed to the user of the connection; become root instead.") from None


def reader() -> int:
    """The user who logged in, where sudo or doas says so, or the kernel."""
    if named := os.environ.get("SUDO_UID"):
        return int(named)
    if named := os.environ.get("DOAS_USER"):
        return pwd.getpwnam(named).pw_uid
    try:
        with open("/proc/self/loginuid", encoding="ascii") as file:
            user = int(file.read())
    except (OSError, ValueError):
        return os.geteuid()
    return user if os.geteuid() == 0 and user != 0xFFFFFFFF else os.geteuid()


def leftovers(parent: str, owner: str) -> list[str]:
    """The folders of killed captures: of this owner, and old ones of others."""
    ours, folders = prefix(owner), []
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return []
    for name in (name for name in names if name.startswith(PREFIX)):
        try:
            status = os.lstat(os.path.join(parent, name))
        except OSError:
            continue  # it has gone meanwhile
        if stat.S_ISDIR(status.st_mode) and (name.startswith(ours) or time.time() - status.st_mtime > STALE):
            folders.append(os.path.join(parent, name))
    return folders


def sweep(parent: str, owner: str) -> list[str]:
    """Remove those folders; return them. Raises Failure where one stays."""
    folders = leftovers(parent, owner)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    if remaining := [folder for folder in folders if paths.has_name(folder)]:
        raise Failure(f"{remaining[0]}, which an earlier capture left, cannot be removed.")
    return folders


def unpack(path: str, promised: Sequence[Any], folder: str) -> None:
    """Take a snapshot apart into files below folder, each 0600, fsynced, and hashed again.

    `promised` are the names, sizes and hashes that the host gave. Raises EvidenceLost where one does not match, OSError.
    """
    with open(path, "rb") as file:
        for name, size, digest in promised:
            if not evidence_names.is_inside(name):
                raise EvidenceLost(f"the host gave a name that leads elsewhere: {evidence_names.shown(name)[:80]}")
            if _unpack_one(file.fileno(), os.path.join(folder, name), size) != digest:
                raise EvidenceLost(f"{evidence_names.shown(name)} is not what was hashed on the host")
        if file.read(1):
            raise EvidenceLost("the snapshot has more in it than the host said")


def _unpack_one(source: int, target: str, size: int) -> str:
    _make_folder(os.path.dirname(target))
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        while size and (piece := os.read(source, min(PIECE, size))):
            digest.update(piece)
            _write(descriptor, piece)
            size -= len(piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return digest.hexdigest() if not size else ""


def _make_folder(path: str) -> None:
    """Make a folder, and those above it that are missing, for their owner only."""
    if not paths.is_folder(path):
        _make_folder(os.path.dirname(path))
        os.mkdir(path, 0o700)


def digest_of(path: str) -> tuple[int, str]:
    """Size and sha256 of a regular file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not a regular file")
        return os.fstat(descriptor).st_size, hashlib.file_digest(file, "sha256").hexdigest()
