"""Capture a host's evidence into a snapshot, in the order in which it vanishes; what is not to be had is listed with its reason."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, trees
from ansible_collections.irctl.runbooks.plugins.module_utils.capture import cuts, evidence_names, host_facts, selection, streams
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.journal import Journal
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.selection import Candidate, Choice, Rules
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.snapshots import Piece, Snapshot
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import Listing, Skipped

MEMORY_SECONDS = 3600.0
DUMPERS = ("avml",)


@dataclass(frozen=True)
class Request:
    """What is asked for. `until` is now; the journal and the choice of files are of that moment."""

    rules: Rules
    until: float
    units: tuple[str, ...] = ()
    memory: bool = False


@dataclass
class Survey:
    """What there is to capture. `journal` is its size in bytes, or -1 where there is none to be had; `memory` that of a dump."""

    listings: dict[str, Listing]
    choice: Choice
    journal: int
    skipped: list[Skipped] = field(default_factory=list)
    memory: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    journal_read: Journal | None = None

    @property
    def of_files(self) -> int:
        """How much the files will take, more or less."""
        return sum(self.sizes.values())

    @property
    def bytes(self) -> int:
        """How much all of it will take, more or less."""
        return self.of_files + max(self.journal, 0) + self.memory

    @property
    def most(self) -> int:
        """How much room that needs meanwhile: a dump of the memory is there twice until it is copied into the snapshot."""
        return self.bytes + self.memory


def survey(request: Request) -> Survey:
    """Find out what there is, without a copy of anything."""
    listings, skipped = selection.survey(request.rules), []
    journal, size = _journal(request), -1
    try:
        journal.read(request.units, None)
        size = journal.bytes
    except (Failure, OSError) as error:
        skipped = [Skipped("journal", str(error))]
    memory = memory_bytes() if request.memory else 0
    if request.memory and (why := _no_memory(request)):
        memory, skipped = 0, [*skipped, Skipped("memory", why)]
    choice = selection.choose(listings, _with_less(request.rules, max(size, 0) + memory))
    sizes = {candidate.source: request.rules.taken(candidate.file) for candidate in choice.wanted}
    return Survey(listings, choice, size, skipped, memory, sizes, journal)


def memory_bytes() -> int:
    """How much memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _with_less(rules: Rules, taken: int) -> Rules:
    return replace(rules, total=max(rules.total - taken, 0))


def _journal(request: Request) -> Journal:
    """Plain lines and no fields, because a field holds whole command lines with whatever was typed there."""
    return Journal(request.rules.since, request.until, request.rules.largest)


def _no_memory(request: Request) -> str:
    size = memory_bytes()
    if not any(shutil.which(name) for name in DUMPERS):
        return f"the host has no program that dumps memory ({', '.join(DUMPERS)})"
    return f"{size} bytes, more than may be taken in all" if size > request.rules.total else ""


def take(request: Request, snapshot: Snapshot) -> Choice:
    """Write all of it into the snapshot; return the choice of files, its `skipped` being all that is not there."""
    skipped: list[Skipped] = []
    for name in host_facts.FACTS:
        try:
            text = host_facts.text(name)
            snapshot.add(f"facts/{name}.txt", name, [text.encode("utf-8", "backslashreplace")])
            if host_facts.CUT in text:
                snapshot.note(f"no more than {host_facts.MOST} bytes of each of its parts")
        except (Failure, OSError) as error:
            skipped.append(Skipped(name, str(error)))
    for step in (_take_memory, _take_journal):
        if reason := step(request, snapshot):
            skipped.append(Skipped(step.__name__.removeprefix("_take_"), reason))
    choice = selection.choose(selection.survey(request.rules), _with_less(request.rules, snapshot.size))
    for candidate in choice.wanted:
        if reason := take_file(candidate, request.rules, snapshot):
            skipped.append(Skipped(candidate.source, reason))
    return Choice([], [*skipped, *choice.skipped], choice.older)


def _take_memory(request: Request, snapshot: Snapshot) -> str:
    """Why there is no dump of the memory that was asked for, or ''."""
    if not request.memory:
        return ""
    if why := _no_memory(request):
        return why
    target = os.path.join(snapshot.folder, "memory")
    try:
        with streams.Program(["avml", target], MEMORY_SECONDS) as program:
            list(program.pieces(1 << 20))
        with open(target, "rb") as file:
            snapshot.add("memory.lime", "memory", iter(lambda: file.read(trees.PIECE), b""))
    except (Failure, OSError) as error:
        return str(error)
    finally:
        if paths.exists(target):
            os.unlink(target)
    return ""


