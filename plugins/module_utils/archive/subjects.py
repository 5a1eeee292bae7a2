"""What can be archived here: the closed incidents of an irctl home, or a folder. Read only, but for the lock of an incident."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, trees
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import incident_journal, keys
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.incident_journal import (
    JOURNAL,
    MANIFEST,
    RECORD,
    Broken,
    Status,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import Listing, Skipped
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

LARGEST_JOURNAL = 64 << 20


@dataclass(frozen=True)
class Subject:
    """What is archived under one name: an incident's folder, or a tree.

    `held` is the reason of its legal hold, '' for none. `stays` are the files that are never removed here; a tree has none.
    """

    name: str
    root: str
    held: str = ""
    stays: frozenset[str] = frozenset()


def select(home: str, folder: str, older: int, now: float) -> tuple[list[Subject], list[Skipped]]:
    """The folder, or else the incidents of the home that are closed for `older` seconds. Raises ValueError or Failure."""
    if folder:
        return [tree(folder, home)], []
    if not home:
        raise ValueError("tree: none is named, and irctl_home neither; one of them is needed")
    return incidents(home, older, now)


def incidents(home: str, older: int, now: float) -> tuple[list[Subject], list[Skipped]]:
    """The incidents of a home that are closed for so many seconds, and those of which that cannot be told. Raises Failure."""
    root = os.path.join(home, "incidents")
    try:
        names = sorted(name for name in os.listdir(root) if incident_journal.NAME.fullmatch(name))
    except OSError as error:
        why = trees.reason_of(error)
        raise Failure(f"{printable(root)} is not the incidents of an irctl home: {why}. Name a folder with --tree.") from None
    subjects, skipped = [], []
    for name in names:
        try:
            status = status_of(os.path.join(root, name))
        except (Broken, OSError) as error:
            reason = error.strerror or "cannot be read" if isinstance(error, OSError) else str(error)
            skipped.append(Skipped(name, reason))
            continue
        if status.closed is None or status.closed >= now - older:
            continue
        if status.last_run > _packed_up_to(os.path.join(root, name)):
            skipped.append(Skipped(name, f"the records of its runs are not in it; run: irctl incident pack {name}"))
        else:
            subjects.append(Subject(f"incidents/{name}", os.path.join(root, name), status.held, frozenset(RECORD)))
    return subjects, skipped


def _packed_up_to(root: str) -> int:
    """Up to which line of its journal an incident is packed, with all of its runs until then; 0 where it is not."""
    try:
        with trees.reading(root, MANIFEST) as manifest:
            document = json.loads(b"".join(manifest.pieces(trees.PIECE)))
        return int(document["journal"]["seq"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0


def status_of(root: str) -> Status:
    """The status of an incident by its journal. Raises Broken or OSError."""
    with trees.reading(root, JOURNAL) as journal:
        if journal.file.bytes > LARGEST_JOURNAL:
            raise Broken("its journal is too large")
        return incident_journal.status(b"".join(journal.pieces(trees.PIECE)))


def tree(path: str, home: str) -> Subject:
    """A folder as a subject. Raises ValueError where it is, holds or lies in a home of irctl, whose holds would be passed by."""
    root = os.path.realpath(path)
    if not os.path.isabs(path) or root == "/":
        raise ValueError(f"tree: the whole path of a folder is needed, and not '/' (got '{printable(path, 80)}')")
    home = os.path.realpath(home) if home else ""
    if (home and _overlaps(root, home)) or any(_is_home(folder) for folder in _ancestors(root) if folder != home):
        reason = "this is of an irctl home, whose incidents go by themselves, without --tree"
        raise ValueError(f"tree: {reason} (got '{printable(path, 80)}')")
    return Subject(keys.name_of_tree(root), root)


def _overlaps(root: str, home: str) -> bool:
    """Whether a folder is, holds or lies in the records of a home; what else is below a home is not its evidence."""
    records = [os.path.join(home, name) for name in ("incidents", "runs")]
    return any(os.path.commonpath([root, folder]) in (root, folder) for folder in records if paths.is_folder(folder))


def _ancestors(root: str) -> Iterator[str]:
    yield root
    while root != "/":
        root = os.path.dirname(root)
        yield root


def _is_home(folder: str) -> bool:
    """Whether this is a home, or an incident in one."""
    return paths.has_name(os.path.join(folder, JOURNAL))


def files_of(subject: Subject, before: float | None) -> Listing:
    """The files of a subject; of a tree those last written before that, and none of an irctl home that lies in it."""
    listing = trees.walk(subject.root, None if subject.stays else before)
    if subject.stays:
        return listing
    every = trees.walk(subject.root).files
    homes = tuple(file.path.removesuffix(JOURNAL) for file in every if file.path.rpartition("/")[2] == JOURNAL)
    of_homes = {file for file in listing.files if file.path.startswith(homes)} if homes else set()
    skipped = [Skipped(file.path, "of an irctl home") for file in listing.files if file in of_homes]
    return Listing([file for file in listing.files if file not in of_homes], listing.skipped + skipped)


@contextmanager
def undisturbed(subject: Subject) -> Iterator[str]:
    """Keep an incident from being put on hold or reopened meanwhile; give the reason why nothing may be removed, or ''."""
    if not subject.stays:
        yield subject.held
        return
    descriptor = os.open(subject.root, trees.FOLDER)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # what irctl holds while it writes to the journal
        yield _objection(subject.root)
    finally:
        os.close(descriptor)


def _objection(root: str) -> str:
    try:
        status = status_of(root)
    except (Broken, OSError):
        return "its journal cannot be read"
    if status.held:
        return f"on legal hold: {printable(status.held, 80)}"
    return "" if status.closed is not None else "reopened"
