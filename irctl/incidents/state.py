"""What an incident is, folded from the entries of its journal, and what its clocks say. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from irctl.errors import EvidenceError
from irctl.incidents import severity as scales

STATUSES = ("Investigating", "Identified", "Monitoring", "Resolved")
APPROVALS = {"requested", "approved", "revoked", "approval-spent", "break-glass", "countersigned"}


@dataclass
class State:
    """An incident as its journal tells it. `times` holds when something happened by name; `held` is the reason of a legal hold."""

    incident: str
    title: str = ""
    severity: str = ""
    profile: str = ""
    status: str = STATUSES[0]
    closed: bool = False
    component: str = ""
    commander: str = ""
    assigned: str = ""
    resolution: str = ""
    held: str = ""
    drill: bool = False
    entries: int = 0
    times: dict[str, str] = field(default_factory=dict)
    impact: dict[str, str] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    approvals: list[dict[str, Any]] = field(default_factory=list)
    leases: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def personal_data(self) -> str:
        """'yes', 'no' or 'unknown', as the impact says; '' where it says nothing about data."""
        data = self.impact.get("data", "")
        guess = "" if not data else "no" if data.casefold() == "none" else "unknown"
        return self.impact.get("personal_data", guess)

    @property
    def level(self) -> scales.Level:
        return scales.profile(self.profile).level(self.severity)


def fold(incident: str, entries: Iterable[Mapping[str, Any]]) -> State:
    """What an incident is after these entries. Raises EvidenceError where they make no sense."""
    state = State(incident)
    for entry in entries:
        try:
            _FOLDS.get(entry["event"], _nothing)(state, entry)
        except (KeyError, TypeError, ValueError):
            raise EvidenceError(f"the journal of {incident} makes no sense at entry {entry.get('seq')}") from None
        if entry["event"] in APPROVALS:
            state.approvals.append(_without_chain(entry))
        state.entries += 1
    return state


def _without_chain(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("monotonic", "prev")}


def _nothing(state: State, entry: Mapping[str, Any]) -> None:
    """Told in the timeline only."""


def _opened(state: State, entry: Mapping[str, Any]) -> None:
    for name in ("title", "severity", "profile", "component", "commander"):
        setattr(state, name, str(entry.get(name, "")))
    state.drill = entry.get("drill") is True
    state.times["opened"] = entry["at"]
    if state.commander:
        state.times["commander"] = entry["at"]


def _status(state: State, entry: Mapping[str, Any]) -> None:
    _enter(state, str(entry["status"]), entry["at"])


def _enter(state: State, status: str, at: str) -> None:
    """Going back to an earlier status forgets when a later one was reached."""
    state.status = status
    for later in STATUSES[STATUSES.index(status) + 1 :]:
        state.times.pop(later.lower(), None)
    state.times.setdefault(status.lower(), at)
    if status == STATUSES[-1]:
        state.times.setdefault("monitoring", at)  # what is resolved is watched, from then at the latest
    else:
        state.times = {name: when for name, when in state.times.items() if not name.startswith(("packed", "resolved:"))}


def _assigned(state: State, entry: Mapping[str, Any]) -> None:
    if entry.get("role") == "commander":
        state.commander = str(entry["who"])
        state.times.setdefault("commander", entry["at"])
    else:
        state.assigned = str(entry["who"])


def _severity(state: State, entry: Mapping[str, Any]) -> None:
    state.severity, state.profile = str(entry["severity"]), str(entry["profile"])


def _impact(state: State, entry: Mapping[str, Any]) -> None:
    state.impact |= entry["impact"]


def _acknowledged(state: State, entry: Mapping[str, Any]) -> None:
    state.times.setdefault("acknowledged", entry["at"])


def _communicated(state: State, entry: Mapping[str, Any]) -> None:
    state.times.setdefault("authority" if entry.get("where") == "authority" else "communicated", entry["at"])
    if state.status == STATUSES[-1]:
        state.times.setdefault(f"resolved:{entry.get('where')}", entry["at"])


def _packed(state: State, entry: Mapping[str, Any]) -> None:
    if state.status == STATUSES[-1]:  # the pack of an incident under way is not yet the one that is asked for
        state.times["packed"] = entry["at"]


def _closed(state: State, entry: Mapping[str, Any]) -> None:
    state.closed, state.resolution = True, str(entry.get("resolution", ""))
    state.times["closed"] = entry["at"]
    _enter(state, STATUSES[-1], entry["at"])


def _reopened(state: State, entry: Mapping[str, Any]) -> None:
    state.closed, state.resolution = False, ""
    del state.times["closed"]
    _enter(state, STATUSES[0], entry["at"])


def _held(state: State, entry: Mapping[str, Any]) -> None:
    state.held = "" if entry["event"] == "released" else str(entry.get("reason", "")) or "no reason given"


def _run(state: State, entry: Mapping[str, Any]) -> None:
    run = state.runs.setdefault(str(entry.get("run")), {"outcome": "under way"})
    run |= {key: value for key, value in _without_chain(entry).items() if key not in ("seq", "at", "event")}
    run["started" if entry["event"] == "run-started" else "ended"] = entry["at"]


def _lease(state: State, entry: Mapping[str, Any]) -> None:
    lease = state.leases.setdefault(str(entry.get("run")), {})
    lease |= {key: value for key, value in _without_chain(entry).items() if key not in ("seq", "event")}
    lease["state"] = {"lease-ended": "ended", "lease-failed": "failed"}.get(entry["event"], "on")


_FOLDS: dict[str, Callable[[State, Mapping[str, Any]], None]] = {
    "opened": _opened,
    "status": _status,
    "assigned": _assigned,
    "severity": _severity,
    "impact": _impact,
    "acknowledged": _acknowledged,
    "communicated": _communicated,
    "packed": _packed,
    "closed": _closed,
    "reopened": _reopened,
    "held": _held,
    "released": _held,
    "run-started": _run,
    "run-ended": _run,
    "lease-armed": _lease,
    "lease-extended": _lease,
    "lease-failed": _lease,
    "lease-ended": _lease,
}


def readings(state: State, now: datetime, written: str = "") -> list[scales.Reading]:
    """What the clocks of an incident say; `written` is when its post-mortem was, where it is. The most pressing first.

    A drill has none: nobody is to be told, and no authority.
    """
    if state.drill:
        return []
    times = {name: scales.instant(at) for name, at in {**state.times, "post-mortem": written}.items() if at}
    readings = scales.readings(state.level, times, now, personal_data=state.personal_data in ("yes", "unknown"))
    order = ("overdue", "running", "waiting", "late", "met", "over")
    return sorted(readings, key=lambda reading: (order.index(reading.state), reading.due.timestamp() if reading.due else 0))
