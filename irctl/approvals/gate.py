"""Whether a run may go ahead: by a request that is exactly what would run, approved and unused, or by breaking the glass."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.approvals import break_glass as breakglass
from irctl.approvals import kept, request, statements
from irctl.approvals.kept import Ledger, Record
from irctl.approvals.request import Request
from irctl.catalog.catalog import Remediation
from irctl.catalog.config import Settings
from irctl.errors import Invalid, IrctlError, Refused
from irctl.record import documents, journal

Leave = dict[str, Any]  # why a run may go ahead, as run.json keeps it


@dataclass(frozen=True)
class Brought:
    """What the caller brings along: a plan, approvals of it in files, or a reason to do without."""

    request: Request | None = None
    records: tuple[Record, ...] = ()
    break_glass: str = ""


NOTHING = Brought()


@dataclass(frozen=True)
class Wish:
    """What is about to be run."""

    plan: Mapping[str, Any]
    plan_hash: str
    names: tuple[str, ...]
    incident: str
    lease: int


def require(settings: Settings, found: Remediation, wish: Wish, brought: Brought) -> Leave:
    """Why this run may go ahead. Raises Refused where it may not."""
    needed = kept.roles_of(found)
    if brought.break_glass:
        return breakglass.leave(settings, needed, brought.break_glass)
    if brought.request:
        return _granted(settings, needed, wish, brought.request, brought.records)
    return _registered(settings, needed, wish) if needed else {"needed": []}


def _registered(settings: Settings, needed: list[str], wish: Wish) -> Leave:
    """By a request in this home that was made for exactly this. Raises Refused with what the newest one lacks."""
    hosts = " ".join(f"--host {name}" for name in wish.names)
    ask = f"irctl request {wish.plan['remediation']} {hosts}, with the options of this run"
    why = Refused(f"{wish.plan['remediation']} needs the approval of {' and '.join(needed)}. Ask for it: {ask}")
    for wanted in _made_for(settings.home_path, wish):
        try:
            return _granted(settings, needed, wish, wanted, ())
        except Refused as error:
            why = error
    raise why


def _made_for(home: Path, wish: Wish) -> Iterator[Request]:
    for name in request.listed(home):
        with suppress(Refused, Invalid):  # a damaged one is shown by `irctl approvals`
            wanted = request.registered(home, name)
            if not _difference(wanted, wish):
                yield wanted


def _granted(settings: Settings, needed: list[str], wish: Wish, wanted: Request, records: tuple[Record, ...]) -> Leave:
    home = settings.home_path
    if other := _difference(wanted, wish):
        raise Refused(f"this is not what was planned: {other}; nothing was run")
    wanted.require_current()
    if wanted.document["home"] != request.home_of(home):
        raise Refused(
            f"request {wanted.id[:12]} was made in another home, or this one was emptied since; make it where it is to run"
        )
    known = kept.ledger(home)
    kept.require_unspent(home, wanted, known)
    taken = judge(settings, needed, wanted, [*kept.stored(home, wanted, needed), *records], known)
    return {"needed": needed, "request": dict(wanted.document), "approvals": [taken[role] for role in needed]}


def judge(settings: Settings, needed: list[str], wanted: Request, records: list[Record], known: Ledger) -> dict[str, Record]:
    """The approvals by role, all that are needed. Raises Refused where one is bad or one is missing."""
    if not needed and not records:
        return {}
    statements.require(statements.allowed(settings), wanted.document, wanted.requester)
    taken = kept.accepted(settings, needed, wanted, records, known)
    missing = [role for role in needed if role not in taken]
    if missing:
        how = f"irctl approve {wanted.id[:12]} --as {missing[0]}"
        raise Refused(f"request {wanted.id[:12]} waits for the approval of {' and '.join(missing)}: {how}")
    return taken


def _difference(wanted: Request, wish: Wish) -> str:
    """The first thing in which a wish is not what was requested, or ''."""
    if wanted.incident != wish.incident:
        return f"it is for {wanted.incident or 'no incident'}, not for {wish.incident or 'none'}"
    if (wanted.document["lease"] or 0) != wish.lease:
        return f"it lasts {wish.lease or 'for good'}, and {wanted.document['lease'] or 'for good'} was planned (in seconds)"
    if wanted.document["plan_hash"] == wish.plan_hash:
        return ""
    planned = wanted.plan
    if planned["remediation"] != wish.plan["remediation"]:
        return f"it is {wish.plan['remediation']}, and {planned['remediation']} was planned"
    if planned["content"] != wish.plan["content"]:
        return "the content (playbook, role or plugins) is another by now"
    return _host_difference(planned["hosts"], wish.plan["hosts"]) or "its parameters are others"


def _host_difference(planned: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for host in sorted({*planned} ^ {*now}):
        return f"the hosts are others: {printable(host, 80)} is {'gone' if host in planned else 'new'}"
    for host in planned:
        for name in sorted({*planned[host], *now[host]}):
            before, after = (_shown(settings, name) for settings in (planned[host], now[host]))
            if before != after:
                return f"{printable(name, 80)} of {printable(host, 80)} is {after} and was {before}"
    return ""


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name], sort_keys=True)[:80] if name in settings else "not set"


def use(settings: Settings, leave: Leave, run: str, wish: Wish) -> None:
    """Take what allows the run: an approval holds once, and a broken glass is marked. Just before the run. Raises IrctlError."""
    if "break_glass" in leave:
        about = {"remediation": wish.plan["remediation"], "plan_hash": wish.plan_hash, "hosts": sorted(wish.plan["hosts"])}
        breakglass.mark(settings.home_path, leave, run, wish.incident, about)
    elif "request" in leave:
        _spend(settings, Request(leave["request"]), leave["approvals"], run)


def _spend(settings: Settings, wanted: Request, records: list[Record], run: str) -> None:
    home = settings.home_path
    if not documents.put(kept.spent_path(home, wanted), {"request": wanted.id, "run": run, "at": journal.utc()}):
        raise Refused(f"request {wanted.id[:12]} was used before; it holds once")
    by = [{"role": record["role"], "principal": record["principal"]} for record in records]
    request.note(settings, wanted, {"event": "approval-spent", "by": settings.operator, "run": run, "approvals": by})


@dataclass(frozen=True)
class Standing:
    """Where a request stands: waiting, ready, refused, expired, spent or damaged; by role who approved; and what is wrong."""

    id: str
    state: str
    request: Request | None = None
    approved: Mapping[str, str] | None = None
    why: str = ""


def standings(settings: Settings) -> Iterator[Standing]:
    """Every request of the home, the newest last."""
    known = kept.ledger(settings.home_path)
    for name in request.listed(settings.home_path):
        try:
            yield standing(settings, request.registered(settings.home_path, name), known)
        except (Refused, Invalid) as error:
            yield Standing(name, "damaged", why=str(error))


def standing(settings: Settings, wanted: Request, known: Ledger) -> Standing:
    """Where one request stands. What its file says that it needs is believed: this decides about nothing."""
    needs = list(wanted.document["needs"])
    try:
        kept.require_unspent(settings.home_path, wanted, known)
    except Refused as error:
        return Standing(wanted.id, "spent", wanted, why=str(error))
    try:
        wanted.require_current()
    except Refused as error:
        return Standing(wanted.id, "expired", wanted, why=str(error))
    try:
        taken = kept.accepted(settings, needs, wanted, kept.stored(settings.home_path, wanted, needs), known)
    except IrctlError as error:
        return Standing(wanted.id, "refused", wanted, why=str(error))
    by = {role: str(record["principal"]) for role, record in taken.items()}
    return Standing(wanted.id, "ready" if len(by) == len(needs) else "waiting", wanted, by)