def _take_journal(request: Request, snapshot: Snapshot) -> str:
    """Why there is no journal, or ''."""
    journal = _journal(request)
    try:
        journal.read(request.units, snapshot.folder)
        if not journal.entries:
            nothing = "it has nothing since then" + (f" of {', '.join(request.units)}" if request.units else "")
            return "; ".join([nothing, *journal.unseen()])
        snapshot.add("journal.log", "journal", journal.pieces())
    except (Failure, OSError) as error:
        return str(error)
    finally:
        journal.close()
    snapshot.note("; ".join(journal.notes()))
    return ""


def take_file(candidate: Candidate, rules: Rules, snapshot: Snapshot) -> str:
    """Copy a file as it was when it was opened, parts of it where it is too large; return why it could not be, or ''."""
    try:
        with trees.reading(candidate.root, candidate.file.path) as reading:
            size = reading.file.bytes
            cut = cuts.cut(reading.descriptor, os.path.basename(candidate.source), size, rules.largest)
            if cut.bytes > rules.total - snapshot.size:
                return f"too much in all: {cut.bytes} bytes of it, and {max(rules.total - snapshot.size, 0)} are left"
            name = f"files/{evidence_names.safe(candidate.source)}"
            kept = snapshot.add(name, candidate.source, _pieces(reading.descriptor, cut.extents))
            note, _sound = reading.meanwhile(size if kept.size == cut.bytes else kept.size)
            replaced = "" if reading.file.inode == candidate.file.inode else "another file than a moment before"
    except OSError as error:
        return trees.reason_of(error)
    snapshot.note("; ".join(remark for remark in (cut.note, replaced, note) if remark), cut.extents if cut.note else [])
    return ""


def _pieces(descriptor: int, extents: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """What is in these parts of a file, or up to its end where that comes first."""
    for begin, length in extents:
        end = begin + length
        while begin < end and (piece := os.pread(descriptor, min(trees.PIECE, end - begin), begin)):
            begin += len(piece)
            yield piece


def listing(request: Request, snapshot: Snapshot, choice: Choice) -> str:
    """captured.json: what was taken from where, and what was not and why."""
    head = {
        "schema": "irctl/captured/1",
        "host": os.uname().nodename,
        "begun": host_facts.utc(request.until),
        "ended": host_facts.utc(time.time()),
        "since": host_facts.utc(request.rules.since),
        "roots": [evidence_names.shown(root) for root in request.rules.roots],
        "paths": [evidence_names.shown(path) for path in request.rules.paths],
    }
    kept = [_entry(piece) for piece in snapshot.kept]
    return json.dumps({**head, "kept": kept, **left_out(choice)}, indent=1, ensure_ascii=False) + "\n"


def _entry(piece: Piece) -> dict[str, Any]:
    source = evidence_names.shown(piece.source)
    entry = {"name": piece.name, "source": source, "bytes": piece.size, "sha256": piece.sha256, "note": piece.note}
    return {**entry, "extents": piece.extents} if piece.extents else entry


def left_out(choice: Choice) -> dict[str, Any]:
    """What is not captured, with its reason, as lists that have an end; `older` were last written before."""
    listed = [{"source": evidence_names.shown(one.path), "reason": one.reason} for one in choice.skipped[: selection.MOST_SKIPS]]
    return {"skipped": listed, "unlisted": len(choice.skipped) - len(listed), "older": choice.older}


def preview(survey: Survey) -> str:
    """would-capture.json: the same, of a dry run, with sizes instead of hashes."""
    files = [{"source": evidence_names.shown(source), "bytes": size} for source, size in survey.sizes.items()]
    memory = {"memory": survey.memory} if survey.memory else {}
    parts = {"facts": list(host_facts.FACTS), **memory, "journal": max(survey.journal, 0), "files": files}
    choice = Choice([], [*survey.skipped, *survey.choice.skipped], survey.choice.older)
    return json.dumps({"schema": "irctl/would-capture/1", **parts, **left_out(choice)}, indent=1, ensure_ascii=False) + "\n"
