"""What is to be archived: which files are sent, how they are locked, why that must be refused, and the manifest after it. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import lifecycle
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.bucket_settings import Expiry
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import Sum
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.holdings import SCHEMA, Entry, Holdings
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.keys import LONGEST, file_key, manifest_key, plain
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock, moment, utc
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.subjects import Subject
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, Listing, Skipped
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable


@dataclass(frozen=True)
class Request:
    """What the arguments ask for. `retain` is in seconds."""

    prefix: str
    retain: int = 0
    mode: str = ""
    remove: bool = False
    min_age: int = 0  # seconds that an object must have been in the store before the local file goes


@dataclass
class Plan:
    """What is to be done for one subject."""

    subject: Subject
    holdings: Holdings
    lock: Lock  # of what was archived earlier
    new_lock: Lock  # of what is not in the archive yet
    send: list[File]
    unchanged: list[File]
    skipped: list[Skipped]
    looked: float  # seconds since 1970
    relock: bool = False

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.send)

    @property
    def removable(self) -> list[File]:
        """What may be removed here once the archive has it."""
        return [] if self.subject.held else [file for file in self.send if file.path not in self.subject.stays]


@dataclass(frozen=True)
class Sent:
    """A file that the store was seen to hold as it was read. `note` is what happened to the file meanwhile."""

    file: File
    key: str
    sum: Sum
    etag: str
    note: str = ""
    new: bool = True
    trusted: bool = True  # whether the store was seen to look at checksums

    def entry(self) -> Entry:
        """Its entry in the manifest."""
        required = {
            "path": plain(self.file.path),
            "key": self.key,
            "bytes": self.sum.bytes,
            "sha256": self.sum.sha256,
            "etag": self.etag,
            "mtime": self.file.mtime,
        }
        optional = {"sha256_of_parts": self.sum.of_parts, "md5": self.sum.md5, "note": self.note, "believed": self.trusted}
        return {**required, **{name: value for name, value in optional.items() if value}}


def expected_lock(subject: Subject, request: Request, holdings: Holdings, now: float) -> Lock:
    """How what was archived earlier shall be locked: never less than it is. Retention counts from when it was first asked for, so
    that a second run asks for no more; one that has ended is not asked for again.
    """
    before, hold = holdings.lock, bool(subject.held)
    ended = before.until <= utc(now)  # or there never was one
    current = Lock(hold=hold) if ended else Lock(before.mode, before.until, hold)
    mode = "COMPLIANCE" if current.mode == "COMPLIANCE" else request.mode.upper()
    enough = holdings.manifest.get("retain", 0) >= request.retain and (ended or before.mode == mode)
    return current if enough or not request.retain else Lock(mode, max(current.until, utc(now + request.retain)), hold)


def lock_of_new(lock: Lock, request: Request, now: float) -> Lock:
    """How what is not in the archive yet shall be locked: its retention counts from now."""
    if not request.retain:
        return lock
    return Lock(lock.mode or request.mode.upper(), max(lock.until, utc(now + request.retain)), lock.hold)


def plan(subject: Subject, listing: Listing, holdings: Holdings, request: Request, now: float) -> Plan:
    """What has to be sent: all that the newest manifest does not have as it is now; to remove files, everything is read again."""
    entries = holdings.entries
    unchanged: list[File] = []
    send: list[File] = []
    for file in listing.files:
        entry = entries.get(plain(file.path))
        known = entry and (entry["bytes"], entry["mtime"]) == (file.bytes, file.mtime) and holdings.has(entry)
        removed = request.remove and not subject.held and file.path not in subject.stays
        (unchanged if known and not removed else send).append(file)
    lock = expected_lock(subject, request, holdings, now)
    relock = bool(holdings.manifest) and not holdings.lock.covers(lock)
    return Plan(subject, holdings, lock, lock_of_new(lock, request, now), send, unchanged, listing.skipped, now, relock)


def missing(plan: Plan, older: int) -> list[str]:
    """What was here, and old enough, when the newest manifest was made, and is not in it; what came later has its own run."""
    looked, known = plan.holdings.manifest.get("looked", math.inf), plan.holdings.entries
    limit = math.inf if plan.subject.stays else looked - older
    due = [file for file in plan.send if file.ctime / 1e9 < looked and file.mtime / 1e9 < limit]
    return [path for path in (plain(file.path) for file in due) if path not in known]


def refusals(
    plans: Iterable[Plan], request: Request, *, has_object_lock: bool, expiry: Expiry | None, limit: int, limit_bytes: int
) -> list[str]:
    """Why this must not be done, each a sentence. `expiry` is what the bucket lets expire, where local files are to go."""
    every = list(plans)
    reasons = _over_limits(every, limit, limit_bytes)
    if request.retain and not has_object_lock:
        reasons.append("The bucket has no Object Lock, so nothing can be retained there. Enable it, or leave out --retain.")
    held = [plan.subject.name for plan in every if plan.subject.held]
    if held and not has_object_lock:
        reasons.append(
            f"{held[0]} is on legal hold and the bucket has no Object Lock, so its copy would not be on hold. Enable it."
        )
    if not has_object_lock:
        reasons += [reason for plan in every if (reason := locked_elsewhere(plan.holdings, plan.subject.name, plan.looked))]
    if expiry and expiry.refused:
        reasons.append(expiry.refused)
    for plan in every:
        reasons += _of_one(plan, request)
        reasons += before_removal(plan, request, expiry) if expiry else []
    return reasons


def locked_elsewhere(holdings: Holdings, name: str, now: float) -> str:
    """Why a bucket without Object Lock is not the archive that the newest manifest was written in, or ''."""
    lock = holdings.last_lock
    if not holdings.manifest or not lock.in_force(now):
        return ""
    how = "on legal hold" if lock.hold else f"retained until {printable(lock.until, 40)}"
    return (
        f"{name} is {how} by its newest manifest, and the bucket has no Object Lock: this is a copy of the archive, and "
        "nothing keeps what is in it. Name the bucket that it was archived in, or use another prefix."
    )


def before_removal(plan: Plan, request: Request, expiry: Expiry) -> list[str]:
    """Why no local file may go for what the archive would be left with."""
    name = plan.subject.name
    if lost := plan.holdings.lost_manifests:
        return [f"The archive has lost manifest {lost[0]} of {name}, so nothing of it is removed here. Look for who deleted it."]
    if gone := plan.holdings.lost:
        example = printable(f"{name}/{gone[0]}", 200)
        return [
            f"The archive has lost {len(gone)} of its objects, or they are others by now, so nothing of {name} is removed here: "
            f"{example}. Look for who did that; without --remove-local they are archived again."
        ]
    for key, made, lock in _relied_on(plan, request):
        if rule := lifecycle.too_early(expiry.rules, key, made, moment(lock.until), plan.looked):
            what = f"the lifecycle rule {printable(rule.name, 60)} of the bucket deletes {printable(key, 200)}"
            when = "before its retention ends" if lock.until > utc(plan.looked) else "within a year, and nothing retains it"
            return [f"No local file may go: {what} {when}. Take the rule off this prefix, or leave out --remove-local."]
    return []


def _relied_on(plan: Plan, request: Request) -> Iterator[tuple[str, float, Lock]]:
    """The keys of what would be left in the archive alone, when each was made, and how it is or will be locked."""
    entries, objects = plan.holdings.entries, plan.holdings.objects
    if plan.removable:
        yield manifest_key(request.prefix, plan.subject.name, plan.holdings.number + 1), plan.looked, plan.new_lock
    for file in plan.removable:
        entry = entries.get(plain(file.path))
        key = entry["key"] if entry else file_key(request.prefix, plan.subject.name, file.path)
        stored = objects.get(key)
        yield key, (stored and stored.made) or plan.looked, plan.lock if entry else plan.new_lock


def _over_limits(plans: list[Plan], limit: int, limit_bytes: int) -> list[str]:
    reasons = []
    files, size = sum(len(plan.send) for plan in plans), sum(plan.bytes for plan in plans)
    if files > limit:
        reasons.append(f"{files} files are to be sent and the limit is {limit}. Raise --max, or narrow with --older-than.")
    if size > limit_bytes:
        reasons.append(f"{size} bytes are to be sent and the limit is {limit_bytes}. Raise --max-gib, or narrow with --older-than.")
    return reasons


def _of_one(plan: Plan, request: Request) -> list[str]:
    reasons = []
    name = plan.subject.name
    long = [file.path for file in plan.send if len(file_key(request.prefix, name, file.path).encode()) > LONGEST]
    if long:
        reasons.append(f"A name is too long for a key of the store: {printable(plain(long[0]), 120)}.")
    if lost := set(plan.holdings.lost) - {plain(file.path) for file in plan.send}:
        example = printable(f"{name}/{min(lost)}", 200)
        reasons.append(f"The archive has lost {len(lost)} of its objects, or they are others by now: {example}.")
    return reasons


def manifest(plan: Plan, sent: Iterable[Sent], request: Request, now: float) -> bytes:
    """The manifest after this: what was sent, what was unchanged, and what was archived earlier and is no longer here."""
    holdings = plan.holdings
    entries = {**holdings.entries, **{plain(done.file.path): done.entry() for done in sent}}
    document = {
        "schema": SCHEMA,
        "name": plan.subject.name,
        "number": holdings.number + 1,
        "previous": holdings.sha256,
        "at": utc(now),
        "looked": plan.looked,
        "retain": max(request.retain, holdings.manifest.get("retain", 0)),
        "retained_until": max(plan.lock.until, plan.new_lock.until, holdings.last_lock.until),
        "lock": {"mode": plan.lock.mode, "until": plan.lock.until, "hold": plan.lock.hold or holdings.lock.hold},
        "files": [entries[path] for path in sorted(entries)],
        "left_out": [{"path": plain(skipped.path), "why": skipped.reason} for skipped in plan.skipped],
    }
    return (json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
