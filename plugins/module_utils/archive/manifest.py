"""An archive of evidence in an object store: what is to go there, what is there, and the manifest that says so. Pure.

Below the prefix of the archive lie files/NAME/PATH for each file and manifests/NAME/NUMBER.json for each state of NAME that was
archived whole. Nothing is ever overwritten: content that has changed since goes to files/NAME/PATH~HASH.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import Sum
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.object_store import Lock, Stored
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.kinds import prefix as prefix_kind
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, Found, Left
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

SCHEMA = "irctl/archive/1"
LONGEST_KEY = 1024 - 33  # bytes; the rest is for what changed content is told apart by

Entry = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """What is archived under one name: an incident's folder, or a tree. `held` is why it may not be deleted, '' for no hold."""

    name: str
    root: str
    held: str = ""
    stays: frozenset[str] = frozenset()  # files that are never removed here


@dataclass(frozen=True)
class Wish:
    """What the arguments ask for."""

    prefix: str
    retain: int = 0  # seconds
    mode: str = ""
    remove: bool = False


@dataclass
class Kept:
    """What the archive holds of one subject: its newest manifest, where there is one, and all objects by key."""

    objects: dict[str, Stored] = field(default_factory=dict)
    number: int = 0
    sha256: str = ""
    manifest: dict[str, Any] = field(default_factory=dict)
    manifests: dict[int, str] = field(default_factory=dict)  # the keys of all of them by their numbers

    @property
    def entries(self) -> dict[str, Entry]:
        return {entry["path"]: entry for entry in self.manifest.get("files", [])}

    @property
    def lock(self) -> Lock:
        return Lock(**self.manifest["lock"]) if self.manifest else Lock()

    def has(self, entry: Entry) -> bool:
        """Whether the object of this entry is the one that was proved when the manifest was written."""
        stored = self.objects.get(entry["key"])
        return stored is not None and (stored.bytes, stored.etag) == (entry["bytes"], entry["etag"])

    @property
    def lost(self) -> list[str]:
        """The paths whose objects are gone, or are others."""
        return [entry["path"] for entry in self.manifest.get("files", []) if not self.has(entry)]


@dataclass
class Plan:
    """What is to be done for one subject."""

    subject: Subject
    kept: Kept
    lock: Lock  # of what was archived earlier
    new: Lock  # of what is not in the archive yet
    send: list[File]
    same: list[File]
    left: list[Left]
    looked: float  # seconds since 1970
    relock: bool = False

    @property
    def changes(self) -> bool:
        return bool(self.send or self.relock)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.send)


@dataclass(frozen=True)
class Sent:
    """A file of which the store was seen to hold what was read. `note` is what happened to the file meanwhile."""

    file: File
    key: str
    sum: Sum
    etag: str
    note: str = ""
    new: bool = True
    believed: bool = True  # whether the store was seen to look at checksums

    def entry(self) -> Entry:
        found = {
            "path": plain(self.file.path),
            "key": self.key,
            "bytes": self.sum.bytes,
            "sha256": self.sum.sha256,
            "etag": self.etag,
        }
        more = {"sha256_of_parts": self.sum.of_parts, "md5": self.sum.md5, "note": self.note, "believed": self.believed}
        return {**found, "mtime": self.file.mtime, **{name: value for name, value in more.items() if value}}


def check_prefix(prefix: str) -> str:
    """Raises ValueError for a prefix that is not plain names joined by slashes."""
    try:
        return prefix_kind.check(prefix)
    except ValueError as error:
        raise ValueError(f"prefix: {error} (got '{printable(prefix, 80)}')") from None


def plain(path: str) -> str:
    """A path as text of one form: what is not plain in a name stands as %XX."""
    return "/".join(_plain(part) for part in path.split("/"))


def _plain(part: str) -> str:
    content = part.encode("utf-8", "surrogateescape")
    sound = part.isprintable() and not {"%", "\\"} & set(part) and content == part.encode("utf-8", "replace")
    return part if sound else quote(content)


def name_of_tree(root: str) -> str:
    return f"trees/{plain(root.strip('/'))}"


def file_key(prefix: str, name: str, path: str) -> str:
    return f"{prefix}/files/{name}/{plain(path)}"


def manifest_key(prefix: str, name: str, number: int) -> str:
    return f"{prefix}/manifests/{name}/{number:06}.json"


def number_of(prefix: str, name: str, key: str) -> int:
    """The number of a manifest by its key; 0 for what is none of this name's."""
    found = re.fullmatch(rf"{re.escape(f'{prefix}/manifests/{name}/')}([0-9]{{6}})\.json", key, re.ASCII)
    return int(found[1]) if found else 0


def keys_for(key: str, sha256: str) -> list[str]:
    """Where content may go, in this order: further ones for what finds other content under the ones before."""
    return [key, f"{key}~{sha256[:16]}", f"{key}~{sha256[:32]}"]


