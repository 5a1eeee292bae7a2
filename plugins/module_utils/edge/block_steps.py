"""The steps of a block: look, capture, change and prove, on whatever backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import findings, networks
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import block_list
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import (
    Blocked,
    Request,
    addresses_counted,
    list_summary,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt

Result = dict[str, Any]
SETTING = "edge_vouched"


def _listed(request: Request) -> Result:
    protected, blocked = request.backend.protected(), request.backend.read()
    wanted = block_list.plan(request.addresses, blocked.entries)
    return {
        "changed": False,
        "found": {
            "entries": block_list.as_texts(blocked.entries),
            "add": block_list.as_texts(wanted.add),
            "place": dict(blocked.place),
        },
        "summary": list_summary(blocked),
        "refusals": block_list.refusals(request.addresses, blocked, protected),
        "msg": " · ".join([f"{len(blocked.entries)} in the list, {len(wanted.add)} to add", *_warnings(request, blocked)]),
    }


def _warnings(request: Request, blocked: Blocked) -> list[str]:
    """What keeps the list from its effect as the place is now, and what a person should know."""
    reasons = request.backend.shortcomings()
    reasons = ["what is missing will be made"] if reasons and request.params["create_rule"] else reasons
    return [*reasons, *findings.sentences(_doubts(request), SETTING), *blocked.notes]


def _doubts(request: Request) -> list[Doubt]:
    """What cannot be judged and nobody has vouched for."""
    return findings.unsettled(request.backend.doubts(), request.params["vouched"] or [])


def _captured(request: Request) -> Result:
    listing = request.params["found"]
    if listing is None:
        raise ValueError("found: needed, as state=listed returned it")
    add = networks.parse_all(listing["add"])[0]
    ends = bool(request.params["seconds"]) and request.params["backend"] == "nftables"
    record = block_list.record(block_list.Plan(add=add, present=request.addresses - add), listing["place"], ends)
    evidence = {block_list.REVERT: block_list.as_document(record), "list-before.json": block_list.as_document(listing["entries"])}
    affected = block_list.rows(block_list.as_texts(add), listing["place"])
    return {"changed": False, "evidence": evidence, "affected": affected, "msg": ", ".join(evidence)}


def _changed(request: Request) -> Result:
    if reasons := block_list.argument_errors(request.params):
        raise Failure(f"{' '.join(reasons)} Nothing was changed.")
    blocked = request.backend.read()
    if reasons := block_list.refusals(request.addresses, blocked, request.backend.protected()):
        raise Failure(f"{' '.join(reasons)} Nothing was changed.")
    add = block_list.plan(request.addresses, blocked.entries).add
    if late := block_list.unrecorded(add, request.params["found"]):
        raise Failure(f"{late} Nothing was changed.")
    makes = request.params["create_rule"] and bool(request.backend.shortcomings())
    if makes:
        request.backend.prepare(request.check_mode)
    again = not add and request.backend.is_stale()
    if (add or again) and not request.check_mode:
        request.backend.write(add, frozenset(), request.params["seconds"])
    would = "would be " if request.check_mode else ""
    return {"changed": bool(add or makes or again), "msg": _done(len(add), makes, again, would)}


def _done(number: int, makes: bool, again: bool, would: str) -> str:
    parts = [f"{addresses_counted(number)} {would}blocked" if number else "blocked already"]
    parts += [f"what blocks them {would}made"] if makes else []
    return ", ".join([*parts, *([f"the list {would}loaded again"] if again else [])])


def _proved(request: Request) -> Result:
    """What is there now; Failure where an address is missing or the list has no effect, if this is in earnest."""
    blocked = request.backend.read()
    within = networks.covering(blocked.expires)
    wanted = block_list.plan(request.addresses, blocked.entries)
    soon = [blocked.expires[around] for one in wanted.present if (around := within(one))]
    ends = [f"{addresses_counted(len(soon))} of them only for {min(soon)} s and more"] if soon else []
    notes, shortcomings = [f"{len(blocked.entries)} in the list", *ends, *blocked.notes], request.backend.shortcomings()
    result = {"changed": False, "summary": list_summary(blocked), "in_short": ", ".join(notes)}
    if request.check_mode:
        without = [] if request.params["create_rule"] else shortcomings
        doubts = findings.sentences(_doubts(request), SETTING)
        return {**result, "in_short": ", ".join([*notes, *without, *doubts]), "msg": "not done in a dry run"}
    if wanted.add:
        raise Failure(f"Not in the list: {networks.listed(wanted.add)}.")
    verb = "is" if len(request.addresses) == 1 else "are"
    if shortcomings:
        raise Failure(f"{addresses_counted(len(request.addresses))} {verb} in the list. {' '.join(shortcomings)}")
    if doubts := findings.sentences(_doubts(request), SETTING):
        number = addresses_counted(len(request.addresses))
        raise Undecided(f"{number} {verb} in the list, and whether nobody gets past it is not known. {' '.join(doubts)}")
    return {**result, "msg": f"{addresses_counted(len(request.addresses))} blocked"}


def _let_through(request: Request) -> Result:
    present = request.addresses & request.backend.read().entries
    again = request.backend.is_stale()
    if (present or again) and not request.check_mode:
        request.backend.write(frozenset(), present, None)
    would = "would be " if request.check_mode else ""
    effect = f"{would}let through" if present or again else "gets through already"
    return {"changed": bool(present or again), "msg": f"{networks.listed(request.addresses)} {effect}"}


STEPS: dict[str, Callable[[Request], Result]] = {
    "listed": _listed,
    "captured": _captured,
    "changed": _changed,
    "proved": _proved,
    "removed": _let_through,
}
