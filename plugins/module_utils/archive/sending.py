"""Send evidence to an archive, prove that it is there, and only then, where that is asked for, remove it here."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, trees
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import checksums, incident_journal
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import manifest as archive
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import CutShort, Sum
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.incident_journal import (
    JOURNAL,
    MANIFEST,
    RECORD,
    Broken,
    Standing,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.manifest import Kept, Plan, Sent, Subject, Wish
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.object_store import AlreadyThere, Store, Stored
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, Found, Left, Reading
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

SMALL = 4 << 20  # bytes; what is larger is sent as it is read
WHOLE = 1 << 30  # bytes; what is larger goes in parts
AT_ONCE = 16  # small files under way
LARGEST_JOURNAL = 64 << 20
STREAMS = 4  # tries of one that breaks off
TRIES = 2  # of a file that was written to while it was read


class Failed(Left):
    """What should have been taken, and could not be."""


@dataclass
class Done:
    """What became of one subject."""

    sent: list[Sent] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    locked: int = 0
    removed: list[str] = field(default_factory=list)
    spared: list[Left] = field(default_factory=list)
    manifest: str = ""


# What there is here


def subjects(home: str, older: int, now: float) -> tuple[list[Subject], list[Left]]:
    """The incidents of a home that are closed for so many seconds, and those of which that cannot be told. Raises Failure."""
    root = os.path.join(home, "incidents")
    try:
        names = sorted(name for name in os.listdir(root) if incident_journal.NAME.fullmatch(name))
    except OSError as error:
        raise Failure(
            f"{printable(root)} is not the incidents of an irctl home: {trees.why(error)}. Name a folder with --tree."
        ) from None
    found, aside = [], []
    for name in names:
        try:
            standing = standing_of(os.path.join(root, name))
        except (Broken, OSError) as error:
            aside.append(Left(name, error.strerror or "cannot be read" if isinstance(error, OSError) else str(error)))
            continue
        if standing.closed is None or standing.closed >= now - older:
            continue
        if standing.last_run > _packed(os.path.join(root, name)):
            aside.append(Left(name, f"the records of its runs are not in it; run: irctl incident pack {name}"))
        else:
            found.append(Subject(f"incidents/{name}", os.path.join(root, name), standing.held, frozenset(RECORD)))
    return found, aside


def _packed(root: str) -> int:
    """Up to which line of its journal an incident is packed, with all of its runs until then; 0 where it is not."""
    try:
        with trees.reading(root, MANIFEST) as one:
            about = json.loads(b"".join(one.pieces(trees.PIECE)))
        return int(about["journal"]["seq"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0


def standing_of(root: str) -> Standing:
    """How an incident stands by its journal. Raises Broken or OSError."""
    with trees.reading(root, JOURNAL) as one:
        if one.file.bytes > LARGEST_JOURNAL:
            raise Broken("its journal is too large")
        return incident_journal.standing(b"".join(one.pieces(trees.PIECE)))


def tree(path: str, home: str) -> Subject:
    """A folder as a subject. Raises ValueError where it is, holds or lies in a home of irctl, whose holds would be passed by."""
    root = os.path.realpath(path)
    if not os.path.isabs(path) or root == "/":
        raise ValueError(f"tree: the whole path of a folder is needed, and not '/' (got '{printable(path, 80)}')")
    home = os.path.realpath(home) if home else ""
    if (home and _overlaps(root, home)) or any(_is_home(folder) for folder in _above(root) if folder != home):
        why = "this is of an irctl home, whose incidents go by themselves, without --tree"
        raise ValueError(f"tree: {why} (got '{printable(path, 80)}')")
    return Subject(archive.name_of_tree(root), root)


def _overlaps(root: str, home: str) -> bool:
    """Whether a folder is, holds or lies in the records of a home; what else is below a home is not its evidence."""
    records = [os.path.join(home, name) for name in ("incidents", "runs")]
    there = [folder for folder in records if paths.is_folder(folder)]
    return any(os.path.commonpath([root, folder]) in (root, folder) for folder in there)


def _above(root: str) -> Iterator[str]:
    yield root
    while root != "/":
        root = os.path.dirname(root)
        yield root


def _is_home(folder: str) -> bool:
    """Whether this is a home, or an incident in one."""
    return paths.has_name(os.path.join(folder, JOURNAL))


def files_of(subject: Subject, before: float | None) -> Found:
    """What there is of a subject; of a tree, what was last written before that, and nothing of an irctl home that lies in it."""
    found = trees.walk(subject.root, None if subject.stays else before)
    if subject.stays:
        return found
    homes = {file.path.removesuffix(JOURNAL) for file in trees.walk(subject.root).files if file.path.rpartition("/")[2] == JOURNAL}
    inside = {file for file in found.files if file.path.startswith(tuple(homes))} if homes else set()
    left = [Left(file.path, "of an irctl home") for file in found.files if file in inside]
    return Found([file for file in found.files if file not in inside], found.left + left)


# What there is in the archive


def kept(store: Store, prefix: str, name: str) -> Kept:
    """What the archive holds under a name, in a few requests."""
    found = Kept({stored.key: stored for stored in store.listed(f"{prefix}/files/{name}/")})
    manifests = {archive.number_of(prefix, name, stored.key): stored for stored in store.listed(f"{prefix}/manifests/{name}/")}
    manifests.pop(0, None)
    found.manifests = {number: stored.key for number, stored in manifests.items()}
    if manifests:
        found.number = max(manifests)
        key = manifests[found.number].key
        content = store.read(key)
        found.sha256 = checksums.sum_of(content).sha256
        found.manifest = archive.parsed(content, key, name, found.number)
    return found


def known_keys(store: Store, kept: Kept) -> set[str]:
    """The keys of a name's manifests, and of all that any of them tells of and is there: what has other content by now as well."""
    found = set(kept.manifests.values())
    for number, key in kept.manifests.items():
        told = archive.parsed(store.read(key), key, kept.manifest["name"], number)
        found |= {entry["key"] for entry in told["files"]} & set(kept.objects)
    return found


