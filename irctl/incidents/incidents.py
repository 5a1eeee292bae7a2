"""Incidents: a folder and a journal for each. What an incident is now is folded from its journal, and stored nowhere."""

from __future__ import annotations

import fcntl
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irctl.errors import EvidenceError, Invalid, Refused, invalid
from irctl.incidents import severity as scales
from irctl.record import journal
from irctl.record.folders import make_folder

ID = re.compile(r"INC-[0-9]{4}-[0-9]{4}-[0-9]{3}", re.ASCII)
PART_OF_ID = re.compile(r"(?:(?:(?:INC-)?[0-9]{4}-)?[0-9]{4}-)?[0-9]{3}", re.ASCII | re.IGNORECASE)
STATUSES = ("Investigating", "Identified", "Monitoring", "Resolved")
PLACES = ("status-page", "chat", "e-mail", "in-app", "social-media", "direct", "stakeholders", "authority")
FINISHING = {  # what a closed incident still takes
    "reopened", "run-ended", "lease-ended", "lease-failed", "revoked", "countersigned", "packed", "held", "released", "communicated"
}  # fmt: skip
APPROVALS = {"requested", "approved", "revoked", "approval-spent", "break-glass", "countersigned"}
MOST = 2000  # characters of a text that a person gives

FORM = {  # the assessment form, spywatcher:67-84
    "urgency": {
        "state": ("ongoing", "stopped"),
        "trend": ("worse", "stable", "improving"),
        "user_impact": ("high", "medium", "low"),
    },
    "classification": {"type": ("security", "outage", "data", "performance"), "root_cause": ("known", "unknown")},
}


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


def open_incident(
    home: Path,
    by: str,
    title: str,
    severity: str,
    component: str = "",
    commander: str = "",
    *,
    profile: str = "linguamate",
) -> str:
    """Open an incident and return its id. Raises Invalid before anything is written, EvidenceError where it cannot be kept."""
    scale = scales.profile(profile)
    entry: dict[str, Any] = {"event": "opened", "title": text("--title", title), "severity": scale.level(severity).name}
    entry |= {"profile": scale.name, "by": by}
    entry |= {name: text(f"--{name}", given) for name, given in (("component", component), ("commander", commander)) if given}
    return _open(home, entry)


def open_drill(home: Path, by: str, title: str, about: Mapping[str, Any], *, profile: str) -> str:
    """Open the incident of a drill, of the mildest severity, and return its id; `about` says of what. Raises EvidenceError."""
    scale = scales.profile(profile)
    head = {"event": "opened", "title": title[:MOST], "severity": scale.levels[-1].name, "profile": scale.name, "by": by}
    return _open(home, {**about, **head, "drill": True})


def _open(home: Path, entry: Mapping[str, Any]) -> str:
    try:
        folder = _new_folder(home)
        with _locked(folder, fcntl.LOCK_EX):
            _append(home, folder, {"incident": folder.name, **entry})
    except OSError as error:
        raise EvidenceError(f"an incident cannot be opened in {home}: {error.strerror}") from None
    return folder.name


def _new_folder(home: Path) -> Path:
    """Make the folder of the next free number of today. One whose process died before its first line keeps its number."""
    root = home / "incidents"
    make_folder(root)
    while True:
        day = f"INC-{datetime.now(UTC):%Y-%m%d}"
        last = max((int(name[-3:]) for name in os.listdir(root) if ID.fullmatch(name) and name.startswith(day)), default=0)
        if last == 999:
            raise Refused(f"999 incidents were opened today; {day}-999 was the last number there is")
        try:
            (root / f"{day}-{last + 1:03}").mkdir(mode=0o700)
        except FileExistsError:
            continue
        _sync(root)
        return root / f"{day}-{last + 1:03}"


