"""Who may say yes to a request, and the signed records of it: made, kept, revoked, judged."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irctl.approvals import request, statements
from irctl.approvals.request import Request
from irctl.catalog.catalog import Remediation
from irctl.catalog.config import Settings
from irctl.errors import Invalid, Refused
from irctl.record import documents, journal, signing
from irctl.record.signing import Signer

SCHEMA = "irctl/approval/1"
REVOKED = "irctl/revocation/1"
Record = Mapping[str, Any]


@dataclass
class Ledger:
    """What the journal of a home knows of requests: the run that spent each, and the approvals (role, person) taken back."""

    spent: dict[str, str] = field(default_factory=dict)
    revoked: dict[str, set[tuple[str, str]]] = field(default_factory=dict)


def ledger(home: Path) -> Ledger:
    """Read the journal for it. Raises EvidenceError where the journal is broken."""
    found = Ledger()
    for entry in journal.read(home):
        if entry.get("event") == "approval-spent":
            found.spent[str(entry.get("request"))] = str(entry.get("run"))
        elif entry.get("event") == "revoked":
            found.revoked.setdefault(str(entry.get("request")), set()).add((str(entry.get("role")), str(entry.get("by"))))
    return found


def roles_of(found: Remediation) -> list[str]:
    """The roles whose approval it needs. Raises Invalid where its metadata do not say that in roles."""
    roles = found.about.get("approvals", [])
    sound = isinstance(roles, list) and all(isinstance(role, str) and signing.ROLE.fullmatch(role) for role in roles)
    if not sound or len(set(roles)) != len(roles):
        where = found.folder / "meta" / "remediation.yml"
        raise Invalid(f"content: {where}: approvals must be a list of different roles, such as incident-commander")
    return list(roles)


def require_unspent(home: Path, wanted: Request, known: Ledger) -> None:
    """Raises Refused where a run has used the request before, even if the mark of that is gone."""
    if os.path.lexists(spent_path(home, wanted)) or wanted.id in known.spent:
        raise Refused(f"request {wanted.id[:12]} was used before, by run {known.spent.get(wanted.id, '(unknown)')}; it holds once")


def spent_path(home: Path, wanted: Request) -> Path:
    return home / "spent" / wanted.id


def accepted(settings: Settings, needed: list[str], wanted: Request, records: Iterable[Record], known: Ledger) -> dict[str, Record]:
    """The valid approvals by role. Raises Refused for the first that is forged, revoked, or of somebody who may not give it."""
    taken: dict[str, Record] = {}
    for record in records:
        signer = _believed(settings, wanted, record)
        role = record["role"]
        _require_eligible(signer, role, needed, wanted, taken)
        if _is_revoked(settings.home_path, wanted, role, signer.principal, known):
            raise Refused(f"the approval of {role} was revoked by {signer.principal}; ask anew: irctl request {wanted.remediation}")
        if taken.setdefault(role, record) != record:
            raise Refused(f"there are two approvals as {role}, of {taken[role]['principal']} and {signer.principal}")
    return taken


def _believed(settings: Settings, wanted: Request, record: Record) -> Signer:
    """Who made the record, checked by its signature. Raises Refused."""
    signer = statements.require(statements.allowed(settings), record, record["principal"])
    if record["request"] != wanted.id:
        raise Refused(f"the approval of {signer.principal} is of request {record['request'][:12]}, not of {wanted.id[:12]}")
    at = request.instant(record["signed_at"])
    if not request.instant(wanted.document["created"]) - request.LENIENT <= at <= wanted.expires:
        raise Refused(f"the approval of {signer.principal} was signed at {record['signed_at']}, outside of the request's time")
    return signer


def _require_eligible(signer: Signer, role: str, needed: list[str], wanted: Request, others: Mapping[str, Record]) -> None:
    who = signer.principal
    if role not in needed:
        raise Refused(f"{wanted.remediation} needs no approval as {role}; it needs {' and '.join(needed) or 'none'}")
    if role not in signer.roles:
        raise Refused(
            f"{who} does not hold the role {role}; the allowed-signers file says: {', '.join(sorted(signer.roles)) or 'none'}"
        )
    if statements.same_person(who, wanted.requester):
        raise Refused(f"{who} cannot approve: the request is of {wanted.requester}, and who requests does not approve")
    for other, record in others.items():
        if other != role and statements.same_person(who, record["principal"]):
            raise Refused(
                f"{who} cannot approve as {role}: {record['principal']} approved as {other}, and roles are different people"
            )


def require_may(settings: Settings, needed: list[str], wanted: Request, role: str) -> None:
    """Raises Refused, before anybody is asked to sign, where the caller may not approve the request in this role."""
    home, known, allowed = settings.home_path, ledger(settings.home_path), statements.allowed(settings)
    signer = statements.known(allowed, statements.principal(settings))
    wanted.require_current()
    require_unspent(home, wanted, known)
    if needed:
        statements.require(allowed, wanted.document, wanted.requester)
    kept = {record["role"]: record for record in stored(home, wanted, needed)}
    if role in kept:
        raise _taken(role, kept[role])
    _require_eligible(signer, role, needed, wanted, kept)
    if _is_revoked(home, wanted, role, signer.principal, known):
        raise Refused(f"{signer.principal} has revoked an approval as {role} of this request; ask for a new one")


def approve(settings: Settings, wanted: Request, role: str) -> Record:
    """Sign the request as the caller, in this role. Raises IrctlError."""
    who = statements.principal(settings)
    said = {"schema": SCHEMA, "request": wanted.id, "role": role, "principal": who, "signed_at": journal.utc()}
    return statements.sign(settings, said, who)


def keep(settings: Settings, wanted: Request, record: Record) -> None:
    """Put an approval into its slot, of which there is one for each role. Raises Refused where another was quicker."""
    home, role = settings.home_path, record["role"]
    if not documents.put(_slot(home, wanted, role), dict(record)):
        raise _taken(role, documents.read(_slot(home, wanted, role), "approval-1"))
    request.note(settings, wanted, {"event": "approved", "role": role, "by": record["principal"], "signed_at": record["signed_at"]})


def _taken(role: str, record: Record) -> Refused:
    return Refused(f"{record['principal']} approved as {role} at {record['signed_at']}; one approval for each role is enough")


def stored(home: Path, wanted: Request, needed: list[str]) -> list[Record]:
    """The approvals of a request that are kept in this home, unjudged. Raises Refused for a record that is damaged."""
    found: list[Record] = []
    for role in needed:
        path = _slot(home, wanted, role)
        if os.path.lexists(path):
            found.append(documents.read(path, "approval-1"))
            if found[-1]["role"] != role:
                raise Refused(f"{path} was edited: it is an approval as {found[-1]['role']}")
    return found


def revoke(settings: Settings, needed: list[str], wanted: Request, role: str, reason: str) -> Record:
    """Take back the caller's own approval in this role, by a signed statement. Raises Refused."""
    home, who, known = settings.home_path, statements.principal(settings), ledger(settings.home_path)
    require_unspent(home, wanted, known)
    for record in stored(home, wanted, needed):
        if record["role"] == role and record["principal"] != who:
            raise Refused(f"{record['principal']} approved as {role}, and nobody else can revoke that")
    if role not in statements.known(statements.allowed(settings), who).roles:
        raise Refused(f"{who} does not hold the role {role}, so there is nothing to revoke")
    said = {"schema": REVOKED, "request": wanted.id, "role": role, "principal": who, "reason": reason, "signed_at": journal.utc()}
    signed = statements.sign(settings, said, who)
    if not documents.put(_revocation(home, wanted, role, who), signed):
        raise Refused(f"{who} revoked the approval as {role} before")
    request.note(settings, wanted, {"event": "revoked", "role": role, "by": who, "reason": reason})
    return signed


def _is_revoked(home: Path, wanted: Request, role: str, who: str, known: Ledger) -> bool:
    return (role, who) in known.revoked.get(wanted.id, ()) or os.path.lexists(_revocation(home, wanted, role, who))


def _slot(home: Path, wanted: Request, role: str) -> Path:
    return home / "approvals" / wanted.id / f"{role}.json"


def _revocation(home: Path, wanted: Request, role: str, who: str) -> Path:
    return home / "approvals" / wanted.id / f"{role}.{who}.revoked.json"
