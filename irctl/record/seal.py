"""Seal a folder with a manifest of the hashes of its files, and read one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from irctl.errors import EvidenceError
from irctl.record import contents, journal, manifest_format
from irctl.record.contents import Difference
from irctl.record.manifest_format import LONGEST_NAME, MANIFEST, RUN_ID, SCHEMA, NotSealed
from irctl.record.verify_command import visible

__all__ = ["MANIFEST", "RUN_ID", "differences", "document", "finished", "hashed", "manifest", "seal", "write"]


def seal(folder: Path, run: str) -> str:
    """Write the manifest of every file in a run's folder, fsynced; return the manifest's sha256. Raises EvidenceError."""
    try:
        (folder / f"{MANIFEST}.new").unlink(missing_ok=True)  # of a sealing that was killed
        files, empty = contents.contents(folder)
        content = finished(document({"run": run}, hashed(folder, files - {MANIFEST}), empty))
        write(folder / MANIFEST, content)
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be sealed: {error.strerror}") from None
    return hashlib.sha256(content).hexdigest()


def hashed(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """Size and sha256 of each of these files. Raises EvidenceError where one is no regular file, or cannot be read."""
    found = contents.digests(folder, names)
    for name, digest in found.items():
        if digest is None:
            reason = "it is not a regular file, or cannot be read"
            raise EvidenceError(f"{folder} cannot be sealed: {visible(name)}: {reason}")
    return dict(found)


def document(subject: Mapping[str, Any], files: Mapping[str, Any], empty: Iterable[str]) -> dict[str, Any]:
    """The manifest of these files, but for its digest. `subject` is what only runs or only packs have. Raises EvidenceError."""
    if long := next((name for name in [*files, *empty] if len(name) > LONGEST_NAME), ""):
        raise EvidenceError(f"it cannot be sealed: a name has more than {LONGEST_NAME} characters: {visible(long)[:60]}")
    return {"schema": SCHEMA, "sealed": journal.utc(), **subject, "files": dict(files), "empty": sorted(empty)}


def finished(manifest: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest, with its digest. Raises EvidenceError where a name cannot be written down."""
    try:
        return manifest_format.canonical({**manifest, "digest": manifest_format.digest_of(dict(manifest))}) + b"\n"
    except UnicodeEncodeError as error:
        near = visible(error.object[max(0, error.start - 60) : error.end + 20])
        raise EvidenceError(f"it cannot be sealed: a name is not UTF-8: {near}") from None


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
    """Read a folder's manifest and its sha256. Raises EvidenceError where it is not one that sealing wrote."""
    try:
        return manifest_format.read_manifest(folder)
    except NotSealed as error:
        raise EvidenceError(visible(error)) from None


def differences(folder: Path) -> list[Difference]:
    """Hold every file of a sealed folder against its manifest. Raises EvidenceError."""
    return contents.file_differences(folder, manifest(folder)[0])
