"""The lines of a journal: whether their chain leads to the line that was sealed, and which of them is not what it was.

Part of verify.py: it needs Python 3.8 or later and the standard library only.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from irctl.record.contents import Difference
from irctl.record.manifest_format import FIRST, JOURNAL, load_json, read_file

FEW = 100  # missing lines in a row that are named one by one


@dataclass(frozen=True)
class Line:
    """One line of a journal: its place, its sha256, and the number and previous hash that it claims to have."""

    place: int
    hash: str
    seq: int
    prev: str


def lines_of(folder: Path) -> list[Line]:
    """The lines of a folder's journal; none where it cannot be read."""
    try:
        return lines(read_file(folder / JOURNAL))
    except OSError:
        return []


def lines(content: bytes) -> list[Line]:
    """The lines of a journal; one that claims no number has 0, and one that claims no chain ''."""
    return [_line(place, line) for place, line in enumerate(content.split(b"\n")[:-1], 1)]


def _line(place: int, line: bytes) -> Line:
    try:
        entry = load_json(line)
        seq, prev = entry["seq"], entry["prev"]
        sound = type(seq) is int and seq > 0 and isinstance(prev, str)
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    return Line(place, hashlib.sha256(line).hexdigest(), seq if sound else 0, prev if sound else "")


def sealed_journal_differences(folder: Path, seq: int, head: str) -> tuple[list[Difference], list[Difference]]:
    """The same as `journal_differences`, for the journal in a folder."""
    try:
        return journal_differences(read_file(folder / JOURNAL), seq, head)
    except FileNotFoundError:
        return [Difference("missing", JOURNAL)], []
    except OSError:
        return [Difference("changed", JOURNAL)], []


def journal_differences(content: bytes, seq: int, head: str) -> tuple[list[Difference], list[Difference]]:
    """What is wrong with a journal whose line `seq` was sealed with the hash `head`, and the lines that follow in its chain."""
    actual = lines(content)
    chained = _chained(actual)
    torn = [_difference("changed", f"line {len(actual) + 1} has no end")] if not content.endswith(b"\n") and content else []
    if chained >= seq and actual[seq - 1].hash == head:
        later = [_difference("added", f"line {line.place} is later than the seal") for line in actual[seq:chained]]
        return [_difference("added", f"line {line.place}") for line in actual[chained:]] + torn, later
    return (_named(actual, seq, head) or [_difference("changed", "the chain of its lines is broken")]) + torn, []


def _difference(kind: str, what: str) -> Difference:
    return Difference(kind, f"{JOURNAL}: {what}")


def _chained(actual: list[Line]) -> int:
    """How many lines from the first on are numbered and chained as they must be."""
    previous = FIRST
    for number, line in enumerate(actual, 1):
        if line.seq != number or line.prev != previous:
            return number - 1
        previous = line.hash
    return len(actual)


def _named(actual: list[Line], seq: int, head: str) -> list[Difference]:
    """Follow the chain back from the sealed head, and name each line that is not where and what it was."""
    unmatched = _Unmatched(actual, seq)
    genuine: dict[int, int] = {}  # number when sealed -> place
    changed: list[int] = []
    missing: list[tuple[int, int]] = []  # first and last of each range
    expected, number = head, seq
    while number:
        # where the line after this one is lost, its hash is lost too, and its own claim is all there is
        if line := unmatched.take_hash(expected) if expected else unmatched.take_claim(number):
            genuine[number] = line.place
        elif line := unmatched.take_claim(number) or unmatched.take_place(number):
            changed.append(number)
        expected = line.prev if line else ""
        following = number - 1 if line else unmatched.next_number(number)
        if not line:
            missing.append((following + 1, number))
        number = following
    found = [_difference("changed", f"line {number}") for number in reversed(changed)] + _missing(missing[::-1], seq)
    numbers, places = sorted(genuine), sorted(genuine.values())
    moved = [number for at, number in enumerate(numbers) if genuine[number] != places[at]]
    found += [_difference("reordered", f"line {genuine[n]} was line {n}") for n in moved]
    return found + [_difference("added", f"line {place}") for place in sorted(unmatched.places)]


class _Unmatched:
    """The lines that are not accounted for yet."""

    def __init__(self, actual: list[Line], seq: int) -> None:
        self.places = {line.place: line for line in actual}
        self._seq = seq
        self._hashes: dict[str, list[Line]] = {}
        self._claims: dict[int, list[Line]] = {}
        for line in reversed(actual):
            self._hashes.setdefault(line.hash, []).append(line)
            self._claims.setdefault(line.seq, []).append(line)
        self._numbers = sorted({0, *self._claims, *self.places})

    def next_number(self, number: int) -> int:
        """The largest number below this one that any line could have; 0 where there is none."""
        return self._numbers[bisect.bisect_left(self._numbers, number) - 1] if self.places else 0

    def take_hash(self, expected: str) -> Line | None:
        return self._take(self._hashes.get(expected, []))

    def take_claim(self, number: int) -> Line | None:
        return self._take(self._claims.get(number, []))

    def take_place(self, number: int) -> Line | None:
        """The line in this place, where its own number is none or is claimed by another line too."""
        line = self.places.get(number)
        odd = line and (not 0 < line.seq <= self._seq or len(self._claims[line.seq]) > 1)
        return self.places.pop(number) if odd else None

    def _take(self, candidates: list[Line]) -> Line | None:
        while candidates:
            line = candidates.pop()
            if self.places.pop(line.place, None):
                return line
        return None


def _missing(ranges: Iterable[tuple[int, int]], seq: int) -> list[Difference]:
    """Ranges of missing lines, in order; those that touch are one, and what reaches the sealed end is counted."""
    joined: list[tuple[int, int]] = []
    for first, last in ranges:
        if joined and joined[-1][1] == first - 1:
            first = joined.pop()[0]
        joined.append((first, last))
    found: list[Difference] = []
    for first, last in joined:
        if last == seq:
            found.append(_difference("missing", missing_at_the_end(last - first + 1)))
        elif last - first >= FEW:
            found.append(_difference("missing", f"lines {first} to {last}"))
        else:
            found += [_difference("missing", f"line {number}") for number in range(first, last + 1)]
    return found


def missing_at_the_end(number: int) -> str:
    """So many lines, in words."""
    return f"{number} lines are missing at the end" if number > 1 else "1 line is missing at the end"
