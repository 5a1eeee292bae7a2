"""What the journals tell of drills: each that was held, which are due, and which were cut short. It is stored nowhere else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog import catalog
from irctl.catalog.content import Content
from irctl.errors import IrctlError, invalid
from irctl.incidents import incidents, severity
from irctl.record import journal, locks, moments

FIXED, NOT_FIXED, WORSE, HIT, NOTHING, UNKNOWN = VERDICTS = (
    "fixed",
    "not fixed",
    "worse",
    "hit the wrong thing",
    "nothing to do",
    "unknown",
)
BEGUN, CLOSED = "drill-begun", "drill-closed"  # events of the home's journal
NEEDED = ("fault", "verify")  # the entry points without which nothing can be drilled


@dataclass(frozen=True)
class Drill:
    """One drill. `verdict` is '' while it is under way; `detect` and `mitigate` are seconds from the end of the fault.

    `names` are the hosts and groups as they were asked for, `why` says in a sentence what led to any verdict but fixed.
    """

    incident: str
    remediation: str
    hosts: tuple[str, ...]
    by: str
    started: str
    verdict: str
    detect: float | None
    mitigate: float | None
    seconds: float
    steps: tuple[Mapping[str, Any], ...]
    scheduled: bool
    names: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Due:
    """When a remediation must be drilled again on a host; `host` is '' where it was drilled on none yet. `every` is in seconds."""

    remediation: str
    host: str
    every: int
    last: Drill | None
    next_due: datetime | None
    overdue: bool


def history(home: Path) -> list[Drill]:
    """Every drill, oldest first. Raises EvidenceError where a journal is broken."""
    return [fold(incident, incidents.entries(home, incident)) for incident in incidents.drills(home)]


def find(home: Path, incident: str) -> Drill:
    """The drill of this incident. Raises Invalid where it is none."""
    entries = incidents.entries(home, incident)
    if entries[0].get("drill") is not True:
        raise invalid("ID", "that incident is no drill", incident)
    return fold(incident, entries)


def fold(incident: str, entries: Iterable[Mapping[str, Any]]) -> Drill:
    """One drill as the entries of its journal tell it. Pure."""
    opened, *rest = entries
    end: Mapping[str, Any] = next((entry for entry in reversed(rest) if entry["event"] == "drilled"), {})
    return Drill(
        incident=incident,
        remediation=str(opened.get("remediation", "")),
        hosts=tuple(opened.get("hosts", ())),
        by=str(opened.get("by", "")),
        started=opened["at"],
        verdict=str(end.get("verdict", "")),
        detect=end.get("detect"),
        mitigate=end.get("mitigate"),
        seconds=float(end.get("seconds", 0.0)),
        steps=tuple(end.get("steps", ())),
        scheduled=opened.get("scheduled") is True,
        names=tuple(opened.get("names", ())),
        why=str(end.get("why", "")),
    )


def due(home: Path, contents: Iterable[Content], now: datetime, hosts: Iterable[str] = ()) -> list[Due]:
    """What is to be drilled how soon, by remediation and host: on these hosts or groups, or wherever it was drilled so far.

    Only a drill that ended as fixed counts, and none is the last word where a later one ended badly.
    """
    drills, contents, hosts = history(home), list(contents), list(hosts)
    due: list[Due] = []
    for name in catalog.names(contents):
        metadata = catalog.load(name, contents).about
        if "drill_every" in metadata and set(NEEDED) <= set(catalog.entry_points(name, contents)):
            judged = [drill for drill in drills if drill.remediation == name and drill.verdict]
            every = values.seconds(metadata["drill_every"])
            for place in hosts or sorted({host for drill in judged for host in drill.hosts}) or [""]:
                due.append(_due(name, place, every, [drill for drill in judged if place in (*drill.hosts, *drill.names)], now))
    return due


def _due(name: str, host: str, every: int, drills: list[Drill], now: datetime) -> Due:
    fixed = [drill for drill in drills if drill.verdict == FIXED]
    next_due = severity.instant(fixed[-1].started) + timedelta(seconds=every) if fixed else None
    judged = [drill for drill in drills if drill.verdict not in (UNKNOWN, NOTHING)]
    failed = bool(judged) and judged[-1].verdict != FIXED
    overdue = next_due is None or now >= next_due or failed
    return Due(name, host, every, drills[-1] if drills else None, next_due, overdue)


def begin(home: Path, incident: str) -> int:
    """Mark a drill as under way, for as long as this process lives; return the lock. Raises EvidenceError.

    The journal of the home is told too: a mark that somebody removes hides no fault.
    """
    while (lock := locks.hold(_marker(home, incident), str(os.getpid()))) is None:
        time.sleep(0.01)  # somebody looks whether it is held
    journal.append(home, {"event": BEGUN, "incident": incident})
    return lock


def take_over(home: Path, incident: str) -> int | None:
    """The lock of a drill that was cut short; None where its process lives."""
    return locks.hold(_marker(home, incident), str(os.getpid()))


def close(home: Path, incident: str) -> None:
    """Nothing is left to do for this drill. Raises EvidenceError."""
    journal.append(home, {"event": CLOSED, "incident": incident})
    _marker(home, incident).unlink(missing_ok=True)


def unfinished(home: Path) -> list[str]:
    """The drills whose process is gone and whose fault may still be there. A marker of one that was closed is removed."""
    marked = {marker.name for marker in (home / "drills").glob("INC-*") if locks.is_lock(marker)}
    return [incident for incident in sorted(marked | _journaled(home)) if _is_unfinished(home, incident)]


def _journaled(home: Path) -> set[str]:
    """The drills that were begun and not closed, as the journal knows them."""
    begun: set[str] = set()
    for entry in journal.marked(home, *(f'"event":"{event}"'.encode() for event in (BEGUN, CLOSED))).entries:
        (begun.add if entry.get("event") == BEGUN else begun.discard)(str(entry.get("incident")))
    return begun


def _is_unfinished(home: Path, incident: str) -> bool:
    if not incidents.ID.fullmatch(incident):
        return False
    held: list[int] = []
    try:
        if (lock := take_over(home, incident)) is None:
            return False
        held.append(lock)
        closed = incidents.state(home, incident).closed
        if closed:
            close(home, incident)
        return not closed
    except IrctlError:  # its journal is broken or gone, or its marker cannot be locked; the others go on
        return True
    finally:
        locks.release(held)


def worth_a_try(home: Path, incident: str) -> bool:
    """Whether to try again now to restore a drill that was cut short; the pauses are those of a lease that does not end."""
    failed = [entry for entry in incidents.entries(home, incident) if entry["event"] == "drill-not-restored"]
    if not failed:
        return True
    passed = (datetime.now(UTC) - severity.instant(failed[-1]["at"])).total_seconds()
    return not 0 <= passed < moments.RETRY[min(len(failed), len(moments.RETRY)) - 1]


def reminders(home: Path) -> list[str]:
    """A sentence for each drill that was cut short."""
    return [_reminder(home, incident) for incident in unfinished(home)]


def _reminder(home: Path, incident: str) -> str:
    try:
        drill = find(home, incident)
    except IrctlError as error:
        return f"drill {incident} was cut short, its fault may still be there, and it cannot be restored: {error}"
    what = f"drill {incident} ({drill.remediation} on {values.short_list(drill.hosts)})"
    return f"{what} was cut short and its fault may still be there: irctl drill restore {incident}"


def _marker(home: Path, incident: str) -> Path:
    return home / "drills" / incident
