"""Send one file after the other to an archive, and prove of each that the store holds what was read."""

from __future__ import annotations

import time
from collections.abc import Callable

from ansible_collections.irctl.runbooks.plugins.module_utils import trees
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import checksums, keys
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.checksums import CutShort, Sum
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.object_store import Store
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.plan import Plan, Request, Sent
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.reader import Stored
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.writer import AlreadyThere
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import File, Reading, Skipped
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

SMALL = 4 << 20  # bytes; what is larger is sent as it is read
WHOLE = 1 << 30  # bytes; what is larger goes in parts
STREAM_TRIES = 4  # of one that breaks off
READ_TRIES = 2  # of a file that was written to while it was read


class Failed(Skipped):
    """What should have been taken, and could not be."""


class Transfer:
    """The files of one subject on their way, for any number of threads. The store has been probed before."""

    def __init__(self, store: Store, plan: Plan, request: Request) -> None:
        self._store, self._plan, self._request, self._trusted = store, plan, request, store.abilities.trusted
        self._root, self._name = plan.subject.root, plan.subject.name
        self._known = {entry["key"] for entry in plan.holdings.entries.values()}
        self._streams = True  # whether the store takes content as it is read

    def send(self, file: File) -> Sent | Skipped:
        """Send one file; again where it was written to meanwhile."""
        note = ""
        try:
            for _try in range(READ_TRIES):
                with trees.reading(self._root, file.path) as reading:
                    try:
                        content, stored, new = self._send_open(reading)
                    except CutShort as error:
                        note = str(error) or "cut short while it was read"
                        continue
                    note, sound = reading.meanwhile(content.bytes)
                    if sound:
                        return Sent(reading.file, stored.key, content, stored.etag, note, new, self._trusted)
        except FileNotFoundError:
            return Skipped(file.path, "gone before it was read")
        except OSError as error:
            if error.errno in trees.LINKS:
                return Skipped(file.path, f"no longer the file that it was: {trees.reason_of(error)}")
            return Failed(file.path, trees.reason_of(error))
        return Failed(file.path, f"{note}, twice")

    def lock_of(self, key: str) -> Lock:
        """How the object of a key shall be locked: what is in the archive already as long as it was, what is new anew."""
        return self._plan.lock if key in self._known else self._plan.new_lock

    def prove(self, key: str, content: Sum) -> Stored:
        """Read back what the store holds, and lock it where it is not locked as it should be. Raises Failure."""
        lock = self.lock_of(key)
        for _try in range(2):
            stored = self._store.reader.matching(key, content, trusted=self._trusted)
            if stored is None:
                raise Failure(f"The store does not hold what was sent as {printable(key, 200)}: {self._difference(key)}.")
            self._plan.holdings.objects[key] = stored
            if stored.lock.covers(lock):
                return stored
            self._store.retention.extend(key, lock)
        raise Failure(f"The store does not lock {printable(key, 200)} as it was told.")

    def _difference(self, key: str) -> str:
        return "its checksum is another" if self._store.reader.look(key) else "there is nothing"

    def _send_open(self, reading: Reading) -> tuple[Sum, Stored, bool]:
        """What was read, what the store holds of it, and whether it is new there."""
        key = keys.file_key(self._request.prefix, self._name, reading.file.path)
        if reading.file.bytes > SMALL:
            return self._send_large(reading, key)
        whole = b"".join(reading.pieces(SMALL))
        content = checksums.sum_of(whole)
        stored, new = self._place(key, content, lambda free: self._store.writer.put(free, whole, content, self._plan.new_lock))
        return content, stored, new

    def _send_large(self, reading: Reading, key: str) -> tuple[Sum, Stored, bool]:
        """A free key is sent to as the file is read; where there is something already, the file is hashed first."""
        if key not in self._plan.holdings.objects:
            self._store.uploads.forget(key)
            try:
                content = self._stream(reading, key)
                return content, self.prove(key, content), True
            except AlreadyThere:
                pass
        reading.rewind()
        expected = checksums.sum_of_parts(reading.pieces(checksums.part_size(reading.file.bytes)))

        def stream_again(free: str) -> None:
            reading.rewind()
            self._store.uploads.forget(free)
            if self._stream(reading, free).sha256 != expected.sha256:
                raise CutShort("written to while it was sent")

        stored, new = self._place(key, expected, stream_again)
        return expected, stored, new

    def _stream(self, reading: Reading, key: str) -> Sum:
        """Send a file as it is read: whole where it is not too large for that and the store can, else in parts."""
        size, lock = reading.file.bytes, self._plan.new_lock
        if self._streams and size <= WHOLE:
            if content := self._stream_whole(reading, key):
                return content
            self._streams = False
            reading.rewind()
        return self._store.uploads.upload(key, reading.pieces(checksums.part_size(size)), lock)

    def _stream_whole(self, reading: Reading, key: str) -> Sum | None:
        """Again where it breaks off; None where the store does not know how to."""
        for attempt in range(1, STREAM_TRIES + 1):
            reading.rewind()
            pieces = reading.pieces(checksums.FRAME)
            try:
                return self._store.writer.stream(key, pieces, reading.file.bytes, self._plan.new_lock, md5=not self._trusted)
            except Unreachable:
                if attempt == STREAM_TRIES:
                    raise
                time.sleep(attempt)
        raise AssertionError("unreachable")

    def _place(self, key: str, content: Sum, put: Callable[[str], None]) -> tuple[Stored, bool]:
        """See that the store holds this content, under its key or, where that has other content, under another; never over it."""
        for free in keys.candidates(key, content.sha256):
            try:
                if free not in self._plan.holdings.objects:
                    put(free)
                    return self.prove(free, content), True
            except AlreadyThere:
                pass  # since the list was made, or by an attempt whose answer was lost
            if self._store.reader.matching(free, content, trusted=self._trusted):
                return self.prove(free, content), False
        raise Failure(f"Other content is in the archive as {printable(key, 200)}, and that is not overwritten.")
