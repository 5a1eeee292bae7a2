"""Who may say yes to a request, and the signed records of it: made, kept, revoked, judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.approvals import people, request, statements
from irctl.approvals.people import People, Signer
from irctl.approvals.request import Request
from irctl.catalog.catalog import Remediation
from irctl.catalog.config import Settings
from irctl.errors import Invalid, Refused
from irctl.record import documents, journal

SCHEMA = "irctl/approval/1"
REVOKED = "irctl/revocation/1"
Record = Mapping[str, Any]


@dataclass
class Ledger:
    """What the journal of a home knows of requests: the run that spent each, and the approvals (role, person) taken back."""

    spent: dict[str, str] = field(default_factory=dict)
    revoked: dict[str, set[tuple[str, str]]] = field(default_factory=dict)


def ledger(home: Path) -> Ledger:
    """Read it from the journal. Raises EvidenceError where that is broken."""
    found = Ledger()
    for entry in journal.read(home):
        if entry.get("event") == "approval-spent":
            found.spent[str(entry.get("request"))] = str(entry.get("run"))
        elif entry.get("event") == "revoked":
            found.revoked.setdefault(str(entry.get("request")), set()).add((str(entry.get("role")), str(entry.get("by"))))
    return found


def roles_of(remediation: Remediation) -> list[str]:
    """The roles whose approval it needs. Raises Invalid where its metadata do not say that in roles."""
    roles = remediation.about.get("approvals", [])
    sound = isinstance(roles, list) and all(isinstance(role, str) and people.ROLE.fullmatch(role) for role in roles)
    if not sound or len(set(roles)) != len(roles):
        where = remediation.folder / "meta" / "remediation.yml"
        raise Invalid(f"content: {where}: approvals must be a list of different roles, such as incident-commander")
    return list(roles)


def require_unspent(home: Path, requested: Request, known: Ledger) -> None:
    """Raises Refused where a run has used the request before, even if the mark of that is gone."""
    if paths.has_name(spent_path(home, requested)) or requested.id in known.spent:
        raise Refused(
            f"request {requested.id[:12]} was used before, by run {known.spent.get(requested.id, '(unknown)')}; it holds once"
        )


def spent_path(home: Path, requested: Request) -> Path:
    return home / "spent" / requested.id


def accepted(
    everyone: People, home: Path, needed: list[str], requested: Request, records: Iterable[Record], known: Ledger
) -> dict[str, Record]:
    """The valid approvals by role. Raises Refused for the first that is forged, revoked, or of somebody who may not give it."""
    taken: dict[str, Record] = {}
    now = request.text(request.clock(home))
    for record in records:
        signer = believed(everyone, requested, record, now)
        role = record["role"]
        require_eligible(everyone, signer.principal, signer.roles, role, needed, requested, taken)
        if _is_revoked(home, requested, role, signer.principal, known):
            raise Refused(
                f"the approval of {role} was revoked by {signer.principal}; ask anew: irctl request {requested.remediation}"
            )
        if taken.setdefault(role, record) != record:
            raise Refused(f"there are two approvals as {role}, of {taken[role]['principal']} and {signer.principal}")
    return taken


def believed(everyone: People, requested: Request, record: Record, at: str = "") -> Signer:
    """Who made the record, checked by its signature; `at` is the time to judge that at, '' for now. Raises Refused."""
    signer = statements.require(everyone, record, record["principal"], at)
    if record["request"] != requested.id:
        raise Refused(f"the approval of {signer.principal} is of request {record['request'][:12]}, not of {requested.id[:12]}")
    signed = request.instant(record["signed_at"])
    if not request.instant(requested.document["created"]) - request.LENIENT <= signed <= requested.expires:
        raise Refused(f"the approval of {signer.principal} was signed at {record['signed_at']}, outside of the request's time")
    return signer


def require_eligible(
    everyone: People, who: str, roles: Iterable[str], role: str, needed: list[str], requested: Request, others: Mapping[str, Record]
) -> None:
    """Raises Refused where somebody who holds these roles may not approve the request in this one, beside the other approvals."""
    if role not in needed:
        raise Refused(f"{requested.remediation} needs no approval as {role}; it needs {' and '.join(needed) or 'none'}")
    if role not in roles:
        raise Refused(f"{who} does not hold the role {role}; the allowed-signers file says: {', '.join(sorted(roles)) or 'none'}")
    if everyone.same(who, requested.requester):
        raise Refused(f"{who} cannot approve: the request is of {requested.requester}, and who requests does not approve")
    for other, record in others.items():
        if other != role and everyone.same(who, record["principal"]):
            raise Refused(
                f"{who} cannot approve as {role}: {record['principal']} approved as {other}, and roles are different people"
            )


def require_may(settings: Settings, needed: list[str], requested: Request, role: str) -> None:
    """Raises Refused, before anybody is asked to sign, where the caller may not approve the request in this role."""
    home, known, everyone = settings.home_path, ledger(settings.home_path), statements.everybody(settings)
    who = statements.principal(settings)
    roles = everyone.roles_of(who)
    requested.require_current(request.clock(home))
    require_unspent(home, requested, known)
    if needed:
        statements.require(everyone, requested.document, requested.requester, request.text(request.clock(home)))
    kept = {record["role"]: record for record in stored(home, requested, needed)}
    if role in kept:
        raise _taken(role, kept[role])
    require_eligible(everyone, who, roles, role, needed, requested, kept)
    if _is_revoked(home, requested, role, who, known):
        raise Refused(f"{who} has revoked an approval as {role} of this request; ask for a new one")


def approve(settings: Settings, requested: Request, role: str) -> Record:
    """Sign the request as the caller, in this role. Raises IrctlError."""
    who, signed_at = statements.principal(settings), request.text(request.clock(settings.home_path))
    statement = {"schema": SCHEMA, "request": requested.id, "role": role, "principal": who, "signed_at": signed_at}
    return statements.sign(settings, statement, who)


def keep(settings: Settings, requested: Request, record: Record) -> None:
    """Put an approval into its slot, of which there is one for each role. Raises Refused where another was quicker."""
    home, role = settings.home_path, record["role"]
    if not documents.put(_slot(home, requested, role), dict(record)):
        raise _taken(role, documents.read(_slot(home, requested, role), "approval-1"))
    request.note(
        settings, requested, {"event": "approved", "role": role, "by": record["principal"], "signed_at": record["signed_at"]}
    )


def _taken(role: str, record: Record) -> Refused:
    return Refused(f"{record['principal']} approved as {role} at {record['signed_at']}; one approval for each role is enough")


def stored(home: Path, requested: Request, needed: list[str]) -> list[Record]:
    """The approvals of a request that are kept in this home, unjudged. Raises Refused for a record that is damaged."""
    found: list[Record] = []
    for role in needed:
        path = _slot(home, requested, role)
        if paths.has_name(path):
            found.append(documents.read(path, "approval-1"))
            if found[-1]["role"] != role:
                raise Refused(f"{path} was edited: it is an approval as {found[-1]['role']}")
    return found


def revoke(settings: Settings, needed: list[str], requested: Request, role: str, reason: str) -> Record:
    """Take back the caller's own approval in this role, by a signed statement. Raises Refused."""
    home, who, known = settings.home_path, statements.principal(settings), ledger(settings.home_path)
    require_unspent(home, requested, known)
    for record in stored(home, requested, needed):
        if record["role"] == role and record["principal"] != who:
            raise Refused(f"{record['principal']} approved as {role}, and nobody else can revoke that")
    if role not in statements.everybody(settings).roles_of(who):
        raise Refused(f"{who} does not hold the role {role}, so there is nothing to revoke")
    statement = {
        "schema": REVOKED,
        "request": requested.id,
        "role": role,
        "principal": who,
        "reason": reason,
        "signed_at": journal.utc(),
    }
    signed = statements.sign(settings, statement, who)
    if not documents.put(_revocation(home, requested, role, who), signed):
        raise Refused(f"{who} revoked the approval as {role} before")
    request.note(settings, requested, {"event": "revoked", "role": role, "by": who, "reason": reason})
    return signed


def _is_revoked(home: Path, requested: Request, role: str, who: str, known: Ledger) -> bool:
    return (role, who) in known.revoked.get(requested.id, ()) or paths.has_name(_revocation(home, requested, role, who))


def _slot(home: Path, requested: Request, role: str) -> Path:
    return home / "approvals" / requested.id / f"{role}.json"


def _revocation(home: Path, requested: Request, role: str, who: str) -> Path:
    return home / "approvals" / requested.id / f"{role}.{who}.revoked.json"
