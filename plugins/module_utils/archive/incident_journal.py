"""What an incident's journal says about its evidence: since when it is closed, and whether it is on legal hold. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime

NAME = re.compile(r"INC-[0-9]{4}-[0-9]{4}-[0-9]{3}", re.ASCII)
JOURNAL = "journal.jsonl"
MANIFEST = "manifest.json"
RECORD = {JOURNAL, MANIFEST, "manifest.json.sig", "manifest.json.tsr"}  # what stays here when the evidence goes
FIRST = "0" * 64


class Broken(ValueError):
    """The journal is not what was written, so that nothing can be read off it."""


@dataclass(frozen=True)
class Status:
    """The status of an incident. `closed` is in seconds since 1970, None while it is open; `held` is the reason, '' for none;
    `last_run` is the last line that tells of a run, 0 where there was none.
    """

    closed: float | None = None
    held: str = ""
    last_run: int = 0


def status(content: bytes) -> Status:
    """Fold the lines of a journal. A last line without its end was never told to anybody. Raises Broken with the line's number."""
    closed, held, last_run, previous = None, "", 0, FIRST
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        entry = _entry(line, number, previous)
        previous = hashlib.sha256(line).hexdigest()
        event = entry["event"]
        if (event == "opened") != (number == 1):
            raise Broken(f"its journal makes no sense at line {number}")
        if event in ("closed", "reopened"):
            closed = _seconds(entry, number) if event == "closed" else None
        elif event in ("run-started", "run-ended"):
            last_run = number
        elif event in ("held", "released"):
            held = (str(entry.get("reason") or "") or "no reason given") if event == "held" else ""
    if previous == FIRST:
        raise Broken("its journal is empty")
    return Status(closed, held, last_run)


def _entry(line: bytes, number: int, previous: str) -> dict[str, object]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise Broken(f"its journal is broken at line {number}") from None
    whole = isinstance(entry, dict) and entry.get("seq") == number and entry.get("prev") == previous
    if not whole or not isinstance(entry.get("event"), str):
        raise Broken(f"its journal is broken at line {number}")
    checked: dict[str, object] = entry
    return checked


def _seconds(entry: dict[str, object], number: int) -> float:
    try:
        return datetime.fromisoformat(str(entry["at"])).timestamp()
    except (KeyError, ValueError):
        raise Broken(f"its journal makes no sense at line {number}") from None
