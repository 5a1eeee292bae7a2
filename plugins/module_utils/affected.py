"""What exactly a run is to change on a host: the sessions, addresses or files, one row each. Pure.

A module's Capture step returns them as `affected`: a list of flat dicts whose keys are the columns, what identifies it first. A key
that ends in `_seconds` is an age, and `bytes` is a size; people are shown both in words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

FILE = "affected.jsonl"  # among the evidence of the host, a line for each row
LONGEST = 4096  # characters of a value


def text(rows: Iterable[Mapping[str, Any]]) -> str:
    """The file of these rows as JSON Lines, in which no value can act on a terminal. Raises ValueError where they are no rows."""
    return "".join(json.dumps(_clean(row), ensure_ascii=False) + "\n" for row in rows)


def _clean(row: object) -> dict[str, Any]:
    if not isinstance(row, Mapping) or not row:
        raise ValueError("affected: a list of dicts is needed, each with what identifies one thing")
    return {printable(column, 40): value_of(value) for column, value in row.items()}


def value_of(value: object, most: int = LONGEST) -> int | str | None:
    """A value as a record holds it: a whole number, true or false, none, or inert text that is cut at `most`."""
    return value if value is None or isinstance(value, int) else printable(value, most)
