"""Whether a run may go ahead: by a request that is exactly what would run, approved and unused, or by breaking the glass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from irctl.approvals import break_glass, kept, request, statements
from irctl.approvals.approval_input import ApprovalInput
from irctl.approvals.comparison import PlannedRun, difference
from irctl.approvals.kept import Ledger, Record
from irctl.approvals.people import People
from irctl.approvals.request import Request
from irctl.catalog.catalog import Remediation
from irctl.catalog.config import Settings
from irctl.errors import Invalid, Refused
from irctl.record import documents, journal

Permission = dict[str, Any]  # why a run may go ahead, as run.json keeps it


def require(settings: Settings, remediation: Remediation, planned: PlannedRun, shown: ApprovalInput) -> Permission:
    """Why this run may go ahead. Raises Refused where it may not."""
    needed = kept.roles_of(remediation)
    if shown.break_glass:
        broken = break_glass.permission(settings, needed, shown.break_glass, planned)
        return broken | allowed_signers_of(settings, statements.everybody(settings))
    if shown.request:
        return _permission(settings, needed, planned, shown.request, shown.records)
    return _registered_permission(settings, needed, planned) if needed else {"needed": []}


def _registered_permission(settings: Settings, needed: list[str], planned: PlannedRun) -> Permission:
    """By a request in this home that was made for exactly this run. Raises Refused with what the newest one lacks."""
    hosts = " ".join(f"--host {name}" for name in planned.names)
    command = f"irctl request {planned.remediation} {hosts}, with the options of this run"
    refusal = Refused(f"{planned.remediation} needs the approval of {' and '.join(needed)}. Ask for it: {command}")
    for matching in _requests_for(settings.home_path, planned):
        try:
            return _permission(settings, needed, planned, matching, ())
        except Refused as error:
            refusal = error
    raise refusal


def _requests_for(home: Path, planned: PlannedRun) -> Iterator[Request]:
    for name in request.listed(home):
        with suppress(Refused, Invalid):  # a damaged one is shown by `irctl approvals`
            registered = request.registered(home, name)
            if not difference(registered, planned):
                yield registered


def _permission(
    settings: Settings, needed: list[str], planned: PlannedRun, requested: Request, carried: tuple[Record, ...]
) -> Permission:
    """By this request and its approvals, kept here or carried in files. Raises Refused."""
    home = settings.home_path
    if other := difference(requested, planned):
        raise Refused(f"this is not what was planned: {other}; nothing was run")
    requested.require_current(request.clock(home))
    if requested.document["home"] != request.home_of(home):
        raise Refused(
            f"request {requested.id[:12]} was made in another home, or this one was emptied since; make it where it is to run"
        )
    ledger = kept.ledger(home)
    kept.require_unspent(home, requested, ledger)
    records = [*kept.stored(home, requested, needed), *carried]
    if not needed and not records:
        return {"needed": needed, "request": dict(requested.document), "approvals": []}
    everyone = statements.everybody(settings)
    approvals = judge(everyone, home, needed, requested, records, ledger)
    source = allowed_signers_of(settings, everyone)
    return {"needed": needed, "request": dict(requested.document), "approvals": [approvals[role] for role in needed], **source}


def allowed_signers_of(settings: Settings, everyone: People) -> dict[str, Any]:
    """Which file said whose key is whose, and who named that file: whoever reads the record has to know it."""
    file = everyone.file
    origin, config = settings.allowed_signers.origin, settings.config
    named_by = f"{config.origin}: {origin}" if origin == config.value and config.origin != "default" else origin
    source = {"path": str(file.path.absolute()), "sha256": file.sha256, "named_by": named_by}
    return {"allowed_signers": source}


def judge(
    everyone: People, home: Path, needed: list[str], requested: Request, records: Iterable[Record], ledger: Ledger
) -> dict[str, Record]:
    """The approvals by role, all that are needed. Raises Refused where one is bad or one is missing."""
    statements.require(everyone, requested.document, requested.requester, request.text(request.clock(home)))
    approvals = kept.accepted(everyone, home, needed, requested, records, ledger)
    missing = [role for role in needed if role not in approvals]
    if missing:
        command = f"irctl approve {requested.id[:12]} --as {missing[0]}"
        raise Refused(f"request {requested.id[:12]} waits for the approval of {' and '.join(missing)}: {command}")
    return approvals


def use(settings: Settings, permission: Permission, run: str, planned: PlannedRun) -> None:
    """Use up what allows the run: an approval holds once, and a broken glass is marked. Just before the run. Raises IrctlError."""
    if "break_glass" in permission:
        break_glass.mark(settings.home_path, permission, run, planned.incident)
    elif "request" in permission:
        _spend(settings, Request(permission["request"]), permission, run)


def _spend(settings: Settings, requested: Request, permission: Permission, run: str) -> None:
    home = settings.home_path
    if not documents.put(kept.spent_path(home, requested), {"request": requested.id, "run": run, "at": journal.utc()}):
        raise Refused(f"request {requested.id[:12]} was used before; it holds once")
    by = [{"role": record["role"], "principal": record["principal"]} for record in permission["approvals"]]
    entry = {"event": "approval-spent", "by": settings.operator, "run": run, "approvals": by}
    request.note(settings, requested, entry | ({"allowed_signers": permission["allowed_signers"]} if by else {}))
