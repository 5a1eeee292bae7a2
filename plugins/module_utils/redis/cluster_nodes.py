"""Which primary of a Redis cluster holds which slots, as CLUSTER NODES tells it. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

SLOTS = 16384
Address = tuple[str, int]


class Layout(NamedTuple):
    """Where every primary is, those without slots too, and which one each slot belongs to."""

    primaries: tuple[Address, ...]
    owners: tuple[Address | None, ...]
    failed: tuple[Address, ...]

    @property
    def missing(self) -> int:
        """How many slots nobody holds, or nobody who is well."""
        return sum(owner is None or owner in self.failed for owner in self.owners)


def layout(text: bytes, host: str) -> Layout:
    """Read CLUSTER NODES of a node that was reached at `host`. Raises ValueError where it is something else."""
    owners: list[Address | None] = [None] * SLOTS
    primaries, failed = [], []
    for line in text.decode("utf-8", "replace").splitlines():
        _identifier, where, flags, *others = line.split()
        words = flags.split(",")
        if "master" not in words:
            continue
        address = _address(where, host)
        if {"fail", "noaddr", "handshake"} & {*words}:
            failed.append(address)
        else:
            primaries.append(address)
        for first, last in map(_slots, others[5:]):
            owners[first : last + 1] = [address] * (last + 1 - first)
    return Layout(tuple(primaries), tuple(owners), tuple(failed))


def _address(where: str, host: str) -> Address:
    """'10.0.0.1:6379@16379,name' as host and port; a node that does not know its own address is where it was reached."""
    known, _colon, port = where.partition("@")[0].rpartition(":")
    return known.strip("[]") or host, int(port)


def _slots(text: str) -> tuple[int, int]:
    """'0-5460' or '7' as the first and the last slot; none for a slot that is on its way to another node."""
    if text.startswith("["):
        return 0, -1
    first, _dash, last = text.partition("-")
    return int(first), int(last or first)


def redirection(message: str, host: str) -> Address:
    """Where MOVED or ASK send to: '3999 10.0.0.2:6379', without a host the one that was asked. Raises ValueError."""
    return _address(message.rpartition(" ")[2], host)


def moved_twice(layouts: list[Layout]) -> bool:
    """Whether a slot went on to a third owner, or back, while these were seen: a key in it may have been seen nowhere."""
    return any(
        len({*seen}) < changes + 1 or changes > 1
        for seen in zip(*(one.owners for one in layouts), strict=True)
        if (changes := sum(a != b for a, b in pairwise(seen)))
    )
