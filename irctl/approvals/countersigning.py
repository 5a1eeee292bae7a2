"""Countersigning a run that broke the glass, and telling which of them still wait for that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, values
from irctl.approvals import break_glass, request, statements
from irctl.approvals.people import People
from irctl.catalog.config import Settings
from irctl.errors import EvidenceError, Invalid, IrctlError, Refused
from irctl.record import documents, journal, seal
from irctl.record.known import known
from irctl.record.manifest_format import read_file
from irctl.record.runs import Folder
from irctl.record.seal import RUN_ID

SCHEMA = "irctl/countersign/1"


def countersign(settings: Settings, folder: Folder, role: str) -> dict[str, Any]:
    """Sign, as the caller in this role, that a run which broke the glass was right, or at least seen. Raises IrctlError."""
    begun, manifest = _as_sealed(folder)
    who = statements.principal(settings)
    everyone = statements.everybody(settings)
    _require_may(everyone, folder.run, begun["approval"], who, role)
    signed_at = request.text(request.clock(folder.home))
    statement = {"schema": SCHEMA, "run": folder.run, "manifest": manifest, "role": role, "principal": who, "signed_at": signed_at}
    return _keep(everyone, folder, begun, statements.sign(settings, statement, who))


def _require_may(everyone: People, run: str, broken: Mapping[str, Any], who: str, role: str) -> None:
    roles = everyone.roles_of(who)
    if role not in broken["needed"]:
        raise Refused(f"{run} lacked the approval of {' and '.join(broken['needed'])}, not of {role}")
    if role not in roles:
        raise Refused(f"{who} does not hold the role {role}")
    if everyone.same(who, broken["by"]):
        raise Refused(f"{who} cannot countersign: {broken['by']} broke the glass, and somebody else must look at it")


def _as_sealed(folder: Folder) -> tuple[dict[str, Any], str]:
    """run.json of a run that broke the glass, and the hash of its manifest, held against its seal and the journal."""
    begun = folder.document("run.json")
    if not (begun.get("approval") or {}).get("break_glass"):
        raise Invalid(f"RUN: {folder.run} did not break the glass; there is nothing to countersign")
    if not paths.exists(folder.path / seal.MANIFEST):
        raise Refused(f"{folder.run} is under way; countersign it when it has ended")
    if is_void(folder):
        raise Invalid(f"RUN: {folder.run} was refused and changed nothing; there is nothing to countersign")
    manifest = seal.manifest(folder.path)[1]
    if seal.differences(folder.path) or known(folder.home).runs.get(folder.run) != [manifest]:
        raise EvidenceError(f"the record of {folder.run} is not as it was sealed: irctl evidence verify {folder.run}")
    return begun, manifest


def _keep(everyone: People, folder: Folder, begun: dict[str, Any], signed: dict[str, Any]) -> dict[str, Any]:
    path = _path(folder.home, folder.run)
    marker = break_glass.marker(folder.home, folder.run)
    if not documents.put(path, signed):
        before = documents.read(path, "countersign-1")
        _require_valid(everyone, folder.run, begun["approval"], before, signed["manifest"])
        marker.unlink(missing_ok=True)
        raise Refused(f"{folder.run} was countersigned before, by {before['principal']} at {before['signed_at']}")
    late = signed["signed_at"] > begun["approval"]["countersign_by"]
    entry = {name: signed[name] for name in ("run", "role", "manifest")} | {"by": signed["principal"], "late": late}
    break_glass.note(folder.home, begun["incident"], {"event": "countersigned", **entry, "remediation": begun["remediation"]})
    marker.unlink(missing_ok=True)
    return signed


def _require_valid(everyone: People, run: str, broken: Mapping[str, Any], signed: Mapping[str, Any], manifest: str) -> None:
    """Raises Refused where a kept countersignature is not one of this record by somebody who may give it."""
    signer = statements.require(everyone, signed, signed["principal"], signed["signed_at"])
    if (signed["run"], signed["manifest"]) != (run, manifest):
        raise Refused(f"the countersignature of {signer.principal} is of another record")
    _require_may(everyone, run, broken, signer.principal, signed["role"])


def _path(home: Path, run: str) -> Path:
    return home / "countersigned" / f"{run}.json"


# Which still wait


def reminders(home: Path) -> Iterator[str]:
    """A sentence for each run whose mark says that it broke the glass and was not countersigned."""
    for marker in sorted((home / "uncountersigned").glob("*.json")):
        if RUN_ID.fullmatch(marker.stem):
            folder = Folder(home, marker.stem)
            if paths.exists(folder.path / "run.json") and not is_void(folder):
                yield _reminder(marker.stem, _read(marker))


def is_void(folder: Folder) -> bool:
    """Whether the run was refused on every host before anything was touched, by a record that is as it was sealed."""
    try:
        if not paths.exists(folder.path / "result.json") or seal.differences(folder.path):
            return False
        if known(folder.home).runs.get(folder.run) != [seal.manifest(folder.path)[1]]:
            return False
        hosts = folder.document("result.json")["hosts"].values()
        return bool(hosts) and all(host["outcome"] == "refused" and not host["changed"] for host in hosts)
    except (EvidenceError, KeyError, TypeError, AttributeError):
        return False


def waiting(settings: Settings) -> list[str]:
    """The same from the journal, where a removed mark and an unsigned line do not help. Raises EvidenceError."""
    home = settings.home_path
    broken: dict[str, dict[str, Any]] = {}
    begun: set[str] = set()
    for entry in journal.read(home):
        run = str(entry.get("run"))
        if entry.get("event") == "break-glass":
            broken[run] = entry
        elif entry.get("event") == "run-started":
            begun.add(run)
    return [sentence for run, entry in broken.items() if run in begun and (sentence := _waits(settings, run, entry))]


def _waits(settings: Settings, run: str, entry: Mapping[str, Any]) -> str:
    """Why a run is not countersigned yet, or ''."""
    folder = Folder(settings.home_path, run)
    if is_void(folder):
        return ""
    try:
        signed = documents.read(_path(folder.home, run), "countersign-1")
        broken = {"by": entry.get("by"), "needed": entry.get("needed")}
        _require_valid(statements.everybody(settings), run, broken, signed, seal.manifest(folder.path)[1])
    except Invalid as error:
        if paths.exists(_path(folder.home, run)):
            return f"the countersignature of run {run} cannot be checked: {error}"
        return _reminder(run, {**entry, "break_glass": entry.get("reason")})
    except IrctlError as error:
        return f"{_reminder(run, {**entry, 'break_glass': entry.get('reason')})} ({values.printable(error, 200)})"
    return ""


def _reminder(run: str, broken: Mapping[str, Any]) -> str:
    who = f"somebody other than {broken.get('by', 'who ran it')}"
    until = str(broken.get("countersign_by", ""))
    role = (broken.get("needed") or ["ROLE"])[0]
    command = f"irctl approvals countersign {run} --as {role}"
    reason = values.printable(broken.get("break_glass", "its reason cannot be read"), 200)
    now = datetime.now(UTC)
    if request.text(now) < until <= request.text(now + break_glass.LONGEST):
        return f"run {run} broke the glass ({reason}) and must be countersigned by {until}, by {who}: {command}"
    since = until if until and until <= request.text(now) else "long ago"
    return f"run {run} broke the glass ({reason}) and its countersignature by {who} is OVERDUE since {since}: {command}"


def _read(marker: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_file(marker))
        return document if isinstance(document, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}
