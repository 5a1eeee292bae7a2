"""The steps of a revert: take out, or let stay for longer, what one run added to a block list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import block_list
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import (
    Request,
    addresses_counted,
    list_summary,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import duration

Result = dict[str, Any]


def _listed(request: Request) -> Result:
    blocked = request.backend.read()
    still = block_list.remaining(request.addresses, blocked, request.params["record"])
    return {
        "changed": False,
        "found": {
            "entries": block_list.as_texts(blocked.entries),
            "remove": block_list.as_texts(still),
            "place": dict(blocked.place),
        },
        "summary": list_summary(blocked),
        "refusals": block_list.objections(blocked, request.params["record"], request.params["force"]),
        "msg": f"{len(blocked.entries)} in the list, {len(still)} of them from that run",
    }


def _captured(request: Request) -> Result:
    listing = request.params["found"] or _listed(request)["found"]
    affected = block_list.rows(listing["remove"], listing["place"])
    evidence = {"list-before.json": block_list.as_document(listing["entries"])}
    return {"changed": False, "evidence": evidence, "affected": affected, "msg": "list-before.json"}


def _changed(request: Request) -> Result:
    blocked = request.backend.read()
    if reasons := block_list.objections(blocked, request.params["record"], request.params["force"]):
        raise Failure(f"{' '.join(reasons)} Nothing was changed.")
    remaining = block_list.remaining(request.addresses, blocked, request.params["record"])
    again = request.backend.is_stale()
    if (remaining or again) and not request.check_mode:
        request.backend.write(frozenset(), remaining, None)
    would = "would be " if request.check_mode else ""
    gone = len(request.addresses) - len(remaining)
    effects = [f"{addresses_counted(len(remaining))} {would}let through again"] if remaining else ["as it was found"]
    return {"changed": bool(remaining or again), "msg": ", ".join([*effects, *([f"{gone} gone already"] if gone else [])])}


def _extended(request: Request) -> Result:
    """Let what is left of that run's entries stay for so many seconds from now, where the place itself lets go of them."""
    blocked = request.backend.read()
    if reasons := block_list.objections(blocked, request.params["record"], request.params["force"]):
        raise Failure(f"{' '.join(reasons)} Nothing was changed.")
    remaining = block_list.remaining(request.addresses, blocked, request.params["record"])
    if remaining and not request.check_mode:
        request.backend.write(remaining, frozenset(), request.params["seconds"])
    return {
        "changed": bool(remaining),
        "msg": f"{addresses_counted(len(remaining))} blocked for {duration(request.params['seconds'])} from now",
    }


def _proved(request: Request) -> Result:
    """What is there now; Failure where an entry of that run is left, if this is in earnest."""
    blocked = request.backend.read()
    in_short = ", ".join([f"{len(blocked.entries)} in the list", *blocked.notes])
    result = {"changed": False, "summary": list_summary(blocked), "in_short": in_short}
    if request.check_mode:
        return {**result, "msg": "not done in a dry run"}
    if remaining := block_list.remaining(request.addresses, blocked, request.params["record"]):
        raise Failure(f"Still in the list: {networks.listed(remaining)}.")
    return {**result, "msg": "none of them is left"}


STEPS: dict[str, Callable[[Request], Result]] = {
    "listed": _listed,
    "captured": _captured,
    "changed": _changed,
    "proved": _proved,
    "extended": _extended,
}
