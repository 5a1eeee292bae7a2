"""What the journal of a home knows of leases: those that were armed and have not ended, whatever became of their files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irctl.errors import EvidenceError
from irctl.leases.lease import Lease, of_fields
from irctl.record import journal
from irctl.record.seal import RUN_ID

MARK = b'"event":"lease-'


@dataclass
class Journaled:
    """By run, the entry that armed each lease, with how long it was extended; the leases that have ended; what is broken."""

    armed: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    broken: str = ""

    @property
    def on(self) -> set[str]:
        """The runs whose leases have not ended."""
        return {*self.armed} - self.ended


def read(home: Path) -> Journaled:
    """What the journal knows, as far as it can be believed. Raises EvidenceError where it cannot be read."""
    entries, broken = journal.marked(home, MARK)
    known = Journaled(broken=broken)
    for entry in entries:
        run, event = entry.get("run"), entry.get("event")
        if not isinstance(run, str) or not RUN_ID.fullmatch(run):
            continue
        if event == "lease-armed":
            known.armed[run] = entry
        elif event == "lease-extended" and run in known.armed:
            known.armed[run] = {**known.armed[run], "seconds": entry.get("seconds")}
        elif event == "lease-ended":
            known.ended.add(run)
    return known


def lease_of(entry: dict[str, Any]) -> Lease:
    """The lease that an entry armed. Raises ValueError where the entry, of an earlier irctl, does not say all that is needed."""
    known = ("remediation", "hosts", "inventory", "content", "incident", "seconds", "limit", "armed")
    document = {name: entry[name] for name in known if name in entry}
    state = {"state": "on", "attempts": 0, "tried": None, "why": ""}
    return of_fields({"run": entry["run"], "owner": entry.get("by"), **document, **state}, entry["run"])


def approved(home: Path, run: str) -> int:
    """How many seconds in all an approved extension of this run's lease allowed; 0 where there was none. Raises EvidenceError."""
    entries = _of_run(home, run, "lease-extended", whole=True)
    return max([int(entry["seconds"]) for entry in entries if entry.get("approved") is True], default=0)


def began(home: Path, run: str) -> bool:
    """Whether the journal knows that this run began. Raises EvidenceError."""
    return bool(_of_run(home, run, "run-started"))


def sealed(home: Path, run: str, *, whole: bool) -> str:
    """The sha256 of the manifest with which this run was sealed first, as the journal has it; '' for none. Raises EvidenceError.

    With `whole` no line of the journal may be broken; else those beside this one, or where there is none, no line.
    """
    return next((str(entry.get("manifest")) for entry in _of_run(home, run, "run-sealed", whole=whole)), "")


def _of_run(home: Path, run: str, event: str, *, whole: bool = False) -> list[dict[str, Any]]:
    """The entries of one run. Raises EvidenceError where the journal is broken, so that others may be missing."""
    entries, broken = journal.marked(home, f'"event":"{event}"'.encode())
    mine = [entry for entry in entries if entry.get("run") == run and entry.get("event") == event]
    if broken and (whole or not mine):
        raise EvidenceError(broken)
    return mine
