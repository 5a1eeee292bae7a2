"""Where each request stands: what `irctl approvals` lists. It decides about nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from irctl.approvals import kept, statements
from irctl.approvals import request as requests
from irctl.approvals.kept import Ledger
from irctl.approvals.request import Request
from irctl.catalog.config import Settings
from irctl.errors import Invalid, IrctlError, Refused


@dataclass(frozen=True)
class RequestStatus:
    """The state of a request: waiting, ready, refused, expired, spent or damaged; by role who approved; and what is wrong."""

    id: str
    state: str
    request: Request | None = None
    approved: Mapping[str, str] | None = None
    reason: str = ""


def statuses(settings: Settings) -> Iterator[RequestStatus]:
    """The status of every request in the home, the newest last."""
    ledger = kept.ledger(settings.home_path)
    for name in requests.listed(settings.home_path):
        try:
            yield status(settings, requests.registered(settings.home_path, name), ledger)
        except (Refused, Invalid) as error:
            yield RequestStatus(name, "damaged", reason=str(error))


def status(settings: Settings, request: Request, ledger: Ledger) -> RequestStatus:
    """The status of one request. The roles that it needs are taken from its own file, unchecked."""
    needs = list(request.document["needs"])
    try:
        kept.require_unspent(settings.home_path, request, ledger)
    except Refused as error:
        return RequestStatus(request.id, "spent", request, reason=str(error))
    try:
        request.require_current(requests.clock(settings.home_path))
    except Refused as error:
        return RequestStatus(request.id, "expired", request, reason=str(error))
    try:
        records = kept.stored(settings.home_path, request, needs)
        everyone = statements.everybody(settings) if records else None
        approvals = kept.accepted(everyone, settings.home_path, needs, request, records, ledger) if everyone else {}
    except IrctlError as error:
        return RequestStatus(request.id, "refused", request, reason=str(error))
    approved = {role: str(record["principal"]) for role, record in approvals.items()}
    return RequestStatus(request.id, "ready" if len(approved) == len(needs) else "waiting", request, approved)
