"""Lists on the command line: a value, @FILE with one a line, @FILE:COLUMN of a CSV file, or @- for standard input."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import counted, escaped, first_few

LARGEST = 1 << 20  # bytes
TOLD = 10  # bad lines that are named
DELIMITERS = ",;\t|"

Entries = Callable[[str], list[str]]


class Line(NamedTuple):
    """What stands in a line of a file, or in its column."""

    number: int
    text: str


class BadLines(ValueError):
    """Lines of a file that are refused; `got` is what stands there, or the file where there are several."""

    def __init__(self, bad: list[tuple[Line, str]], source: str, hint: str) -> None:
        super().__init__((f"line {bad[0][0].number}: {bad[0][1]}" if len(bad) == 1 else _told(bad)) + hint)
        self.got = bad[0][0].text.strip() if len(bad) == 1 else source


def _told(bad: list[tuple[Line, str]]) -> str:
    """The lines with their numbers, those with the same reason together."""
    shown = sorted(bad[:TOLD], key=lambda fault: fault[1])
    groups = []
    for reason, faults in itertools.groupby(shown, key=lambda fault: fault[1]):
        groups.append(", ".join(f"{line.number} '{escaped(line.text, 40)}'" for line, _reason in faults) + f": {reason}")
    hidden = f"; +{len(bad) - TOLD} more" if len(bad) > TOLD else ""
    return f"{counted(len(bad), 'line')} cannot be used: {'; '.join(groups)}{hidden}"


def reader(check: Callable[[str], Any], entries: Entries | None = None) -> Callable[[str], list[Any]]:
    """What turns a word of the command line into values, each checked with `check`. It raises ValueError.

    `entries` says which values one text names, where that may be none or several.
    """

    def read(text: str) -> list[Any]:
        if text.startswith("@"):
            return _of_file(text, check, entries or _entry)
        try:
            return [check(entry) for entry in (entries(text) if entries else []) or [text]]
        except ValueError:
            if _is_file(text):
                raise ValueError(f"to read the file of this name, say @{text}") from None
            if "," in text and all(_is_value(part, check) for part in text.split(",")):
                raise ValueError("one value is needed; repeat the option for more, or give @FILE with one a line") from None
            raise

    return read


def _is_value(text: str, check: Callable[[str], Any]) -> bool:
    try:
        check(text.strip())
    except ValueError:
        return False
    return True


def _entry(line: str) -> list[str]:
    return [] if line.startswith("#") or not line.strip() else [line.strip()]


def _of_file(text: str, check: Callable[[str], Any], entries: Entries) -> list[Any]:
    name, column = _name_and_column(text)
    source = "standard input" if name == "-" else "the file"
    content = _content(name, source)
    values, bad = list[Any](), list[tuple[Line, str]]()
    for line in _cells(content, column) if column else _lines(content):
        try:
            values += [check(entry) for entry in entries(line.text)]
        except ValueError as error:
            bad.append((line, str(error)))
    if bad:
        separated = not column and any(delimiter in bad[0][0].text for delimiter in DELIMITERS)
        hint = f"; for a column of CSV say {text}:COLUMN" if separated else ""
        raise BadLines(bad, text, hint)
    if not values:
        raise ValueError(f"{source} names nothing")
    return values


def _name_and_column(text: str) -> tuple[str, str]:
    """The name of the file after '@', and the column where one is named; a file whose name has a colon goes before a column."""
    name, _, column = text[1:].rpartition(":")
    return (name, column) if name and column and not _is_file(text[1:]) else (text[1:], "")


def _is_file(name: str) -> bool:
    try:
        return paths.is_file(Path(name))
    except (OSError, ValueError):  # too long, with a NUL, or not to be looked at
        return False


def _lines(content: str) -> Iterator[Line]:
    for number, text in enumerate(content.splitlines(), 1):
        yield Line(number, text.rstrip())


def _cells(content: str, column: str) -> Iterator[Line]:
    """The cells of a column below its heading, which is the first line that is no comment. Raises ValueError."""
    import csv

    lines = ["\n" if line.startswith("#") else line for line in content.splitlines(keepends=True)]
    first = next((line for line in lines if line.strip()), "")
    rows = csv.reader(lines, delimiter=max(DELIMITERS, key=first.count), skipinitialspace=True)
    try:
        headings = [cell.strip() for cell in next((row for row in rows if row), [])]
        if headings.count(column) != 1:
            raise ValueError(f"the file has no single column {escaped(column, 40)}; it has {escaped(first_few(headings, 20), 400)}")
        place = headings.index(column)
        for row in rows:
            if row:
                yield Line(rows.line_num, row[place].strip() if place < len(row) else "")
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from None


def _content(name: str, source: str) -> str:
    try:
        content = sys.stdin.buffer.read(LARGEST + 1) if name == "-" else _bytes_of(Path(name))
        if len(content) > LARGEST:
            raise ValueError("at most 1 MiB")
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ValueError(f"{source} is UTF-16; save it as UTF-8")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{source} cannot be read") from None


def _bytes_of(path: Path) -> bytes:
    if not paths.is_file(path) or path.stat().st_size > LARGEST:
        raise ValueError("not a regular file of at most 1 MiB" if paths.has_name(path) else "there is no such file")
    return path.read_bytes()
