"""Which files of a host are captured, how much of each, and why the others are not. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import trees, values
from ansible_collections.irctl.runbooks.plugins.module_utils.capture import evidence_names
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.kinds import root as root_kind
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, Found, Left

MOST_FILES = 10_000
MOST_SKIPS = 5_000  # that are listed one by one
PACKED = (".gz", ".xz", ".zst", ".bz2", ".lz4", ".zip", ".tgz")


@dataclass(frozen=True)
class Rules:
    """What may be taken: below `roots`, of that only what `paths` names if it names any, last written at `since` or later.

    Of a file at most its last `largest` bytes, and no more than `total` in all. Nothing below `home`.
    """

    roots: tuple[str, ...]
    paths: tuple[str, ...] = ()
    since: float = 0.0  # seconds since 1970
    largest: int = 100 << 20
    total: int = 1 << 30
    home: str = ""

    def taken(self, file: File) -> int:
        """How many bytes of a file are taken."""
        return min(file.bytes, self.largest)


@dataclass(frozen=True)
class Wanted:
    """A file to be captured."""

    root: str
    file: File

    @property
    def source(self) -> str:
        return os.path.join(self.root, self.file.path)

    @property
    def written(self) -> float:
        """When it was last written, or made to look so: who can set the one time cannot set the other."""
        return max(self.file.mtime, self.file.ctime) / 1e9


@dataclass
class Choice:
    """The files to be captured, those that are not, and how many were last written too long ago."""

    wanted: list[Wanted] = field(default_factory=list)
    skipped: list[Left] = field(default_factory=list)
    older: int = 0


def rules(roots: Sequence[str], paths: Sequence[str], **more: Any) -> Rules:
    """The rules with these roots and paths. Raises ValueError for one that cannot be meant."""
    if not roots:
        raise ValueError("root: at least one folder has to be declared that may be captured from, such as /var/log")
    checks = [*(("root", root, root_kind.check) for root in roots), *(("path", path, values.path) for path in paths)]
    for option, path, check in checks:
        try:
            check(path)
        except ValueError as error:
            raise ValueError(f"{option}: {error} (got '{evidence_names.shown(path)[:80]}')") from None
    plain = tuple(dict.fromkeys(_plain(root) for root in roots))
    return Rules(plain, tuple(_plain(path) for path in paths), **more)


def _plain(path: str) -> str:
    return "/" + os.path.normpath(path).lstrip("/")


def refusals(one: Rules, found: Mapping[str, Found]) -> list[str]:
    """Why what was named cannot be captured, each a sentence."""
    said = []
    for path in one.paths:
        if not any(_is_within(path, root) for root in one.roots):
            said.append(f"{evidence_names.shown(path)} is not below {' or '.join(one.roots)}, which is all that may be captured.")
        elif why := _nothing_at(path, found):
            said.append(f"{evidence_names.shown(path)} cannot be captured: {why}.")
    return said


def gone(given: Sequence[str], found: Mapping[str, Found]) -> dict[str, str]:
    """Of these roots each that is not there or cannot be read, as it was given, with a sentence."""
    said = {}
    for root in given:
        there = found[_plain(root)]
        if there.left and not there.left[0].path:
            said[root] = f"{evidence_names.shown(root)} cannot be captured: {there.left[0].why}."
    return said


def _nothing_at(path: str, found: Mapping[str, Found]) -> str:
    if any(_is_within(source, path) for source, _entry in _entries(found)):
        return ""
    above = [left.why for source, left in _entries(found) if isinstance(left, Left) and _is_within(path, source)]
    return above[0] if above else "there is no file"


def _entries(found: Mapping[str, Found]) -> Iterator[tuple[str, File | Left]]:
    for root, there in found.items():
        yield from ((os.path.join(root, file.path), file) for file in there.files)
        yield from ((os.path.join(root, left.path) if left.path else root, left) for left in there.left)


def choose(found: Mapping[str, Found], one: Rules) -> Choice:
    """Choose from what is below each root. Where all of it is too much, what was written last is taken."""
    choice, seen = Choice(), set()
    for root, there in found.items():
        for left in there.left:
            source = os.path.join(root, left.path) if left.path else root
            if source not in seen and _is_asked(source, one):
                choice.skipped.append(Left(source, left.why))
            seen.add(source)
        for wanted in (Wanted(root, file) for file in there.files):
            if wanted.source not in seen and _is_asked(wanted.source, one):
                _sort_in(choice, wanted, one)
            seen.add(wanted.source)
    _limit(choice, one)
    return choice


def _is_asked(source: str, one: Rules) -> bool:
    return not one.paths or any(_is_within(source, path) for path in one.paths)


def _sort_in(choice: Choice, wanted: Wanted, one: Rules) -> None:
    if reason := _reason(wanted, one):
        choice.skipped.append(Left(wanted.source, reason))
    elif wanted.source not in one.paths and wanted.written < one.since:
        choice.older += 1
    else:
        choice.wanted.append(wanted)


def _reason(wanted: Wanted, one: Rules) -> str:
    if one.home and _is_within(wanted.source, one.home):
        return "what irctl itself keeps"
    if not evidence_names.fits(evidence_names.safe(wanted.source)):
        return "its name is too long to be kept"
    if wanted.file.bytes > one.largest and wanted.source.endswith(PACKED):
        return f"compressed, so its end alone is of no use, and it has {wanted.file.bytes} bytes"
    return ""


def _limit(choice: Choice, one: Rules) -> None:
    left, kept = one.total, list[Wanted]()
    for wanted in sorted(choice.wanted, key=lambda each: (each.source not in one.paths, -each.written)):
        size = one.taken(wanted.file)
        if size > left:
            choice.skipped.append(Left(wanted.source, f"too much in all: it has {size} bytes, and {left} are left"))
        elif len(kept) == MOST_FILES:
            choice.skipped.append(Left(wanted.source, f"more than {MOST_FILES} files"))
        else:
            left -= size
            kept.append(wanted)
    choice.wanted = sorted(kept, key=lambda each: each.source)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def survey(one: Rules) -> dict[str, Found]:
    """What is below each root; a root that cannot be read is left out with its reason, in its own place."""
    found = {}
    for root in one.roots:
        try:
            found[root] = trees.walk(root)
        except Failure as error:
            found[root] = Found(left=[Left("", str(error).removeprefix(f"{root} cannot be read: ").rstrip("."))])
    return found
