"""Breaking the glass: a run without its approvals, where the configuration allows it; somebody else must countersign it in time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.approvals import request, statements
from irctl.catalog.config import Settings
from irctl.errors import EvidenceError, Invalid, Refused
from irctl.incidents import incidents
from irctl.record import documents, journal, seal
from irctl.record.runs import Folder
from irctl.record.seal import RUN_ID

SCHEMA = "irctl/countersign/1"


def allowed_for(settings: Settings, needed: list[str]) -> int:
    """The seconds within which it must be countersigned. Raises Invalid where no approval is needed, Refused where not allowed."""
    if not needed:
        raise Invalid("--break-glass: no approval is needed; leave it out")
    if not settings.break_glass.value:
        raise Refused(f"--break-glass: the configuration does not allow it; this needs the approval of {' and '.join(needed)}")
    try:
        return values.seconds(settings.break_glass.value)
    except ValueError as error:
        raise Invalid(f"break_glass: {error} (from {settings.break_glass.origin})") from None


def permission(settings: Settings, needed: list[str], reason: str) -> dict[str, Any]:
    """Why a run may go ahead without its approvals, as its record keeps it. Raises Invalid or Refused."""
    until = datetime.now(UTC) + timedelta(seconds=allowed_for(settings, needed))
    by = statements.known(statements.allowed(settings), statements.principal(settings))  # else nobody is surely somebody else
    return {"needed": needed, "break_glass": reason, "by": by.principal, "countersign_by": until.strftime(request.TIME)}


def mark(home: Path, permission: Mapping[str, Any], run: str, incident: str, about: Mapping[str, Any]) -> None:
    """Write down, before the run, that it must be countersigned. Raises EvidenceError."""
    documents.put(_marker(home, run), {**permission, "run": run})
    entry = {"event": "break-glass", "by": permission["by"], "reason": permission["break_glass"], "run": run, **about}
    _note(home, incident, {**entry, "needed": permission["needed"], "countersign_by": permission["countersign_by"]})


def _note(home: Path, incident: str, entry: Mapping[str, Any]) -> None:
    journal.append(home, {**entry, "incident": incident})
    if incident and incident in incidents.listed(home):
        incidents.record(home, incident, entry)


def countersign(settings: Settings, folder: Folder, role: str) -> dict[str, Any]:
    """Sign, as the caller in this role, that a run which broke the glass was right, or at least seen. Raises IrctlError."""
    begun, sealed = _seen(folder)
    broken = begun["approval"]
    who = statements.principal(settings)
    signer = statements.known(statements.allowed(settings), who)
    if role not in broken["needed"]:
        raise Refused(f"{folder.run} lacked the approval of {' and '.join(broken['needed'])}, not of {role}")
    if role not in signer.roles:
        raise Refused(f"{who} does not hold the role {role}")
    if statements.same_person(who, broken["by"]):
        raise Refused(f"{who} cannot countersign: {broken['by']} broke the glass, and somebody else must look at it")
    said = {"schema": SCHEMA, "run": folder.run, "manifest": sealed, "role": role, "principal": who, "signed_at": journal.utc()}
    return _keep(settings, folder, begun, statements.sign(settings, said, who))


def _seen(folder: Folder) -> tuple[dict[str, Any], str]:
    """What a run that broke the glass was about, and the hash of its manifest, held against its seal and the journal."""
    begun = folder.document("run.json")
    if not (begun.get("approval") or {}).get("break_glass"):
        raise Invalid(f"RUN: {folder.run} did not break the glass; there is nothing to countersign")
    if not (folder.path / seal.MANIFEST).exists():
        raise Refused(f"{folder.run} is under way; countersign it when it has ended")
    sealed = seal.manifest(folder.path)[1]
    known = [entry.get("manifest") for entry in journal.read(folder.home) if _is(entry, "run-sealed", folder.run)]
    if seal.differences(folder.path) or known[-1:] != [sealed]:
        raise EvidenceError(f"the record of {folder.run} is not as it was sealed: irctl evidence verify {folder.run}")
    return begun, sealed


def _is(entry: Mapping[str, Any], event: str, run: str) -> bool:
    return entry.get("event") == event and entry.get("run") == run


def _keep(settings: Settings, folder: Folder, begun: dict[str, Any], signed: dict[str, Any]) -> dict[str, Any]:
    path = folder.home / "countersigned" / f"{folder.run}.json"
    if not documents.put(path, signed):
        before = documents.read(path, "countersign-1")
        statements.require(statements.allowed(settings), before, before["principal"])
        _marker(folder.home, folder.run).unlink(missing_ok=True)
        raise Refused(f"{folder.run} was countersigned before, by {before['principal']} at {before['signed_at']}")
    late = signed["signed_at"] > begun["approval"]["countersign_by"]
    entry = {name: signed[name] for name in ("run", "role", "manifest")} | {"by": signed["principal"], "late": late}
    _note(folder.home, begun["incident"], {"event": "countersigned", **entry, "remediation": begun["remediation"]})
    _marker(folder.home, folder.run).unlink(missing_ok=True)
    return signed


def reminders(home: Path) -> Iterator[str]:
    """A sentence for each run that broke the glass and was not countersigned."""
    for marker in sorted((home / "uncountersigned").glob("*.json")):
        if RUN_ID.fullmatch(marker.stem) and (Folder(home, marker.stem).path / "run.json").exists():
            yield _reminder(marker.stem, _read(marker))


def unsigned(home: Path) -> list[str]:
    """The same from the journal, where a marker that was removed does not help. Raises EvidenceError."""
    broken: dict[str, dict[str, Any]] = {}
    begun: set[str] = set()
    for entry in journal.read(home):
        run = str(entry.get("run"))
        if entry.get("event") == "break-glass":
            broken[run] = entry
        elif entry.get("event") == "countersigned":
            broken.pop(run, None)
        elif entry.get("event") == "run-started":
            begun.add(run)
    return [_reminder(run, {**entry, "break_glass": entry["reason"]}) for run, entry in broken.items() if run in begun]


def _reminder(run: str, about: Mapping[str, Any]) -> str:
    who = f"somebody other than {about.get('by', 'who ran it')}"
    until = str(about.get("countersign_by", ""))
    role = (about.get("needed") or ["ROLE"])[0]
    how = f"irctl approvals countersign {run} --as {role}"
    why = values.printable(about.get("break_glass", "its reason cannot be read"), 200)
    if until > journal.utc():
        return f"run {run} broke the glass ({why}) and must be countersigned by {until}, by {who}: {how}"
    return f"run {run} broke the glass ({why}) and its countersignature by {who} is OVERDUE since {until or 'long ago'}: {how}"


def _read(marker: Path) -> dict[str, Any]:
    try:
        found = json.loads(marker.read_bytes())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _marker(home: Path, run: str) -> Path:
    return home / "uncountersigned" / f"{run}.json"
