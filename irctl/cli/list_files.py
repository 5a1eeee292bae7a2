"""Lists on the command line: one value, or @FILE with one a line, or @- for standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths

LARGEST = 1 << 20  # bytes
STDIN = "@-"


class BadLine(ValueError):
    """A line of @FILE that is refused; `got` is that line."""

    def __init__(self, number: int, reason: ValueError, line: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.got = line


def reader(check: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """What turns a word of the command line into values, each checked with `check`. It raises ValueError."""

    def read(text: str) -> list[Any]:
        if not text.startswith("@"):
            return [check(text)]
        source = "standard input" if text == STDIN else "the file"
        items = []
        for number, line in enumerate(_lines(text, source), 1):
            try:
                items += [check(line.strip())] if line.strip() and not line.startswith("#") else []
            except ValueError as error:
                raise BadLine(number, error, line.strip()) from None
        if not items:
            raise ValueError(f"{source} names nothing")
        return items

    return read


def _lines(text: str, source: str) -> list[str]:
    path = Path(text[1:])
    try:
        if text == STDIN:
            content = sys.stdin.buffer.read(LARGEST + 1)
        elif paths.is_file(path) and path.stat().st_size <= LARGEST:
            content = path.read_bytes()
        else:
            raise ValueError("not a regular file of at most 1 MiB" if paths.has_name(path) else "there is no such file")
        if len(content) > LARGEST:
            raise ValueError("at most 1 MiB")
        return content.decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{source} cannot be read") from None