def utc(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def wanted_lock(subject: Subject, wish: Wish, kept: Kept, now: float) -> Lock:
    """How what was archived earlier shall be locked: never less than it is. Retention counts from when it was first asked for, so
    that a second run asks for no more; one that has ended is not asked for again.
    """
    before, hold = kept.lock, bool(subject.held)
    ended = before.until <= utc(now)  # or there never was one
    stays = Lock(hold=hold) if ended else Lock(before.mode, before.until, hold)
    mode = "COMPLIANCE" if stays.mode == "COMPLIANCE" else wish.mode.upper()
    enough = kept.manifest.get("retain", 0) >= wish.retain and (ended or before.mode == mode)
    return stays if enough or not wish.retain else Lock(mode, max(stays.until, utc(now + wish.retain)), hold)


def lock_of_new(lock: Lock, wish: Wish, now: float) -> Lock:
    """How what is not in the archive yet shall be locked: its retention counts from now."""
    return Lock(lock.mode or wish.mode.upper(), max(lock.until, utc(now + wish.retain)), lock.hold) if wish.retain else lock


def plan(subject: Subject, found: Found, kept: Kept, wish: Wish, now: float) -> Plan:
    """What has to be sent: all that the newest manifest does not have as it is now; to remove files, everything is read again."""
    entries = kept.entries
    same: list[File] = []
    send: list[File] = []
    for file in found.files:
        entry = entries.get(plain(file.path))
        known = entry and (entry["bytes"], entry["mtime"]) == (file.bytes, file.mtime) and kept.has(entry)
        goes = wish.remove and not subject.held and file.path not in subject.stays
        (same if known and not goes else send).append(file)
    lock = wanted_lock(subject, wish, kept, now)
    relock = bool(kept.manifest) and not kept.lock.covers(lock)
    return Plan(subject, kept, lock, lock_of_new(lock, wish, now), send, same, found.left, now, relock)


def missing(one: Plan, older: int) -> list[str]:
    """What was here, and old enough, when the newest manifest was made, and is not in it; what came later has its own run."""
    looked, known = one.kept.manifest.get("looked", math.inf), one.kept.entries
    limit = math.inf if one.subject.stays else looked - older
    there = [file for file in one.send if file.ctime / 1e9 < looked and file.mtime / 1e9 < limit]
    return [path for path in (plain(file.path) for file in there) if path not in known]


def refusals(plans: Iterable[Plan], wish: Wish, *, locks: bool, limit: int, limit_bytes: int) -> list[str]:
    """Why this must not be done, each a sentence."""
    whole = list(plans)
    said = []
    files, size = sum(len(one.send) for one in whole), sum(one.bytes for one in whole)
    if files > limit:
        said.append(f"{files} files are to be sent and the limit is {limit}. Raise --max, or narrow with --older-than.")
    if size > limit_bytes:
        said.append(f"{size} bytes are to be sent and the limit is {limit_bytes}. Raise --max-gib, or narrow with --older-than.")
    if wish.retain and not locks:
        said.append("The bucket has no Object Lock, so nothing can be retained there. Enable it, or leave out --retain.")
    held = [one.subject.name for one in whole if one.subject.held]
    if held and not locks:
        said.append(f"{held[0]} is on legal hold and the bucket has no Object Lock, so its copy would not be on hold. Enable it.")
    for one in whole:
        long = [file.path for file in one.send if len(file_key(wish.prefix, one.subject.name, file.path).encode()) > LONGEST_KEY]
        if long:
            said.append(f"A name is too long for a key of the store: {printable(plain(long[0]), 120)}.")
        if lost := set(one.kept.lost) - {plain(file.path) for file in one.send}:
            name = printable(f"{one.subject.name}/{min(lost)}", 200)
            said.append(f"The archive has lost {len(lost)} of its objects, or they are others by now: {name}.")
    return said


def manifest(one: Plan, sent: Iterable[Sent], wish: Wish, now: float) -> bytes:
    """The manifest after this: what was sent, what was the same, and what was archived earlier and is no longer here."""
    entries = {**one.kept.entries, **{plain(done.file.path): done.entry() for done in sent}}
    document = {
        "schema": SCHEMA,
        "name": one.subject.name,
        "number": one.kept.number + 1,
        "previous": one.kept.sha256,
        "at": utc(now),
        "looked": one.looked,
        "retain": max(wish.retain, one.kept.manifest.get("retain", 0)),
        "lock": {"mode": one.lock.mode, "until": one.lock.until, "hold": one.lock.hold or one.kept.lock.hold},
        "files": [entries[path] for path in sorted(entries)],
        "left_out": [{"path": plain(left.path), "why": left.why} for left in one.left],
    }
    return (json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def parsed(content: bytes, key: str, name: str, number: int) -> dict[str, Any]:
    """A manifest from the store. Raises Failure for what is none."""
    try:
        found: dict[str, Any] = json.loads(content)
        sound = (found["schema"], found["name"], found["number"]) == (SCHEMA, name, number)
        sound = sound and all(_is_entry(entry) for entry in found["files"]) and isinstance(found["retain"], int)
        sound = sound and isinstance(found["looked"], float)
        Lock(**found["lock"])
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise Failure(f"{printable(key, 200)} in the store is not a manifest of this archive.")
    return found


def _is_entry(entry: Mapping[str, Any]) -> bool:
    texts = all(isinstance(entry[part], str) for part in ("path", "key", "sha256", "etag"))
    return texts and all(isinstance(entry[part], int) and not isinstance(entry[part], bool) for part in ("bytes", "mtime"))


def wanted_of(entry: Entry) -> Sum:
    return Sum(entry["bytes"], entry["sha256"], entry.get("sha256_of_parts", ""), entry.get("md5", ""))
