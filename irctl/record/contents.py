"""The files and folders below a sealed folder: listed, hashed, and held against a manifest.

Part of verify.py: it needs Python 3.8 or later and the standard library only.
"""

from __future__ import annotations

import bisect
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irctl.record.manifest_format import APART, MANIFEST, open_file

BUFFER = 1 << 20  # bytes read at once


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the manifest says. `kind` is a word such as changed, missing, added or reordered."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def file_differences(folder: Path, manifest: dict[str, Any]) -> list[Difference]:
    """Hold every file and empty folder against a manifest."""
    listed, listed_empty = manifest["files"], set(manifest["empty"])
    names, empty = contents(folder)
    names -= APART if "incident" in manifest else {MANIFEST}
    actual = digests(folder, [name for name in listed if name in names], listed)
    differences = [Difference("missing", name) for name in listed if name not in names]
    differences += [Difference("added", name) for name in names if name not in listed]
    differences += [Difference("changed", name) for name in listed if name in names and actual.get(name) != listed[name]]
    differences += [Difference("missing", f"{name}/") for name in listed_empty - empty if not (folder / name).is_dir()]
    in_order = sorted(listed) if empty else []
    differences += [Difference("added", f"{name}/") for name in empty - listed_empty if not _is_parent(name, in_order)]
    return sorted(differences, key=lambda difference: (difference.name, difference.kind))


def _is_parent(folder: str, names: list[str]) -> bool:
    """Whether any of the names, which are in order, lies below a folder."""
    place = bisect.bisect_left(names, f"{folder}/")
    return place < len(names) and names[place].startswith(f"{folder}/")


def contents(folder: Path) -> tuple[set[str], set[str]]:
    """The names of all files, links and other things below a folder, and of the folders with nothing in them."""
    files: set[str] = set()
    empty: set[str] = set()
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, parent)) as scan:
                entries = list(scan)
        except OSError:  # it cannot be looked into, so nothing in it is listed
            entries = []
        if parent and not entries:
            empty.add(parent)
        for entry in entries:
            name = f"{parent}/{entry.name}" if parent else entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append(name)
            else:
                files.add(name)
    return files, empty


def digests(folder: Path, names: Iterable[str], expected: dict[str, Any] | None = None) -> dict[str, dict[str, Any] | None]:
    """Size and sha256 of each file, on all processors; None for one that cannot be read or has not the expected size."""
    results: dict[str, dict[str, Any] | None] = {}
    queue = iter(list(names))
    workers = [threading.Thread(target=_hash_files, args=(folder, queue, expected, results)) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


def _hash_files(folder: Path, queue: Iterator[str], expected: dict[str, Any] | None, results: dict[str, Any]) -> None:
    buffer = memoryview(bytearray(BUFFER))
    for name in queue:
        try:
            results[name] = _digest(os.path.join(folder, name), expected[name]["bytes"] if expected else None, buffer)
        except (OSError, ValueError):
            results[name] = None


def _digest(path: str, expected: int | None, buffer: memoryview) -> dict[str, Any] | None:
    """Size and sha256 of a file; None where it has not the expected size, or grows while it is read."""
    descriptor = open_file(path)
    try:
        size = os.fstat(descriptor).st_size
        if expected is not None and size != expected:
            return None
        digest, total = hashlib.sha256(), 0
        while count := os.readv(descriptor, [buffer]):
            digest.update(buffer[:count])
            total += count
            if total > size:
                return None
        return {"sha256": digest.hexdigest(), "bytes": total}
    finally:
        os.close(descriptor)