def record(home: Path, incident: str, entry: Mapping[str, Any]) -> None:
    """Write one entry to an incident's journal, and the journal's new head to the home's.

    Raises Invalid where there is no such incident, Refused where it is closed and the entry begins something, EvidenceError.
    """
    folder = require(home, incident)
    with _locked(folder, fcntl.LOCK_EX):
        _require_taken(incident, _read(folder), entry)
        _append(home, folder, dict(entry))


def _require_taken(incident: str, entries: Iterable[Mapping[str, Any]], entry: Mapping[str, Any]) -> None:
    turns = [one for one in entries if one["event"] in ("opened", "closed", "reopened")]
    event = entry["event"]
    reverting = event == "run-started" and entry.get("entry_point") == "revert"  # a lease may outlive its incident
    if turns[-1]["event"] == "closed" and event not in FINISHING and not reverting:
        raise Refused(f"{incident} is closed since {turns[-1]['at']}. To add to it: irctl incident reopen {incident} REASON")
    if turns[-1]["event"] != "closed" and event == "reopened":
        raise Refused(f"{incident} is open; there is nothing to reopen")


def require_open(home: Path, incident: str, option: str = "--incident") -> str:
    """The whole id of an incident that something may be begun for. Raises Invalid, or Refused where it is closed."""
    found = find(home, incident, option)
    _require_taken(found, entries(home, found), {"event": "note"})
    return found


def _append(home: Path, folder: Path, entry: dict[str, Any]) -> None:
    head = journal.append(folder, entry)
    told = {"incident_seq": head.seq, "head": head.head}  # `seq` is the home's own
    journal.append(home, {"event": "incident-head", "incident": folder.name, **told})


def require(home: Path, incident: str, option: str = "--incident") -> Path:
    """The folder of an incident that was opened. Raises Invalid."""
    if not ID.fullmatch(incident):
        raise invalid(option, "an incident's id is needed, such as INC-2026-1121-001", incident)
    folder = home / "incidents" / incident
    if not _begun(folder):
        from irctl.catalog.catalog import nearest

        near = nearest(incident, listed(home))
        raise invalid(option, f"there is no incident of this id.{near} `irctl incident list --all` lists them", incident)
    return folder


def _begun(folder: Path) -> bool:
    try:
        with (folder / "journal.jsonl").open("rb") as file:
            return file.readline().endswith(b"\n")
    except OSError:
        return False


def listed(home: Path) -> list[str]:
    """The ids of all incidents that were opened, newest first."""
    try:
        names = os.listdir(home / "incidents")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EvidenceError(f"{home / 'incidents'} cannot be read: {error.strerror}") from None
    return sorted((name for name in names if ID.fullmatch(name) and _begun(home / "incidents" / name)), reverse=True)


def find(home: Path, given: str, option: str = "ID") -> str:
    """The id of the incident that is called so: its id, or the end of it where no other ends so. Raises Invalid."""
    if not PART_OF_ID.fullmatch(given):
        raise invalid(option, "an incident's id is needed, such as INC-2026-1121-001, or the end of one, such as 001", given)
    name = given.upper()
    if ID.fullmatch(name):
        return require(home, name, option).name
    near = [incident for incident in listed(home) if incident.endswith(f"-{name}")]
    if len(near) != 1:
        why = f"more than one incident's id ends so: {', '.join(near[:5])}" if near else "no incident's id ends so"
        raise invalid(option, f"{why}; `irctl incident list --all` lists them", given)
    return near[0]


def opened(home: Path) -> list[State]:
    """The incidents that are not closed, newest first, without drills. Raises EvidenceError where a journal is broken."""
    return [found for incident in listed(home) if not (found := state(home, incident)).closed and not found.drill]


def drills(home: Path) -> list[str]:
    """The ids of all drills, oldest first. Reads one line of each incident."""
    return [incident for incident in reversed(listed(home)) if _first(home / "incidents" / incident).get("drill") is True]


def _first(folder: Path) -> dict[str, Any]:
    try:
        with (folder / "journal.jsonl").open("rb") as file:
            found = json.loads(file.readline())
            return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def single_open(home: Path) -> State | None:
    """The one incident that is open; None where there is none or more than one."""
    found = opened(home)
    return found[0] if len(found) == 1 else None


