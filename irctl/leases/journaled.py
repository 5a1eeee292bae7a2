"""What the journal of a home knows of leases: those that were armed and have not ended, whatever became of their files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from irctl.errors import EvidenceError
from irctl.leases.lease import Lease, of_fields
from irctl.record.manifest_format import JOURNAL
from irctl.record.seal import RUN_ID

MARK = b'"event":"lease-'


def on(home: Path) -> dict[str, dict[str, Any]]:
    """By run, the entry that armed each lease which has not ended, with how long it was extended. Raises EvidenceError."""
    armed: dict[str, dict[str, Any]] = {}
    for entry in _entries(home):
        run, event = entry.get("run"), entry.get("event")
        if not isinstance(run, str) or not RUN_ID.fullmatch(run):
            continue
        if event == "lease-armed":
            armed[run] = entry
        elif event == "lease-extended" and run in armed:
            armed[run] = {**armed[run], "seconds": entry.get("seconds")}
        elif event == "lease-ended":
            armed.pop(run, None)
    return armed


def lease_of(entry: dict[str, Any]) -> Lease:
    """The lease that an entry armed. Raises ValueError where the entry, of an earlier irctl, does not say all that is needed."""
    known = ("remediation", "hosts", "inventory", "content", "incident", "seconds", "limit", "armed")
    document = {name: entry[name] for name in known if name in entry}
    state = {"state": "on", "attempts": 0, "tried": None, "why": ""}
    return of_fields({"run": entry["run"], "owner": entry.get("by"), **document, **state}, entry["run"])


def approved(home: Path, run: str) -> int:
    """How many seconds in all an approved extension of this run's lease allowed; 0 where there was none. Raises EvidenceError."""
    mine = [entry for entry in _entries(home) if entry.get("run") == run and entry.get("event") == "lease-extended"]
    return max([int(entry["seconds"]) for entry in mine if entry.get("approved") is True], default=0)


def began(home: Path, run: str) -> bool:
    """Whether the journal knows that this run began. Raises EvidenceError."""
    return any(
        entry.get("run") == run and entry.get("event") == "run-started" for entry in _entries(home, b'"event":"run-started"')
    )


def sealed(home: Path, run: str) -> str:
    """The sha256 of the manifest with which this run was sealed first, as the journal has it; '' for none. Raises EvidenceError."""
    for entry in _entries(home, b'"event":"run-sealed"'):
        if entry.get("run") == run and entry.get("event") == "run-sealed":
            return str(entry.get("manifest"))
    return ""


def _entries(home: Path, mark: bytes = MARK) -> Iterator[dict[str, Any]]:
    """The entries with this mark. Only they are read: commands ask this each time, and a journal may be long."""
    path = home / JOURNAL
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}") from None
    with file:
        try:
            for line in file:
                if mark in line and line.endswith(b"\n") and isinstance(entry := json.loads(line), dict):
                    yield entry
        except (OSError, ValueError, RecursionError) as error:
            raise EvidenceError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None
