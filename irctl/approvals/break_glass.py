"""Breaking the glass: a run without its approvals, signed by who runs it; somebody else must countersign it in time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.approvals import request, statements
from irctl.approvals.comparison import PlannedRun
from irctl.approvals.people import People, Signer
from irctl.catalog.config import Settings
from irctl.errors import Invalid, Refused
from irctl.incidents import incidents
from irctl.record import documents, journal

SCHEMA = "irctl/break-glass/1"
LONGEST = timedelta(hours=72)  # to wait for a countersignature
SIGNED = (
    "schema", "remediation", "plan_hash", "hosts", "incident", "lease", "home", "needed", "break_glass", "by", "at",
    "countersign_by", "signature",
)  # fmt: skip


def allowed_for(settings: Settings, needed: list[str]) -> timedelta:
    """The time within which it must be countersigned. Raises Invalid where no approval is needed, Refused where not allowed."""
    if not needed:
        raise Invalid("--break-glass: no approval is needed; leave it out")
    if not settings.break_glass.value:
        raise Refused(f"--break-glass: the configuration does not allow it; this needs the approval of {' and '.join(needed)}")
    try:
        allowed = timedelta(seconds=values.seconds(settings.break_glass.value))
    except (ValueError, OverflowError) as error:
        raise Invalid(f"break_glass: {error} (from {settings.break_glass.origin})") from None
    if allowed > LONGEST:
        most = values.duration(LONGEST.total_seconds())
        raise Invalid(f"break_glass: at most {most} (got '{settings.break_glass.value}' from {settings.break_glass.origin})")
    return allowed


def permission(settings: Settings, needed: list[str], reason: str, planned: PlannedRun) -> dict[str, Any]:
    """Why a run may go ahead without its approvals, signed by the caller, as its record keeps it. Raises IrctlError."""
    allowed = allowed_for(settings, needed)
    who, home = statements.principal(settings), settings.home_path
    everyone = statements.everybody(settings)
    everyone.lines_of(who)  # else nobody is surely somebody else
    now = request.clock(home)
    statement = {
        "schema": SCHEMA,
        "remediation": planned.remediation,
        "plan_hash": planned.plan_hash,
        "hosts": sorted(planned.plan["hosts"]),
        "incident": planned.incident,
        "lease": planned.lease,
        "home": request.home_of(home) if journal.latest(home) else "",
        "needed": needed,
        "break_glass": reason,
        "by": who,
        "at": request.text(now),
        "countersign_by": request.text(now + allowed),
    }
    return {**statements.sign(settings, statement, who), "allowed_by": settings.break_glass.origin}


def believed(everyone: People, broken: Mapping[str, Any], at: str = "") -> Signer:
    """Who broke the glass, checked by the signature; `at` is the time to judge that at. Raises Refused."""
    try:
        statement = {name: broken[name] for name in SIGNED}
        signer = statements.require(everyone, statement, broken["by"], at)
        if request.instant(broken["countersign_by"]) - request.instant(broken["at"]) > LONGEST:
            raise Refused(f"{broken['by']} broke the glass for longer than {values.duration(LONGEST.total_seconds())}")
    except (KeyError, TypeError, AttributeError):
        raise Refused("the glass was broken without a signature") from None
    return signer


def mark(home: Path, broken: Mapping[str, Any], run: str, incident: str) -> None:
    """Write down, before the run, that it must be countersigned. Raises EvidenceError."""
    documents.put(marker(home, run), {**broken, "run": run})
    names = ("by", "remediation", "plan_hash", "hosts", "needed", "countersign_by", "signature")
    note(
        home,
        incident,
        {"event": "break-glass", "reason": broken["break_glass"], "run": run} | {name: broken[name] for name in names},
    )


def note(home: Path, incident: str, entry: Mapping[str, Any]) -> None:
    """Tell the journal of the home, and that of the incident where this home has it. Raises EvidenceError."""
    journal.append(home, {**entry, "incident": incident})
    if incident and incident in incidents.listed(home):
        incidents.record(home, incident, entry)


def marker(home: Path, run: str) -> Path:
    """What waits for a countersignature, in the folder of such marks."""
    return home / "uncountersigned" / f"{run}.json"
