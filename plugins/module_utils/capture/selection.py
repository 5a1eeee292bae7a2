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
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, Listing, Skipped

MOST_FILES = 10_000
MOST_SKIPS = 5_000  # that are listed one by one
PACKED = (".gz", ".xz", ".zst", ".bz2", ".lz4", ".zip", ".tgz")


@dataclass(frozen=True)
class Rules:
    """What may be taken: below `roots`, of that only what `paths` names if it names any, last written at `since` or later.

    Of a file at most `largest` bytes, and no more than `total` in all. Nothing below `home`.
    """

    roots: tuple[str, ...]
    paths: tuple[str, ...] = ()
    since: float = 0.0  # seconds since 1970
    largest: int = 100 << 20
    total: int = 1 << 30
    home: str = ""

    def taken(self, file: File) -> int:
        """How many bytes of a file are taken, at most; of a large one with holes its data."""
        if file.bytes <= self.largest or file.allocated < 0:
            return min(file.bytes, self.largest)
        return min(file.allocated, self.largest)


@dataclass(frozen=True)
class Candidate:
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

    wanted: list[Candidate] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    older: int = 0


def checked_rules(roots: Sequence[str], paths: Sequence[str], **limits: Any) -> Rules:
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
    return Rules(plain, tuple(_plain(path) for path in paths), **limits)


def _plain(path: str) -> str:
    return "/" + os.path.normpath(path).lstrip("/")


def refusals(rules: Rules, listings: Mapping[str, Listing]) -> list[str]:
    """Why what was named cannot be captured, each a sentence."""
    reasons = []
    for path in rules.paths:
        if not any(_is_within(path, root) for root in rules.roots):
            reasons.append(
                f"{evidence_names.shown(path)} is not below {' or '.join(rules.roots)}, which is all that may be captured."
            )
        elif why := _nothing_at(path, listings):
            reasons.append(f"{evidence_names.shown(path)} cannot be captured: {why}.")
    return reasons


def gone(given: Sequence[str], listings: Mapping[str, Listing]) -> dict[str, str]:
    """Of these roots each that is not there or cannot be read, as it was given, with a sentence."""
    sentences = {}
    for root in given:
        listing = listings[_plain(root)]
        if listing.skipped and not listing.skipped[0].path:
            sentences[root] = f"{evidence_names.shown(root)} cannot be captured: {listing.skipped[0].reason}."
    return sentences


def _nothing_at(path: str, listings: Mapping[str, Listing]) -> str:
    if any(_is_within(source, path) for source, _entry in _entries(listings)):
        return ""
    above = [entry.reason for source, entry in _entries(listings) if isinstance(entry, Skipped) and _is_within(path, source)]
    return above[0] if above else "there is no file"


def _entries(listings: Mapping[str, Listing]) -> Iterator[tuple[str, File | Skipped]]:
    for root, listing in listings.items():
        yield from ((os.path.join(root, file.path), file) for file in listing.files)
        yield from ((_source(root, skipped), skipped) for skipped in listing.skipped)


def _source(root: str, skipped: Skipped) -> str:
    """The path of what is skipped below a root; of the root itself where it has none."""
    return os.path.join(root, skipped.path) if skipped.path else root


def choose(listings: Mapping[str, Listing], rules: Rules) -> Choice:
    """Choose from what is below each root. Where all of it is too much, what was written last is taken."""
    choice, seen = Choice(), set()
    for root, listing in listings.items():
        for skipped in listing.skipped:
            source = _source(root, skipped)
            if source not in seen and _is_named(source, rules):
                choice.skipped.append(Skipped(source, skipped.reason))
            seen.add(source)
        for candidate in (Candidate(root, file) for file in listing.files):
            if candidate.source not in seen and _is_named(candidate.source, rules):
                _sort_in(choice, candidate, rules)
            seen.add(candidate.source)
    _limit(choice, rules)
    return choice


def _is_named(source: str, rules: Rules) -> bool:
    return not rules.paths or any(_is_within(source, path) for path in rules.paths)


def _sort_in(choice: Choice, candidate: Candidate, rules: Rules) -> None:
    if reason := _reason(candidate, rules):
        choice.skipped.append(Skipped(candidate.source, reason))
    elif candidate.source not in rules.paths and candidate.written < rules.since:
        choice.older += 1
    else:
        choice.wanted.append(candidate)


def _reason(candidate: Candidate, rules: Rules) -> str:
    if rules.home and _is_within(candidate.source, rules.home):
        return "what irctl itself keeps"
    if not evidence_names.fits(evidence_names.safe(candidate.source)):
        return "its name is too long to be kept"
    if candidate.file.bytes > rules.largest and candidate.source.endswith(PACKED):
        return f"compressed, so its end alone is of no use, and it has {candidate.file.bytes} bytes"
    return ""


def _limit(choice: Choice, rules: Rules) -> None:
    remaining, kept = rules.total, list[Candidate]()
    for candidate in sorted(choice.wanted, key=lambda each: (each.source not in rules.paths, -each.written)):
        size = rules.taken(candidate.file)
        if size > remaining:
            choice.skipped.append(Skipped(candidate.source, f"too much in all: it has {size} bytes, and {remaining} are left"))
        elif len(kept) == MOST_FILES:
            choice.skipped.append(Skipped(candidate.source, f"more than {MOST_FILES} files"))
        else:
            remaining -= size
            kept.append(candidate)
    choice.wanted = sorted(kept, key=lambda each: each.source)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def survey(rules: Rules) -> dict[str, Listing]:
    """What is below each root; a root that cannot be read is left out with its reason, in its own place."""
    listings = {}
    for root in rules.roots:
        try:
            listings[root] = trees.walk(root)
        except Failure as error:
            reason = str(error).removeprefix(f"{root} cannot be read: ").rstrip(".")
            listings[root] = Listing(skipped=[Skipped("", reason)])
    return listings