def entries(home: Path, incident: str) -> list[dict[str, Any]]:
    """The checked entries of an incident's journal. Raises Invalid, or EvidenceError that names the line."""
    folder = require(home, incident)
    with _locked(folder, fcntl.LOCK_SH):
        return _read(folder)


@contextmanager
def alone(home: Path, incident: str) -> Iterator[list[dict[str, Any]]]:
    """Give the entries, and let nobody add to them meanwhile: within, neither `record` nor `entries` may be called."""
    folder = require(home, incident)
    with _locked(folder, fcntl.LOCK_EX):
        yield _read(folder)


def _read(folder: Path) -> list[dict[str, Any]]:
    found = list(journal.read(folder))
    if not found or found[0].get("event") != "opened" or not all(isinstance(entry.get("event"), str) for entry in found):
        raise EvidenceError(f"{folder / 'journal.jsonl'}: not the journal of an incident")
    return found


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold the kernel's lock of a folder; it is freed with the process, however that ends, and leaves no file."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be read: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def state(home: Path, incident: str) -> State:
    """What an incident is now. Raises Invalid, or EvidenceError where its journal is broken."""
    return fold(incident, entries(home, incident))


def fold(incident: str, told: Iterable[Mapping[str, Any]]) -> State:
    """What an incident is after these entries. Raises EvidenceError where they make no sense."""
    found = State(incident)
    for entry in told:
        try:
            _FOLDS.get(entry["event"], _nothing)(found, entry)
        except (KeyError, TypeError, ValueError):
            raise EvidenceError(f"the journal of {incident} makes no sense at entry {entry.get('seq')}") from None
        if entry["event"] in APPROVALS:
            found.approvals.append(_said(entry))
        found.entries += 1
    return found


def _said(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("monotonic", "prev")}


def _nothing(found: State, entry: Mapping[str, Any]) -> None:
    """Told in the timeline only."""


def _opened(found: State, entry: Mapping[str, Any]) -> None:
    for name in ("title", "severity", "profile", "component", "commander"):
        setattr(found, name, str(entry.get(name, "")))
    found.drill = entry.get("drill") is True
    found.times["opened"] = entry["at"]
    if found.commander:
        found.times["commander"] = entry["at"]


def _status(found: State, entry: Mapping[str, Any]) -> None:
    _enter(found, str(entry["status"]), entry["at"])


def _enter(found: State, status: str, at: str) -> None:
    """Going back to an earlier status forgets when a later one was reached."""
    found.status = status
    for later in STATUSES[STATUSES.index(status) + 1 :]:
        found.times.pop(later.lower(), None)
    found.times.setdefault(status.lower(), at)
    if status == STATUSES[-1]:
        found.times.setdefault("monitoring", at)  # what is resolved is watched, from then at the latest
    else:
        found.times = {name: when for name, when in found.times.items() if not name.startswith(("packed", "resolved:"))}


def _assigned(found: State, entry: Mapping[str, Any]) -> None:
    if entry.get("role") == "commander":
        found.commander = str(entry["who"])
        found.times.setdefault("commander", entry["at"])
    else:
        found.assigned = str(entry["who"])


def _severity(found: State, entry: Mapping[str, Any]) -> None:
    found.severity, found.profile = str(entry["severity"]), str(entry["profile"])


def _impact(found: State, entry: Mapping[str, Any]) -> None:
    found.impact |= entry["impact"]


def _acknowledged(found: State, entry: Mapping[str, Any]) -> None:
    found.times.setdefault("acknowledged", entry["at"])


def _communicated(found: State, entry: Mapping[str, Any]) -> None:
    found.times.setdefault("authority" if entry.get("where") == "authority" else "communicated", entry["at"])
    if found.status == STATUSES[-1]:
        found.times.setdefault(f"resolved:{entry.get('where')}", entry["at"])