def prove(store: Store, kept: Kept) -> list[str]:
    """Ask the store for the checksum of every object of a manifest, and for the lock of what earlier ones tell of and of those;
    return the paths of what is not as the manifest says, of what is not in it the key.
    """

    def sound(entry: archive.Entry) -> bool:
        stored = store.holds(entry["key"], archive.wanted_of(entry), believed=entry.get("believed", False))
        return stored is not None and stored.lock.covers(kept.lock)

    def locked(key: str) -> bool:
        stored = store.look(key)
        return stored is not None and stored.lock.covers(kept.lock)

    entries = kept.manifest.get("files", [])
    more = sorted(known_keys(store, kept) - {entry["key"] for entry in entries})
    with ThreadPoolExecutor(AT_ONCE) as crew:
        bad = [entry["path"] for entry, good in zip(entries, crew.map(sound, entries), strict=True) if not good]
        return bad + [key for key, good in zip(more, crew.map(locked, more), strict=True) if not good]


# Sending


class Sending:
    """One subject under way."""

    def __init__(self, store: Store, one: Plan, wish: Wish) -> None:
        self._store, self._plan, self._wish = store, one, wish
        self._root, self._name = one.subject.root, one.subject.name
        self.done = Done(left=list(one.left))
        self._known = {entry["key"] for entry in one.kept.entries.values()}
        self._streams = True
        self._believed = True

    def carry_out(self) -> Done:
        """Send, prove, write the manifest, remove. Nothing is removed, and no manifest written, where a file failed."""
        one, done = self._plan, self.done
        if one.send:
            self._believed = self._store.verifies(self._wish.prefix)
        small = [file for file in one.send if file.bytes <= SMALL]
        with ThreadPoolExecutor(AT_ONCE) as crew:
            for sent in crew.map(self._send, small):
                self._take(sent)
        for file in one.send:
            if file.bytes > SMALL:
                self._take(self._send(file))
        if one.relock:
            self._lock_again()
        if done.failed:
            return done
        if self._news():
            done.manifest = self._write_manifest()
        if self._wish.remove and not one.subject.held:
            self._remove()
        return done

    def _news(self) -> bool:
        """Whether there is anything that the newest manifest does not say."""
        before = self._plan.kept.entries
        return self._plan.relock or any(before.get(archive.plain(sent.file.path)) != sent.entry() for sent in self.done.sent)

    def _take(self, sent: Sent | Left) -> None:
        if isinstance(sent, Sent):
            self.done.sent.append(sent)
        elif isinstance(sent, Failed):
            self.done.failed.append(sent)
        else:
            self.done.left.append(sent)

    def _send(self, file: File) -> Sent | Left:
        """Send one file; again where it was written to meanwhile."""
        try:
            for _try in range(TRIES):
                with trees.reading(self._root, file.path) as one:
                    try:
                        key, found, stored, new = self._send_open(one)
                    except CutShort as error:
                        note = str(error) or "cut short while it was read"
                        continue
                    note, sound = one.meanwhile(found.bytes)
                    if sound:
                        return Sent(one.file, key, found, stored.etag, note, new, self._believed)
        except FileNotFoundError:
            return Left(file.path, "gone before it was read")
        except OSError as error:
            if error.errno in trees.LINKS:
                return Left(file.path, f"no longer the file that it was: {trees.why(error)}")
            return Failed(file.path, trees.why(error))
        return Failed(file.path, f"{note}, twice")

    def _send_open(self, one: Reading) -> tuple[str, Sum, Stored, bool]:
        key = archive.file_key(self._wish.prefix, self._name, one.file.path)
        if one.file.bytes > SMALL:
            return self._send_large(one, key)
        content = b"".join(one.pieces(SMALL))
        found = checksums.sum_of(content)
        stored, new = self._place(key, found, lambda free: self._store.put(free, content, found, self._plan.new))
        return stored.key, found, stored, new

    def _send_large(self, one: Reading, key: str) -> tuple[str, Sum, Stored, bool]:
        """A free key is sent to as the file is read; where there is something already, it is hashed first."""
        if key not in self._plan.kept.objects:
            self._store.forget_parts(key)
            try:
                found = self._stream(one, key)
                return key, found, self._proved(key, found), True
            except AlreadyThere:
                pass
        one.rewind()
        found = checksums.sum_of_parts(one.pieces(checksums.part_size(one.file.bytes)))

        def again(free: str) -> None:
            one.rewind()
            self._store.forget_parts(free)
            if self._stream(one, free).sha256 != found.sha256:
                raise CutShort("written to while it was sent")

        stored, new = self._place(key, found, again)
        return stored.key, found, stored, new

    def _stream(self, one: Reading, key: str) -> Sum:
        """Send a file as it is read: whole where it is not too large for that and the store can, else in parts."""
        size, lock = one.file.bytes, self._plan.new
        if not self._streams or size > WHOLE:
            return self._store.upload(key, one.pieces(checksums.part_size(size)), lock)
        for attempt in range(1, STREAMS + 1):
            one.rewind()
            try:
                found = self._store.stream(key, one.pieces(checksums.FRAME), size, lock, md5=not self._believed)
                break
            except Unreachable:
                if attempt == STREAMS:
                    raise
                time.sleep(attempt)
        if found:
            return found
        self._streams = False
        one.rewind()
        return self._stream(one, key)

    def _place(self, key: str, found: Sum, put: Callable[[str], None]) -> tuple[Stored, bool]:
        """See that the store holds this content, under its key or, where that has other content, under another; never over it."""
        for free in archive.keys_for(key, found.sha256):
            try:
                if free not in self._plan.kept.objects:
                    put(free)
                    return self._proved(free, found), True
            except AlreadyThere:
                pass  # since the list was made, or by an attempt whose answer was lost
            if self._store.holds(free, found, believed=self._believed):
                return self._proved(free, found), False
        raise Failure(f"Other content is in the archive as {printable(key, 200)}, and that is not overwritten.")

    def _proved(self, key: str, found: Sum) -> Stored:
        """Read back what the store holds, and lock it where it is not locked as it should be. Raises Failure."""
        lock = self._plan.lock if key in self._known else self._plan.new
        for _try in range(2):
            stored = self._store.holds(key, found, believed=self._believed)
            if stored is None:
                raise Failure(f"The store does not hold what was sent as {printable(key, 200)}: its checksum is another.")
            self._plan.kept.objects[key] = stored
            if stored.lock.covers(lock):
                return stored
            self._store.keep(key, lock)
        raise Failure(f"The store does not lock {printable(key, 200)} as it was told.")

    def _lock_again(self) -> None:
        """Lock what was archived earlier, and what told of it; what was sent now is locked."""
        keys = sorted(known_keys(self._store, self._plan.kept) - {sent.key for sent in self.done.sent})
        with ThreadPoolExecutor(AT_ONCE) as crew:
            list(crew.map(lambda key: self._store.keep(key, self._plan.lock), keys))
        self.done.locked = len(keys)

    def _write_manifest(self) -> str:
        """Last of all, because a manifest says that everything is there. Raises Failure."""
        content = archive.manifest(self._plan, self.done.sent, self._wish, time.time())
        found = checksums.sum_of(content)
        key = archive.manifest_key(self._wish.prefix, self._name, self._plan.kept.number + 1)
        try:
            self._store.put(key, content, found, self._plan.new)
        except AlreadyThere:
            if self._store.read(key) != content:  # else it is this one, and only the answer was lost
                raise Failure(f"Somebody else has archived {self._name} at the same time; run this again.") from None
        self._proved(key, found)
        if self._store.read(key) != content:
            raise Failure(f"The store does not hold what was sent as {key}.")
        return found.sha256

    # Removing

    def _remove(self) -> None:
        """Remove what the store was seen to hold and nobody has touched since. An incident's own record stays."""
        subject, done = self._plan.subject, self.done
        with undisturbed(subject) as why:
            for sent in done.sent:
                if sent.file.path in subject.stays:
                    continue
                if why or sent.note or not _removed(subject.root, sent.file):
                    done.spared.append(Left(sent.file.path, why or sent.note or "changed since it was read"))
                else:
                    done.removed.append(sent.file.path)
        trees.remove_empty(subject.root, set(done.removed))


def _removed(root: str, file: File) -> bool:
    try:
        return trees.remove(root, file)
    except OSError:
        return False


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
        now = standing_of(root)
    except (Broken, OSError):
        return "its journal cannot be read"
    if now.held:
        return f"on legal hold: {printable(now.held, 80)}"
    return "" if now.closed is not None else "reopened"


# In words


def counted(number: int, what: str = "file") -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def sized(number: int) -> str:
    """Bytes in the largest unit that keeps them readable."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


def listed(lefts: Iterable[Left], most: int = 5) -> str:
    whole = list(lefts)
    said = [f"{printable(archive.plain(left.path), 100)} ({left.why})" for left in whole[:most]]
    return ", ".join(said) + (f" and {len(whole) - most} more" if len(whole) > most else "")
