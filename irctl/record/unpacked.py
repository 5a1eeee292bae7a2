"""A sealed folder, or one in a single .tar file, unpacked into a place of its own: nothing of it is followed, run or put elsewhere.

Part of verify.py: it needs Python 3.8 or later and the standard library only.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from irctl.record.manifest_format import MANIFEST, NotSealed, is_inside, open_file

MOST_MEMBERS = 1_000_000
LARGEST_HEADER = 1 << 20  # bytes; what names and attributes of one member may take
PIECE = 256 << 10  # bytes that are copied at once
FAULTS = (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, RecursionError)


class _Bounded:
    """A file of which no read takes more than a header may have, whatever the headers in it say."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_HEADER:
            raise ValueError("a header in it is too large")
        return self._file.read(size)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The folder itself; or, of a regular file, the folder in that tar, gone again afterwards. Raises NotSealed."""
    if not _is_file(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="irctl-verify-") as place:
        try:
            _unpack(path, Path(place))
        except FAULTS as error:
            raise NotSealed(f"{path} cannot be unpacked: {' '.join(str(error).split())[:200] or type(error).__name__}") from None
        try:
            yield _sealed_folder(Path(place))
        except NotSealed as error:
            raise NotSealed(str(error).replace(place, str(path))) from None


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _sealed_folder(place: Path) -> Path:
    """Where the manifest lies: at the top, or in the one folder that there is."""
    names = os.listdir(place)
    return place / names[0] if len(names) == 1 and MANIFEST not in names else place


def _unpack(path: Path, place: Path) -> None:
    with os.fdopen(open_file(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > shutil.disk_usage(place).free:
            raise ValueError(f"there is no room for it in {place.parent}; TMPDIR names another place")
        bounded: Any = _Bounded(file)
        with tarfile.open(fileobj=bounded, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in _members(archive, size):
                _put(archive, member, place)


def _members(archive: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
    """The members one after the other, as far as all of them fit into a file of this size. Raises ValueError."""
    before, room = -1, size
    for _number in range(MOST_MEMBERS):
        member = archive.next()
        if member is None:
            return
        archive.members = []  # type: ignore[attr-defined]  # it would keep all of them
        room -= member.size
        if member.offset <= before or member.size < 0 or room < 0:
            raise ValueError("its members overlap")
        before = member.offset
        yield member
    raise ValueError(f"it has more than {MOST_MEMBERS} members")


def _put(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    name = member.name[2:] if member.name.startswith("./") else member.name
    if member.isdir() and name in ("", "."):
        return
    if not is_inside(name):
        raise ValueError(f"it names a file outside its folder: {name[:100]}")
    if member.isdir():
        (place / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    elif member.isreg() and not member.issparse():
        _write(archive, member, place / name)
    else:
        raise ValueError(f"neither a file nor a folder: {name[:100]}")


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = archive.extractfile(member)
    assert content is not None
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(content, file, PIECE)
    if os.stat(path).st_size != member.size:
        raise ValueError("it was cut short")
