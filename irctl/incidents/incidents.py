"""Incidents: a folder and a journal for each. What an incident is now is folded from its journal, and stored nowhere.

Other rooms call this file; what it gives of `state` and `inputs` stands here too.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.trees import sync_folder
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.errors import EvidenceError, Refused, invalid
from irctl.incidents import severity as scales
from irctl.incidents.inputs import MOST, PLACES, assessment, status_of, text
from irctl.incidents.state import APPROVALS, STATUSES, State, fold, readings
from irctl.record import journal
from irctl.record.folders import make_folder
from irctl.record.manifest_format import JOURNAL, open_file

__all__ = [
    "APPROVALS", "FINISHING", "ID", "LAST", "MOST", "PART_OF_ID", "PLACES", "STATUSES", "State", "alone", "assessment", "drills",
    "entries", "find", "fold", "listed", "newest", "open_drill", "open_incident", "opened", "readings", "record", "require",
    "require_form", "require_open", "single_open", "state", "status_of", "text",
]  # fmt: skip
ID = re.compile(r"INC-[0-9]{4}-[0-9]{4}-[0-9]{3}", re.ASCII)
LAST = "last"  # the newest incident, where it is only looked at
PART_OF_ID = re.compile(r"(?:(?:(?:INC-)?[0-9]{4}-)?[0-9]{4}-)?[0-9]{3}", re.ASCII | re.IGNORECASE)
FINISHING = {  # what a closed incident still takes
    "reopened", "run-ended", "lease-ended", "lease-failed", "revoked", "countersigned", "packed", "held", "released", "communicated"
}  # fmt: skip


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


def open_drill(home: Path, by: str, title: str, drill: Mapping[str, Any], *, profile: str) -> str:
    """Open the incident of a drill, of the mildest severity, and return its id; `drill` says of what. Raises EvidenceError."""
    scale = scales.profile(profile)
    head = {"event": "opened", "title": title[:MOST], "severity": scale.levels[-1].name, "profile": scale.name, "by": by}
    return _open(home, {**drill, **head, "drill": True})


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
        sync_folder(root)
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
    whole = find(home, incident, option)
    _require_taken(whole, entries(home, whole), {"event": "note"})
    return whole


def _append(home: Path, folder: Path, entry: dict[str, Any]) -> None:
    head = journal.append(folder, entry)
    known = {"incident_seq": head.seq, "head": head.head}  # `seq` is the home's own
    journal.append(home, {"event": "incident-head", "incident": folder.name, **known})


def require(home: Path, incident: str, option: str = "--incident") -> Path:
    """The folder of an incident that was opened. Raises Invalid."""
    if not ID.fullmatch(incident):
        raise invalid(option, "an incident's id is needed, such as INC-2026-1121-001", incident)
    folder = home / "incidents" / incident
    if not _begun(folder):
        from irctl.catalog.unknown_names import nearest

        near = nearest(incident, listed(home))
        raise invalid(option, f"there is no incident of this id.{near} `irctl incident list --all` lists them", incident)
    return folder


def _begun(folder: Path) -> bool:
    return bool(_first_line(folder))


def _first_line(folder: Path) -> bytes:
    """The whole first line of a folder's journal; nothing where there is none, or where it is no regular file."""
    try:
        with os.fdopen(open_file(folder / JOURNAL), "rb") as file:
            line = file.readline(journal.LARGEST + 1)
            return line if line.endswith(b"\n") else b""
    except OSError:
        return b""


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
    try:
        require_form(given)
    except ValueError as error:
        raise invalid(option, str(error), given) from None
    name = given.upper()
    if ID.fullmatch(name):
        return require(home, name, option).name
    near = [incident for incident in listed(home) if incident.endswith(f"-{name}")]
    if len(near) != 1:
        why = f"more than one incident's id ends so: {', '.join(near[:5])}" if near else "no incident's id ends so"
        raise invalid(option, f"{why}; `irctl incident list --all` lists them", given)
    return near[0]


def require_form(given: str) -> None:
    """Raises ValueError where this is neither the id of an incident nor the end of one."""
    if given == LAST:
        raise ValueError("that is whichever anybody opened last; name it by its id: `irctl incident list` lists them")
    if not PART_OF_ID.fullmatch(given):
        raise ValueError("an incident's id is needed, such as INC-2026-1121-001, or the end of one, such as 001")


def newest(home: Path, option: str = "ID") -> str:
    """The id of the newest incident that is no drill. Raises Invalid where there is none."""
    for incident in listed(home):
        if _first(home / "incidents" / incident).get("drill") is not True:
            return incident
    raise invalid(option, "no incident was opened yet", LAST)


def opened(home: Path) -> list[State]:
    """The incidents that are not closed, newest first, without drills. Raises EvidenceError where a journal is broken."""
    return [one for incident in listed(home) if not (one := state(home, incident)).closed and not one.drill]


def drills(home: Path) -> list[str]:
    """The ids of all drills, oldest first. Reads one line of each incident."""
    return [incident for incident in reversed(listed(home)) if _first(home / "incidents" / incident).get("drill") is True]


def _first(folder: Path) -> dict[str, Any]:
    try:
        entry = json.loads(_first_line(folder))
        return entry if isinstance(entry, dict) else {}
    except (ValueError, RecursionError):
        return {}


def single_open(home: Path) -> State | None:
    """The one incident that is open; None where there is none or more than one."""
    states = opened(home)
    return states[0] if len(states) == 1 else None


def entries(home: Path, incident: str) -> list[dict[str, Any]]:
    """The checked entries of an incident's journal. Raises Invalid, or EvidenceError that names the line."""
    folder = require(home, incident)
    with _locked(folder, fcntl.LOCK_SH):
        return _read(folder)


def require_known(home: Path, incident: str, entries: list[dict[str, Any]]) -> None:
    """Raises EvidenceError where entries of an incident are others than the journal of its home knows, or some are missing."""
    known, broken = journal.marked(home, b'"event":"incident-head"')
    heads = {entry["incident_seq"]: entry["head"] for entry in reversed(known) if entry.get("incident") == incident}
    lines = [hashlib.sha256(journal.canonical(entry)).hexdigest() for entry in entries]
    if not heads:
        raise EvidenceError(broken or f"the journal of this home does not know {incident}")
    for seq, head in sorted(heads.items()):
        if seq > len(lines) or lines[seq - 1] != head:
            raise EvidenceError(f"line {seq} of the journal of {incident} is not the one that the journal of this home knows")


@contextmanager
def alone(home: Path, incident: str) -> Iterator[list[dict[str, Any]]]:
    """Give the entries, and let nobody add to them meanwhile: within, neither `record` nor `entries` may be called."""
    folder = require(home, incident)
    with _locked(folder, fcntl.LOCK_EX):
        yield _read(folder)


def _read(folder: Path) -> list[dict[str, Any]]:
    read = list(journal.read(folder))
    if not read or read[0].get("event") != "opened" or not all(isinstance(entry.get("event"), str) for entry in read):
        raise EvidenceError(f"{folder / 'journal.jsonl'}: not the journal of an incident")
    if read[0].get("incident") != folder.name:
        raise EvidenceError(f"{folder / 'journal.jsonl'}: it is the journal of {printable(read[0].get('incident'), 80)}")
    return read


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


def state(home: Path, incident: str) -> State:
    """What an incident is now. Raises Invalid, or EvidenceError where its journal is broken."""
    return fold(incident, entries(home, incident))
