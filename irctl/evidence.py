"""Seal a folder with a manifest of hashes, and check one later with nothing but the folder itself."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from irctl.errors import EvidenceError
from irctl.journal import canonical, utc

MANIFEST = "manifest.json"
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9][a-z0-9-]{0,60}-[0-9a-f]{6}", re.ASCII)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
SCHEMA = "irctl/manifest/1"


@dataclass(frozen=True)
class Difference:
    """One thing in a folder that is not as its manifest says: changed, missing or added."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def seal(folder: Path, run: str) -> str:
    """Write the manifest of every file in the folder, fsynced; return the manifest's sha256. Raises EvidenceError."""
    try:
        files = {name: _digest(folder / name) for name in sorted(_files(folder)) if name != MANIFEST}
        content = canonical({"schema": SCHEMA, "run": run, "sealed": utc(), "files": files}) + b"\n"
        write(folder / MANIFEST, content)
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be sealed: {error.strerror}") from None
    return hashlib.sha256(content).hexdigest()


def write(path: Path, content: bytes) -> None:
    """Put a 0600 file in place whole and fsynced, or not at all. Raises OSError."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def manifest(folder: Path) -> tuple[dict[str, Any], str]:
    """Read a folder's manifest and its sha256. Raises EvidenceError where it is not one that `seal` wrote."""
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
        found = json.loads(content, object_pairs_hook=_no_twice)
        files = found["files"]
        sound = found["schema"] == SCHEMA and bool(RUN_ID.fullmatch(found["run"]) and _TIME.fullmatch(found["sealed"]))
        sound = sound and all(_inside(name) and len(bytes.fromhex(about["sha256"])) == 32 for name, about in files.items())
    except FileNotFoundError:
        raise EvidenceError(f"{folder} is not sealed: it has no {MANIFEST}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EvidenceError(f"{path} is not a manifest: {' '.join(str(error).split())[:120] or type(error).__name__}") from None
    if not sound:
        raise EvidenceError(f"{path} is not a manifest: its schema is unknown or it names a file outside its folder")
    return found, hashlib.sha256(content).hexdigest()


def differences(folder: Path) -> list[Difference]:
    """Hold every file of a sealed folder against its manifest. Raises EvidenceError."""
    listed = manifest(folder)[0]["files"]
    there = set(_files(folder)) - {MANIFEST}
    found = [Difference("missing", name) for name in listed if name not in there]
    found += [Difference("added", name) for name in there if name not in listed]
    found += [Difference("changed", name) for name in listed if name in there and not _same(folder / name, listed[name])]
    return sorted(found, key=lambda difference: (difference.name, difference.kind))


def _same(path: Path, about: dict[str, Any]) -> bool:
    try:
        return _digest(path) == about
    except OSError:
        return False


def _digest(path: Path) -> dict[str, Any]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "not a regular file", str(path))
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"sha256": digest, "bytes": file.tell()}


def _files(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in [*files, *links]:
            yield (Path(root) / name).relative_to(folder).as_posix()


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and path.as_posix() == name


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands in it twice")
    return dict(pairs)
