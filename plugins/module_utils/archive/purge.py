"""What may be purged, as a list of exact files that people can read and approve; and why a list must not be carried out. Pure.

A line of the list is the sha256 in hex, two blanks, and the whole path, as sha256sum writes it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.holdings import Entry, Holdings
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.subjects import Subject
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, plain
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

LINE = re.compile(r"([0-9a-f]{64})  (/.+)", re.ASCII | re.DOTALL)
LARGEST_LIST = 64 << 20  # bytes
APPROVERS = 2


@dataclass(frozen=True)
class Line:
    """One file of a list."""

    sha256: str
    path: str


@dataclass(frozen=True)
class Doomed:
    """A file that a list names: where it lies, what it is now (None where it is gone), and its entry in the archive's manifest."""

    line: Line
    subject: Subject
    path: str  # within its subject
    file: File | None
    entry: Entry


def text(lines: Iterable[Line]) -> str:
    return "".join(f"{line.sha256}  {line.path}\n" for line in sorted(lines, key=lambda line: line.path))


def can_stand_in_a_list(path: str) -> bool:
    return plain(path) == path


def parsed(content: bytes, sha256: str) -> list[Line]:
    """The lines of a list whose sha256 this is. Raises ValueError with the number of the line that is none."""
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256.lower():
        raise ValueError(f"list_hash: the list is another: its sha256 is {actual} (got '{printable(sha256, 80)}')")
    lines, seen = [], set()
    try:
        texts = content.decode().split("\n")
    except UnicodeDecodeError:
        raise ValueError("list: it is not text") from None
    if texts.pop():
        raise ValueError("list: its last line has no end; it was cut short")
    for number, text in enumerate(texts, 1):
        match = LINE.fullmatch(text)
        path = match[2] if match else ""
        climbs = any(part in ("", ".", "..") for part in path.split("/")[1:])
        if not match or path in seen or climbs or not can_stand_in_a_list(path):
            raise ValueError(f"list: line {number} is not a sha256 and the plain path of a file (got '{printable(text, 80)}')")
        seen.add(path)
        lines.append(Line(match[1], path))
    if not lines:
        raise ValueError("list: it names no file")
    return lines


def owner(path: str, subjects: Mapping[str, Subject]) -> tuple[Subject, str] | None:
    """The subject by whose root a path begins, and the path within it."""
    parts = path.split("/")
    for end in range(len(parts) - 1, 1, -1):
        if subject := subjects.get("/".join(parts[:end])):
            return subject, "/".join(parts[end:])
    return None


def archived_entry(holdings: Holdings, path: str, sha256: str) -> Entry | None:
    """The entry of a file whose very content the archive's newest manifest has, and whose object is there."""
    entry = holdings.entries.get(plain(path))
    return entry if entry and entry["sha256"] == sha256 and holdings.has(entry) else None


def unapproved(record: Mapping[str, Any], sha256: str) -> str:
    """Why the record of a run does not say that two people in two roles approved this very list; '' where it does."""
    try:
        approval, plan = record["approval"], record["plan"]
        if plan["remediation"] != "purge-evidence":
            return "it is the record of another remediation"
        requester, hosts = approval.get("request", {}).get("requester", ""), plan["hosts"].values()
        pairs = {(one["role"], one["principal"]) for one in approval.get("approvals", []) if one["principal"] != requester}
        named = {str(settings.get("purge_evidence_list_hash")).lower() for settings in hosts}
        needed = set(approval.get("needed", []))
    except (KeyError, TypeError, AttributeError):
        return "it is not the record of a run"
    roles, people = {role for role, _who in pairs}, {who for _role, who in pairs}
    if len(roles) < APPROVERS or len(people) < APPROVERS or not _each_another(sorted(needed), pairs):
        return f"it names {len(people)} of {APPROVERS} people, in as many roles, who approved this"
    return "" if named == {sha256.lower()} else "what was approved is another list"


def _each_another(roles: list[str], approved: set[tuple[str, str]]) -> bool:
    """Whether there is somebody else for each of these roles."""
    if not roles:
        return True
    first, *rest = roles
    takers = [who for role, who in approved if role == first]
    return any(_each_another(rest, {pair for pair in approved if pair[1] != who}) for who in takers)


def on_hold(subject: Subject) -> str:
    return f"on legal hold: {printable(subject.held, 80)}"
