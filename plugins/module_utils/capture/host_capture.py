"""Capture a host's evidence into a snapshot, in the order in which it vanishes; what is not to be had is listed with its reason."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, trees
from ansible_collections.irctl.runbooks.plugins.module_utils.capture import evidence_names, host_facts, selection, streams
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.selection import Choice, Rules, Wanted
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.snapshots import Kept, Snapshot
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import Found, Left

JOURNAL_SECONDS = 300.0
MEMORY_SECONDS = 3600.0
DUMPERS = ("avml",)


@dataclass(frozen=True)
class Wish:
    """What is asked for. `until` is now; the journal and the choice of files are of that moment."""

    rules: Rules
    until: float
    units: tuple[str, ...] = ()
    memory: bool = False


@dataclass
class Look:
    """What there is to capture. `journal` is its size in bytes, or -1 where there is none to be had; `memory` that of a dump."""

    found: dict[str, Found]
    choice: Choice
    journal: int
    skipped: list[Left] = field(default_factory=list)
    memory: int = 0
    sizes: dict[str, int] = field(default_factory=dict)

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


def look(wish: Wish) -> Look:
    """Find out what there is, without a copy of anything."""
    found, skipped = selection.survey(wish.rules), []
    try:
        journal = min(streams.length(_journal(wish), JOURNAL_SECONDS), wish.rules.largest)
    except Failure as error:
        journal, skipped = -1, [Left("journal", str(error))]
    memory = memory_bytes() if wish.memory else 0
    if wish.memory and (why := _no_memory(wish)):
        memory, skipped = 0, [*skipped, Left("memory", why)]
    choice = selection.choose(found, _with_less(wish.rules, max(journal, 0) + memory))
    sizes = {one.source: wish.rules.taken(one.file) for one in choice.wanted}
    return Look(found, choice, journal, skipped, memory, sizes)


def memory_bytes() -> int:
    """How much memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _with_less(rules: Rules, taken: int) -> Rules:
    return replace(rules, total=max(rules.total - taken, 0))


def _journal(wish: Wish) -> list[str]:
    """Plain lines and no fields, because a field holds whole command lines with whatever was typed there."""
    since, until = (f"@{moment:.0f}" for moment in (wish.rules.since, wish.until))
    units = [f"--unit={unit}" for unit in wish.units]
    return [
        "journalctl",
        "--no-pager",
        "--quiet",
        "--utc",
        "--output=short-iso-precise",
        f"--since={since}",
        f"--until={until}",
        *units,
    ]


def _no_memory(wish: Wish) -> str:
    size = memory_bytes()
    if not any(shutil.which(name) for name in DUMPERS):
        return f"the host has no program that dumps memory ({', '.join(DUMPERS)})"
    return f"{size} bytes, more than may be taken in all" if size > wish.rules.total else ""


def take(wish: Wish, snapshot: Snapshot) -> Choice:
    """Write all of it into the snapshot; return the choice of files, its `skipped` being all that is not there."""
    skipped: list[Left] = []
    for name in host_facts.FACTS:
        try:
            snapshot.add(f"facts/{name}.txt", name, [host_facts.text(name).encode("utf-8", "backslashreplace")])
        except (Failure, OSError) as error:
            skipped.append(Left(name, str(error)))
    for step in (_take_memory, _take_journal):
        if why := step(wish, snapshot):
            skipped.append(Left(step.__name__.removeprefix("_take_"), why))
    choice = selection.choose(selection.survey(wish.rules), _with_less(wish.rules, snapshot.size))
    for wanted in choice.wanted:
        if why := take_file(wanted, wish.rules, snapshot):
            skipped.append(Left(wanted.source, why))
    return Choice([], [*skipped, *choice.skipped], choice.older)


def _take_memory(wish: Wish, snapshot: Snapshot) -> str:
    """Why there is no dump of the memory that was asked for, or ''."""
    if not wish.memory:
        return ""
    if why := _no_memory(wish):
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


def _take_journal(wish: Wish, snapshot: Snapshot) -> str:
    words, most = _journal(wish), wish.rules.largest
    try:
        size = streams.length(words, JOURNAL_SECONDS)
        if not size:
            return "it has nothing since then" + (f" of {', '.join(wish.units)}" if wish.units else "")
        kept = snapshot.add("journal.log", "journal", streams.end(words, JOURNAL_SECONDS, max(size - most, 0), most))
    except Failure as error:
        return str(error)
    if size > most:
        snapshot.note(f"its last {kept.size} of {size} bytes")
    return ""


def take_file(wanted: Wanted, rules: Rules, snapshot: Snapshot) -> str:
    """Copy a file as it was when it was opened, the end of it where it is too large; return why it could not be, or ''."""
    try:
        with trees.reading(wanted.root, wanted.file.path) as one:
            begin = max(one.file.bytes - rules.largest, 0)
            name = f"files/{evidence_names.safe(wanted.source)}"
            kept = snapshot.add(name, wanted.source, _pieces(one.descriptor, begin, one.file.bytes))
            note, _size = one.meanwhile(begin + kept.size)
            replaced = "" if one.file.inode == wanted.file.inode else "another file than a moment before"
    except OSError as error:
        return trees.why(error)
    cut = f"its last {kept.size} of {one.file.bytes} bytes" if begin else ""
    if notes := "; ".join(said for said in (cut, replaced, note) if said):
        snapshot.note(notes)
    return ""


def _pieces(descriptor: int, begin: int, end: int) -> Iterator[bytes]:
    """What is between two places of a file, or up to its end where that comes first."""
    os.lseek(descriptor, begin, os.SEEK_SET)
    while begin < end and (piece := os.read(descriptor, min(trees.PIECE, end - begin))):
        begin += len(piece)
        yield piece


def listing(wish: Wish, snapshot: Snapshot, choice: Choice) -> str:
    """captured.json: what was taken from where, and what was not and why."""
    head = {
        "schema": "irctl/captured/1",
        "host": os.uname().nodename,
        "begun": host_facts.utc(wish.until),
        "ended": host_facts.utc(time.time()),
        "since": host_facts.utc(wish.rules.since),
        "roots": [evidence_names.shown(root) for root in wish.rules.roots],
        "paths": [evidence_names.shown(path) for path in wish.rules.paths],
    }
    kept = [_entry(one) for one in snapshot.kept]
    return json.dumps({**head, "kept": kept, **left_out(choice)}, indent=1, ensure_ascii=False) + "\n"


def _entry(one: Kept) -> dict[str, Any]:
    source = evidence_names.shown(one.source)
    return {"name": one.name, "source": source, "bytes": one.size, "sha256": one.sha256, "note": one.note}


def left_out(choice: Choice) -> dict[str, Any]:
    """What is not captured, with its reason, as lists that have an end; `older` were last written before."""
    listed = [{"source": evidence_names.shown(one.path), "reason": one.why} for one in choice.skipped[: selection.MOST_SKIPS]]
    return {"skipped": listed, "unlisted": len(choice.skipped) - len(listed), "older": choice.older}


def preview(found: Look) -> str:
    """would-capture.json: the same, of a dry run, with sizes instead of hashes."""
    files = [{"source": evidence_names.shown(source), "bytes": size} for source, size in found.sizes.items()]
    memory = {"memory": found.memory} if found.memory else {}
    parts = {"facts": list(host_facts.FACTS), **memory, "journal": max(found.journal, 0), "files": files}
    choice = Choice([], [*found.skipped, *found.choice.skipped], found.choice.older)
    return json.dumps({"schema": "irctl/would-capture/1", **parts, **left_out(choice)}, indent=1, ensure_ascii=False) + "\n"
