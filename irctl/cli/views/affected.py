"""What exactly would be changed, one thing a line, under headings that say what identifies it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.affected import FILE
from irctl.cli import render

FEW = 20  # lines for all hosts together


def lines(affected: Mapping[str, Mapping[str, Any]], folder: str = "", most: int = FEW) -> list[str]:
    """The lines for the hosts' `affected`, with how many more there are and, below the record `folder`, in which files they are."""
    rows = [(host, item) for host, found in affected.items() for item in found["items"]]
    text = [line for table in _tables(rows[:most], with_hosts=len(affected) > 1) for line in render.aligned(table)]
    hidden = sum(found["count"] for found in affected.values()) - len(rows[:most])
    if hidden:
        text.append(f"  +{hidden} more" + (f" · all of them: {folder}/{_files(affected)}" if folder else ""))
    return text


def _files(affected: Mapping[str, Mapping[str, Any]]) -> str:
    """The file that has all of a host, or a pattern for those of several."""
    files = [str(found["file"]) for found in affected.values() if found["count"]]
    return files[0] if len(files) == 1 else f"evidence/*/{FILE}"


def _tables(rows: list[tuple[str, Mapping[str, Any]]], *, with_hosts: bool) -> Iterator[list[list[str]]]:
    """A table for each stretch of rows with the same columns."""
    for columns, same in itertools.groupby(rows, key=lambda row: tuple(row[1])):
        heading = ["host", *columns] if with_hosts else [*columns]
        table = [[_heading(name) for name in heading]]
        for host, item in same:
            table.append([*([host] if with_hosts else []), *(_cell(name, item[name]) for name in columns)])
        yield [["  " + row[0], *row[1:]] for row in table]


def _heading(column: str) -> str:
    return values.printable(column.removesuffix("_seconds").replace("_", " ").upper(), 40)


def _cell(column: str, value: Any) -> str:
    if isinstance(value, int) and column.endswith("_seconds"):
        return values.duration(value)
    if isinstance(value, int) and column == "bytes":
        return values.sized(value)
    return values.printable("-" if value in (None, "") else value, 200)
