"""A pack as one file: a .tar that `irctl evidence verify` and verify.py take as it is. The same pack gives the same bytes."""

from __future__ import annotations

import hashlib
import os
import tarfile
from datetime import datetime
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.errors import EvidenceError, invalid
from irctl.record import contents, seal
from irctl.record.manifest_format import open_file


def require_new(path: Path, option: str) -> None:
    """Raises Invalid where a file cannot be made there."""
    try:
        possible = path.name.endswith(".tar") and not paths.has_name(path) and paths.is_folder(path.parent)
    except (OSError, ValueError):  # too long, or with a NUL
        possible = False
    if not possible:
        raise invalid(option, "a new file whose name ends in .tar, in a folder that is there, is needed", path)


def write(folder: Path, path: Path) -> str:
    """Put a sealed folder into a new 0600 file, fsynced; return the file's sha256. Raises EvidenceError."""
    sealed_at = datetime.fromisoformat(seal.manifest(folder)[0]["sealed"]).timestamp()
    names, empty = contents.contents(folder)
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)  # of an attempt that was killed
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
                for name in sorted({*names, *empty}):
                    _add(archive, folder, name, int(sealed_at))
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        part.rename(path)
    except OSError as error:
        raise EvidenceError(f"{path} cannot be written: {error.strerror or error}") from None
    return digest


def _add(archive: tarfile.TarFile, folder: Path, name: str, at: int) -> None:
    member = tarfile.TarInfo(f"{folder.name}/{name}")
    member.mtime = at
    if paths.is_folder(folder / name) and not paths.is_link(folder / name):
        member.type, member.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(member)
        return
    with os.fdopen(open_file(folder / name), "rb") as file:
        member.mode, member.size = 0o600, os.fstat(file.fileno()).st_size
        archive.addfile(member, file)
