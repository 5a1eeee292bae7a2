"""Which parts are kept of a file that is too large to be kept whole, by what it is: records stay whole, holes are left out.

Of text the end is kept. Of everything else the head and the end, because the head says what it is.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEAD = 4  # a quarter of what is kept is the head
BLOCK = 4096  # bytes; where a format is not known, or has pages of a size that cannot be told
SAMPLE = 64 << 10  # bytes that are looked at to tell text
MOST_EXTENTS = 10_000
MOST_STEPS = 20_000_000  # packets of a capture
MOST_COMMON = 1_000  # blocks of a capture that others need
LARGEST_PACKET = 64 << 20  # bytes

Extent = tuple[int, int]  # where it begins, and how many bytes it has


@dataclass(frozen=True)
class Cut:
    """The parts of a file that are kept, in their order, and in words what they are; '' where that is all of it."""

    extents: list[Extent]
    note: str = ""

    @property
    def bytes(self) -> int:
        return sum(length for _begin, length in self.extents)


@dataclass(frozen=True)
class Layout:
    """What a file is: something before the first record, and records of one size. `hint` is what an investigator has to know."""

    name: str
    header: int = 0
    record: int = BLOCK
    hint: str = ""


def cut(descriptor: int, name: str, size: int, most: int) -> Cut:
    """What to keep of a file of this name and size, at most so many bytes. Raises OSError."""
    if size <= most:
        return Cut([(0, size)])
    data = data_extents(descriptor, size)
    amount = sum(length for _begin, length in data)
    if amount <= most and len(data) <= MOST_EXTENTS:
        return Cut(data or [(0, 0)], f"a sparse file of {size} bytes: its {amount} bytes of data, the holes left out")
    if amount < size * 3 // 4 and len(data) <= MOST_EXTENTS:
        ends = _ends_of(data, most)
        kept = sum(length for _begin, length in ends)
        return Cut(ends, f"a sparse file of {size} bytes: the first and last {kept} of its {amount} bytes of data")
    if is_text(descriptor, size):
        return Cut([(size - most, most)], f"its last {most} of {size} bytes")
    if packets := _of_packets(descriptor, size, most):
        return packets
    layout = layout_of(descriptor, name, size)
    return _head_and_end(layout, size, most)


def data_extents(descriptor: int, size: int) -> list[Extent]:
    """Where the file has data; all of it where the file system does not say. Stops after MOST_EXTENTS and one."""
    extents: list[Extent] = []
    at = 0
    try:
        while at < size and len(extents) <= MOST_EXTENTS:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
            at = min(os.lseek(descriptor, begin, os.SEEK_HOLE), size)
            if begin < size:
                extents.append((begin, at - begin))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return [(0, size)]
        if error.errno != errno.ENXIO:  # nothing but a hole until the end
            raise
    return extents


def is_text(descriptor: int, size: int) -> bool:
    """Whether there is no NUL in its beginning, its middle and its end."""
    return all(b"\0" not in os.pread(descriptor, SAMPLE, max(at, 0)) for at in (0, size // 2, size - SAMPLE))


def _ends_of(extents: list[Extent], most: int) -> list[Extent]:
    """The first quarter of `most` bytes of these extents, and the rest of it from their end."""
    head = list(_first(extents, most // HEAD // BLOCK * BLOCK))
    tail = list(_last(extents, most - sum(length for _begin, length in head)))
    return [*head, *reversed(tail)]


def _first(extents: list[Extent], room: int) -> Iterator[Extent]:
    for begin, length in extents:
        if room <= 0:
            return
        yield begin, min(length, room)
        room -= length


def _last(extents: list[Extent], room: int) -> Iterator[Extent]:
    for begin, length in reversed(extents):
        if room <= 0:
            return
        taken = min(length, room)
        yield begin + length - taken, taken
        room -= length


def _head_and_end(layout: Layout, size: int, most: int) -> Cut:
    """Both at the borders of records, counted from the beginning."""
    header, record = layout.header, layout.record
    head = min(header + max(most // HEAD - header, 0) // record * record, most)
    begin = header + -(-(size - (most - head) - header) // record) * record
    end = max(size - begin, 0)
    extents = [extent for extent in ((0, head), (begin, end)) if extent[1]]
    hint = f"; {layout.hint}" if layout.hint else ""
    return Cut(extents, f"{layout.name}: its first {head} and last {end} of {size} bytes{hint}")


# What it is

_UTMP = re.compile(r"(?:^|[^a-z])[wub]tmpx?(?:$|[^a-z])")
_TYPE = struct.Struct("<hh")


def layout_of(descriptor: int, name: str, size: int) -> Layout:
    """What a binary file is, by what is in it, and by its name where that says too little."""
    start = os.pread(descriptor, 128, 0)
    if _UTMP.search(name) and (record := _record_of_utmp(descriptor, size)):
        return Layout(f"a record of logins, {record} bytes each", record=record)
    if re.match(r"pacct", name) and len(start) > 1 and start[1] & 0x0F == 3:
        return Layout("a record of processes, 64 bytes each", record=64)
    if start.startswith(b"LPKSHHRH"):
        hint = "journalctl does not read a part of one, so take it whole with a larger --max-file-mib"
        return Layout("a journal of systemd", record=8, hint=hint)
    if start.startswith(b"SQLite format 3\0"):
        page = int.from_bytes(start[16:18], "big")
        hint = "sqlite3 reads it with .recover, once each page is where captured.json says"
        return Layout("a database of SQLite", record=65536 if page == 1 else max(page, 512), hint=hint)
    if start[:4] in (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"):
        return Layout("a write-ahead log of SQLite", 32, 24 + max(int.from_bytes(start[8:12], "big"), 512))
    if start.startswith(b"ElfFile\0"):
        return Layout("an event log of Windows", BLOCK, 65536)
    return Layout("of a format that is not known")


def _record_of_utmp(descriptor: int, size: int) -> int:
    """How large its records are: the size by which most of those that are looked at have a type; 0 where one cannot be."""
    types = {record: _types(descriptor, size, record) for record in (384, 400)}  # of x86-64 and most others, of aarch64
    best = max(types, key=lambda record: sum(kind > 0 for kind in types[record]))
    return best if types[best] and all(0 <= kind <= 9 for kind in types[best]) else 0


def _types(descriptor: int, size: int, record: int) -> list[int]:
    """The type of the first records, of some in the middle and of the last ones; -1 for what is no record."""
    count = size // record
    looked = {*range(min(count, 8)), *range(count // 2, min(count // 2 + 8, count)), *range(max(count - 8, 0), count)}
    starts = [_TYPE.unpack(os.pread(descriptor, _TYPE.size, number * record)) for number in sorted(looked)]
    return [-1 if padding else kind for kind, padding in starts]


# Captures of packets

_PCAP = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}
_SECTION, _INTERFACE, _SECRETS = 0x0A0D0D0A, 1, 0x0A


class _Unreadable(Exception):
    """It is not what its beginning says, or damaged."""


def _of_packets(descriptor: int, size: int, most: int) -> Cut | None:
    """Of a capture of packets the first and the last, whole, with all that they need; None for anything else."""
    start = os.pread(descriptor, 12, 0)
    try:
        if order := _PCAP.get(start[:4]):
            return _packets_cut("pcap", size, most, 24, _pcap(descriptor, size, order))
        if start[:4] == b"\x0a\x0d\x0d\x0a" and len(start) == 12:
            return _packets_cut("pcapng", size, most, 0, _pcapng(descriptor, size, "<" if start[8] == 0x4D else ">"))
    except (_Unreadable, struct.error):
        pass
    return None


def _packets_cut(name: str, size: int, most: int, header: int, packets: Iterator[tuple[int, int, bool]]) -> Cut:
    """Keep the header, what is common, the first packets and the last ones."""
    room, head, common, begin = most // HEAD, header, list[Extent](), size
    for at, length, is_common in packets:
        if at + length <= room and head == at:
            head = at + length
            continue
        if is_common:
            common.append((at, length))
            if len(common) > MOST_COMMON:
                raise _Unreadable
        if begin == size and size - at <= most - head - sum(part for _begin, part in common):
            begin = at
    extents = [(0, head), *(extent for extent in common if head <= extent[0] < begin), (begin, size - begin)]
    kept = [extent for extent in extents if extent[1]]
    return Cut(kept, f"a capture of packets ({name}): its first {head} and last {size - begin} of {size} bytes, at packets")


def _pcap(descriptor: int, size: int, order: str) -> Iterator[tuple[int, int, bool]]:
    """Where each packet begins, its length, and that no other needs it. Raises _Unreadable."""
    at, field = 24, struct.Struct(f"{order}8xI4x")
    for _step in range(MOST_STEPS):
        if at + field.size > size:
            return
        length = field.size + field.unpack(os.pread(descriptor, field.size, at))[0]
        if length > LARGEST_PACKET:
            raise _Unreadable
        if at + length > size:
            return  # its writer is in the middle of it
        yield at, length, False
        at += length
    raise _Unreadable


def _pcapng(descriptor: int, size: int, order: str) -> Iterator[tuple[int, int, bool]]:
    """Where each block begins, its length, and whether others need it. Raises _Unreadable."""
    at, fields = 0, struct.Struct(f"{order}II")
    for _step in range(MOST_STEPS):
        if at + fields.size > size:
            return
        kind, length = fields.unpack(os.pread(descriptor, fields.size, at))
        if length < 12 or length % 4 or length > LARGEST_PACKET:
            raise _Unreadable
        if at + length > size:
            return
        yield at, length, kind in (_SECTION, _INTERFACE, _SECRETS)
        at += length
    raise _Unreadable
