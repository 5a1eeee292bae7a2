"""Check again, later, what allowed a run: the signatures in its run.json, judged at the times when they were made."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.signatures import APPROVED
from irctl.approvals import break_glass, kept, people, plan, request, statements
from irctl.approvals.people import People
from irctl.approvals.request import Request
from irctl.catalog.config import Settings
from irctl.errors import Refused
from irctl.record import documents, journal
from irctl.record.contents import Difference
from irctl.record.manifest_format import RUN_ID, read_file
from irctl.record.runs import Folder
from irctl.record.verify_command import visible

RUN_IN_PACK = re.compile(rf"runs/{RUN_ID.pattern}/run\.json", re.ASCII)


def recheck(folder: Path, allowed: Path | None) -> tuple[list[Difference], list[str]]:
    """What is wrong with the approvals in a run's record, and sentences about them; without `allowed` they are not checked."""
    begun = _begun(folder)
    permission = begun.get("approval") or {}
    if not isinstance(permission, dict):
        return [Difference("forged", "run.json (its approval is none)")], []
    if not any(permission.get(name) for name in ("needed", "break_glass", "approvals")) and not _needs(permission):
        return [], []
    notes = _source(permission)
    if allowed is None:
        return [], [*notes, "its approvals are not checked: --allowed-signers FILE does that"]
    try:
        everyone = people.read(allowed)
        who = _broken(everyone, begun, permission) if permission.get("break_glass") else _approved(everyone, begun, permission)
    except Refused as error:
        return [Difference("forged", f"run.json (its approvals do not hold: {visible(error)})")], notes
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return [Difference("forged", f"run.json (its approvals are malformed: {visible(error)[:80]})")], notes
    return [], [*notes, f"{who}, by {allowed}", *everyone.unused[:5]]


def main() -> None:
    """For roles: `-m irctl.approvals.recheck FOLDER FILE` prints APPROVED alone, or what is wrong, a line each."""
    folder, allowed = map(Path, sys.argv[1:])
    differences, _notes = recheck(folder, allowed)
    approved = bool((_begun(folder).get("approval") or {}).get("approvals"))
    print("\n".join(map(str, differences)) or (APPROVED if approved else "nobody has approved it"))


def recheck_all(folder: Path, manifest: Mapping[str, Any], allowed: Path | None) -> tuple[list[Difference], list[str]]:
    """The same for a run's record, or for each run that an incident's pack holds."""
    if "run" in manifest:
        return recheck(folder, allowed)
    differences, notes = [], []
    for run in sorted({name.split("/")[1] for name in manifest["files"] if RUN_IN_PACK.fullmatch(name)}):
        wrong, sentences = recheck(folder / "runs" / run, allowed)
        differences += [Difference(one.kind, f"runs/{run}/{one.name}") for one in wrong]
        notes += [f"{run}: {sentence}" for sentence in sentences]
    return differences, notes


def _begun(folder: Path) -> dict[str, Any]:
    try:
        begun = json.loads(read_file(folder / "run.json"))
    except (OSError, ValueError, RecursionError):
        return {}
    return begun if isinstance(begun, dict) else {}


def _needs(permission: Mapping[str, Any]) -> list[str]:
    """The roles that the request says it needs, which its requester signed."""
    request = permission.get("request")
    needs = request.get("needs") if isinstance(request, dict) else None
    return needs if isinstance(needs, list) else []


def _source(permission: Mapping[str, Any]) -> list[str]:
    """Sentences about what whoever ran it may have chosen: who named the file of keys, and who allowed to break the glass."""
    notes = []
    if isinstance(source := permission.get("allowed_signers"), dict):
        path, digest, named = (visible(source.get(name, "not said"))[:200] for name in ("path", "sha256", "named_by"))
        notes.append(f"whose key is whose stood in {path}, sha256 {digest}, named by {named}")
    if permission.get("break_glass"):
        notes.append(f"that the glass may be broken said {visible(permission.get('allowed_by', 'nobody'))[:200]}")
    return notes


def _approved(everyone: People, begun: Mapping[str, Any], permission: Mapping[str, Any]) -> str:
    """Who approved it, in words. Raises Refused where that does not hold."""
    for document, schema in [(permission["request"], "request-1"), *((one, "approval-1") for one in permission["approvals"])]:
        if fault := documents.fault(document, schema):
            raise Refused(f"not {schema}: {fault}")
    requested = Request(permission["request"])
    if permission["needed"] != requested.document["needs"]:
        raise Refused("the roles that it says were needed are not those that were asked for")
    request.require_whole(requested.document, "the request in it")
    if requested.document["plan_hash"] != begun["plan_hash"] or plan.hash_of(begun["plan"]) != begun["plan_hash"]:
        raise Refused("what was approved is not the plan that the record says was carried out")
    if (requested.incident, begun["hosts"]) != (begun["incident"], begun["plan"]["hosts"]):
        raise Refused("what was approved is for another incident or for other hosts")
    requested.require_current(request.instant(begun["started"]))
    statements.require(everyone, requested.document, requested.requester, requested.document["created"])
    approvals: dict[str, Mapping[str, Any]] = {}
    for record in permission["approvals"]:
        signer = kept.believed(everyone, requested, record, record["signed_at"])
        kept.require_eligible(everyone, signer.principal, signer.roles, record["role"], permission["needed"], requested, approvals)
        approvals[record["role"]] = record
    if missing := [role for role in permission["needed"] if role not in approvals]:
        raise Refused(f"the approval of {' and '.join(missing)} is missing")
    return "approved by " + ", ".join(f"{record['principal']} as {role}" for role, record in approvals.items())


def _broken(everyone: People, begun: Mapping[str, Any], permission: Mapping[str, Any]) -> str:
    """Who broke the glass, in words. Raises Refused where no signature says so."""
    break_glass.believed(everyone, permission, str(permission.get("at", "")))
    about = ("plan_hash", "incident")
    if any(permission[name] != begun[name] for name in about) or permission["hosts"] != sorted(begun["hosts"]):
        raise Refused("the glass was broken for another run")
    return f"{permission['by']} broke the glass: {visible(permission['break_glass'])[:200]}"


def faults(settings: Settings) -> Iterator[str]:
    """A sentence for each run of the home whose approvals, as its record keeps them, do not hold. Raises IrctlError."""
    runs = {str(entry.get("run")): entry for entry in journal.read(settings.home_path) if _used_approval(entry)}
    present = [run for run in runs if paths.exists(Folder(settings.home_path, run).path / "run.json")]
    if not present:
        return
    allowed = statements.everybody(settings).file.path
    for run in present:
        folder = Folder(settings.home_path, run)
        found = recheck(folder.path, allowed)[0] or list(_against_journal(folder, runs[run]))
        yield from (f"run {run}: {one}" for one in found)


def _used_approval(entry: Mapping[str, Any]) -> bool:
    return entry.get("event") == "break-glass" or (entry.get("event") == "approval-spent" and bool(entry.get("approvals")))


def _against_journal(folder: Folder, entry: Mapping[str, Any]) -> Iterable[Difference]:
    """Whether the record tells of the same approvals as the journal."""
    permission = _begun(folder.path).get("approval") or {}
    if entry["event"] == "break-glass":
        same = permission.get("break_glass") == entry.get("reason")
    else:
        same = (permission.get("request") or {}).get("id") == entry.get("request")
    if not same:
        yield Difference("forged", "run.json (the journal knows other approvals of it)")


if __name__ == "__main__":
    main()
