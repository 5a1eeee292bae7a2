"""The journal of a host since a moment, read from its end backwards, so that a clock that was wrong for a while ends nothing.

`journalctl --until` ends at the first entry that is dated later, and `--since` searches as if the dates were in order.
"""

from __future__ import annotations

import glob
import os
import re
import tempfile
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import streams
from ansible_collections.irctl.runbooks.plugins.module_utils.values import counted, printable, short_list

PROGRAM = ("journalctl", "--no-pager", "--quiet", "--utc")
ROOT = "/"
PLACES = ("var/log/journal", "run/log/journal")
SECONDS = 300.0
PATIENCE = 5_000  # entries in a row that are older than was asked, after which all others are taken to be older too
LARGEST_ENTRY = 16 << 20  # bytes
DATED = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")  # how an entry begins; its further lines are indented
STAMP = 26  # characters of that


class Journal:
    """What was read: the entries in the order in which they were written, and what is odd about their dates.

    `later` are dated later than now, `earlier` before `since` although entries that are not came before them. `oldest` is the
    date of the oldest entry that the host still has, '' for none. `cut` says that there were more than `most` bytes.
    """

    def __init__(self, since: float, now: float, most: int) -> None:
        self.others: list[str] = []  # folders with journals of namespaces or of other machines; journalctl passes over them too
        self.hidden = False  # whether there are entries that this user may not see; journalctl passes over them
        self.bytes = self.entries = self.later = self.earlier = 0
        self.oldest, self.cut = "", False
        self._since, self._now, self._most = stamp(since), stamp(now + 1), most
        self._spool: IO[bytes] | None = None
        self._lengths = array("Q")

    def read(self, units: Sequence[str], folder: str | None) -> None:
        """Read it all; where `folder` is given, into a file there without a name. Raises Failure or OSError."""
        places = [os.path.join(ROOT, place) for place in PLACES]
        self.hidden = any(not os.access(path, os.R_OK) for place in places for path in glob.glob(f"{place}/*/system.journal"))
        self.others = [folder for place in places for folder in others(place)]
        self._spool = tempfile.TemporaryFile(dir=folder) if folder else None  # noqa: SIM115 - closed by `close`
        chosen = [f"--unit={unit}" for unit in units]
        with streams.Program([*PROGRAM, "--output=short-iso-precise", "--reverse", *chosen], SECONDS) as program:
            self._take(_entries(program.pieces(1 << 62)))
        self.oldest = oldest()

    def _take(self, entries: Iterable[bytes]) -> None:
        older: list[bytes] = []
        for entry in entries:
            if entry[:STAMP] < self._since:
                older.append(entry)
                if len(older) == PATIENCE:
                    return
                continue
            self.earlier += len(older)
            for one in [*older, entry]:
                if not self._keep(one):
                    return
            older.clear()

    def _keep(self, entry: bytes) -> bool:
        """Keep an entry, where there is room for it."""
        if self.bytes + len(entry) > self._most:
            self.cut = True
            return False
        self.bytes += len(entry)
        self.entries += 1
        self.later += entry[:STAMP] > self._now
        if self._spool:
            self._spool.write(entry)
            self._lengths.append(len(entry))
        return True

    def pieces(self) -> Iterator[bytes]:
        """The entries in the order in which they were written."""
        if not self._spool:
            return
        end = self.bytes
        for length in reversed(self._lengths):
            end -= length
            self._spool.seek(end)
            yield self._spool.read(length)

    def close(self) -> None:
        if self._spool:
            self._spool.close()

    def unseen(self) -> list[str]:
        """What there is beside it that was not read, each a few words."""
        notes = ["without what this user may not see of it"] if self.hidden else []
        if self.others:
            folders = printable(short_list(self.others))
            notes.append(f"without the journals of namespaces or other machines in {folders}; capture those as files")
        return notes

    def notes(self) -> list[str]:
        """What has to be known of it, each a few words."""
        notes = self.unseen()
        entries = counted(self.entries, "entry", "entries")
        if self.cut:
            notes.append(f"its last {entries}, because all since then are more than {self._most} bytes")
        if self.later:
            notes.append(f"{counted(self.later, 'entry', 'entries')} dated later than now")
        if self.earlier:
            notes.append(f"{counted(self.earlier, 'entry', 'entries')} dated earlier than was asked, among others that are not")
        if self.oldest.encode() > self._since:
            notes.append(f"the oldest entry on the host is of {self.oldest}Z, later than was asked")
        return notes


def others(place: str) -> list[str]:
    """The folders of a place with journals that are not of this machine itself; journalctl reads none of them by itself."""
    try:
        with open(os.path.join(ROOT, "etc/machine-id"), encoding="ascii") as file:
            own = file.read().strip()
    except (OSError, ValueError):
        return []
    folders = {os.path.dirname(path) for path in glob.glob(f"{place}/*/*.journal*")}
    return sorted(folder for folder in folders if os.path.basename(folder) != own)


def stamp(seconds: float) -> bytes:
    """Seconds since 1970 as journalctl writes them in front of an entry."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1e6):06}".encode()


def oldest() -> str:
    """The date of the oldest entry that the host has, of whatever unit; '' for none. Raises Failure."""
    with streams.Program([*PROGRAM, "--output=short-iso-precise"], SECONDS) as program:
        first = b"".join(program.pieces(STAMP))
    return first.decode() if DATED.fullmatch(first) else ""


def _entries(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What the program prints, entry by entry; each begins with its date, and goes on in lines that are indented."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        whole = _last_begin(buffer)
        if whole or len(buffer) > LARGEST_ENTRY:
            yield from _split(bytes(buffer[: whole or len(buffer)]))
            del buffer[: whole or len(buffer)]
    yield from _split(bytes(buffer))


def _last_begin(buffer: bytearray) -> int:
    """Where the last entry begins that may not be whole yet; 0 for nowhere."""
    at = len(buffer)
    while (at := buffer.rfind(b"\n", 0, at)) >= 0:
        if DATED.match(buffer, at + 1):
            return at + 1
    return 0


def _split(text: bytes) -> Iterator[bytes]:
    begin = 0
    for line in re.finditer(rb"\n(?=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})", text):
        yield text[begin : line.end()]
        begin = line.end()
    if begin < len(text):
        yield text[begin:]