def _packed(found: State, entry: Mapping[str, Any]) -> None:
    if found.status == STATUSES[-1]:  # the pack of an incident under way is not yet the one that is asked for
        found.times["packed"] = entry["at"]


def _closed(found: State, entry: Mapping[str, Any]) -> None:
    found.closed, found.resolution = True, str(entry.get("resolution", ""))
    found.times["closed"] = entry["at"]
    _enter(found, STATUSES[-1], entry["at"])


def _reopened(found: State, entry: Mapping[str, Any]) -> None:
    found.closed, found.resolution = False, ""
    del found.times["closed"]
    _enter(found, STATUSES[0], entry["at"])


def _held(found: State, entry: Mapping[str, Any]) -> None:
    found.held = "" if entry["event"] == "released" else str(entry.get("reason", "")) or "no reason given"


def _run(found: State, entry: Mapping[str, Any]) -> None:
    run = found.runs.setdefault(str(entry.get("run")), {"outcome": "under way"})
    run |= {key: value for key, value in _said(entry).items() if key not in ("seq", "at", "event")}
    run["started" if entry["event"] == "run-started" else "ended"] = entry["at"]


def _lease(found: State, entry: Mapping[str, Any]) -> None:
    lease = found.leases.setdefault(str(entry.get("run")), {})
    lease |= {key: value for key, value in _said(entry).items() if key not in ("seq", "event")}
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


def readings(found: State, now: datetime, written: str = "") -> list[scales.Reading]:
    """What the clocks of an incident say; `written` is when its post-mortem was, where it is. The most pressing first.

    A drill has none: nobody is to be told, and no authority.
    """
    if found.drill:
        return []
    times = {name: scales.instant(at) for name, at in {**found.times, "post-mortem": written}.items() if at}
    said = scales.readings(found.level, times, now, personal_data=found.personal_data in ("yes", "unknown"))
    order = ("overdue", "running", "waiting", "late", "met", "over")
    return sorted(said, key=lambda one: (order.index(one.state), one.due.timestamp() if one.due else 0))


def text(option: str, given: str, *, lines: bool = False) -> str:
    """Check a text that a person gives: some, not too much, and no character that is not meant to be read. Raises Invalid."""
    said = given.strip()
    if not said:
        raise invalid(option, "must not be empty", given)
    if len(said) > MOST:
        raise invalid(option, f"at most {MOST} characters, and these are {len(said)}", given)
    if any(_unreadable(letter) for letter in said if not (lines and letter in "\n\t")):
        raise invalid(option, "control characters are refused" + ("" if lines else ", and so are line ends"), given)
    return said


def _unreadable(letter: str) -> bool:
    """Controls, halves of characters, line separators, and what turns the direction of writing."""
    turns = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return letter in turns or unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")


def status_of(given: str) -> str:
    """A status in any letter case. Raises Invalid."""
    for status in STATUSES:
        if status.casefold() == given.casefold():
            return status
    raise invalid("STATUS", f"one of {', '.join(STATUSES)} is needed", given)


def assessment(given: Mapping[str, str]) -> dict[str, str]:
    """The impact as the form has it, from what was typed for each of its parts. Raises Invalid."""
    found: dict[str, str] = {}
    for name, said in given.items():
        option = f"--{name.replace('_', '-')}"
        found |= _ticked(option, said, FORM[name]) if name in FORM else {name: text(option, said)}
    if not found:
        raise Invalid("impact: something must be said, such as --users 500 --data none")
    return found


def _ticked(option: str, said: str, form: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in (part.strip().casefold() for part in said.split(",")):
        [box] = [box for box, known in form.items() if word in known] or [""]
        if not box:
            known = "; ".join(f"{box.replace('_', ' ')} {'|'.join(words)}" for box, words in form.items())
            raise invalid(option, f"words of {known} are needed, joined by commas", said)
        if box in found:
            raise invalid(option, f"{found[box]} and {word} are both {box.replace('_', ' ')}", said)
        found[box] = word
    return found
