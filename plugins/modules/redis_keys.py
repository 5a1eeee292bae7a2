#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""List the Redis keys that begin with a prefix, describe them for evidence, or remove them."""

from __future__ import annotations

DOCUMENTATION = """
module: redis_keys
short_description: List, describe or remove the keys of Redis or Valkey that begin with a prefix
description:
  - Looks with C(SCAN), in steps of a thousand, and removes key by key with C(UNLINK), many in one journey. Never C(KEYS), never
    C(FLUSHDB). In a cluster every primary is scanned twice, and each key is removed where it is, while slots move too.
  - The prefix is text, in which no letter stands for others; each name is compared with it here, whatever the server answered.
  - One scan stays on one server, as its C(run_id), role and history tell; where these change it begins anew. A replica, a Sentinel
    and a server that does not say who it is are refused, and so is a login as somebody else than the inventory says.
  - Own module, because C(community.general.redis) knows no prefix, and flushes.
options:
  state:
    description: What to do. V(listed), V(described) and V(proved) only look; V(proved) fails where there is such a key.
    type: str
    choices: [listed, described, removed, proved]
    default: listed
  selection:
    description: The keys to describe or remove, as V(state=listed) and then V(state=described) returned them. With V(state=listed)
      itself, fail where one of them is still as it was.
    type: str
extends_documentation_fragment: [irctl.runbooks.clear_rate_limit, irctl.runbooks.redis]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Whose requests are counted
  irctl.runbooks.redis_keys:
    prefix: "ratelimit:"
    redis_host: cache1.example.com
"""
RETURN = """
number:
  description: How many keys there are.
  returned: when listed without O(selection), or proved
  type: int
selection:
  description: These keys, to be handed to the next call.
  returned: when listed without O(selection), or described
  type: str
removed:
  description: How many were removed.
  returned: when removed
  type: int
summary:
  description: The server, and how many of how many keys.
  returned: when listed or proved
  type: dict
refusals:
  description: Why these keys must not be removed, each a sentence.
  returned: when listed
  type: list
  elements: str
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import clear_rate_limit, redis
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.module_utils.redis import key_names, key_records, key_scan, server_info
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.connection import ConnectionLost
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.key_names import Selection, Wanted
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.key_scan import Seen
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.keyspace import Keyspace, opened

SHARED = ("redis_",)
PARAMETERS: dict[str, Any] = {**clear_rate_limit.MAIN, **redis.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "described", "removed", "proved"], "default": "listed"},
    "selection": {"type": "str"},
    **PARAMETERS,
}
EVIDENCE = "keys-before.json"

Result = dict[str, Any]


def run(params: dict[str, Any], check_mode: bool) -> Result:
    """Do what params['state'] says. In check mode 'removed' only says what it would do. Raises Failure or ValueError."""
    wanted = key_names.wanted(params)
    if params["state"] == "proved":
        return _proved(params, wanted, check_mode)
    if not params["selection"]:
        if params["state"] != "listed":
            raise ValueError(f"selection: it is needed for state={params['state']}")
        return _listed(params, wanted)
    selection = key_names.unpacked(params["selection"])
    if params["state"] == "removed" and (check_mode or not selection.names):
        message = f"{_counted(len(selection.names))} would be removed" if selection.names else "nothing to remove"
        return {"changed": bool(selection.names), "removed": 0, "msg": message}
    act = {"listed": _verified, "described": _described, "removed": _removed}[params["state"]]
    return act(params, wanted, selection, check_mode)


def _listed(params: dict[str, Any], wanted: Wanted) -> Result:
    most = params["max"]
    with key_scan.scanned(params, wanted, most) as (keyspace, seen):
        refusals = keyspace.objections() or keyspace.user_objections()
        if seen and not refusals:
            refusals = _limit(seen, most) or keyspace.unlink_objections(seen.selection.names)
        return {**_found(keyspace, seen, wanted, most), "selection": seen.selection.packed() if seen else "", "refusals": refusals}


def _limit(seen: Seen, most: int) -> list[str]:
    return [f"More than {_counted(most)} match and the limit is {most}. Narrow it, or raise --max."] if seen.more else []


def _found(keyspace: Keyspace, seen: Seen | None, wanted: Wanted, most: int) -> Result:
    """What there is, in numbers and in words."""
    number = (len(seen.selection.names) + (most + 1 if seen.more else 0)) if seen else 0
    begin = f"{'begins' if number == 1 else 'begin'} with {key_names.shown(wanted.prefix)}"
    amount = f"more than {_counted(most)}" if seen and seen.more else _counted(number) if number else "no key"
    message = f"{amount} {begin if number else begin.replace('begin ', 'begins ')}" if seen else "nothing was looked at"
    servers = [server_info.as_summary(info) for info in keyspace.infos.values()]
    summary = {"servers": servers, "keys": seen.keys if seen else None, "matching": number if seen else None}
    return {"changed": False, "number": number, "summary": summary, "msg": f"{message}, {keyspace.title}"}


def _proved(params: dict[str, Any], wanted: Wanted, check_mode: bool) -> Result:
    """What is there; Failure where there is such a key, Undecided where that cannot be told, if this is in earnest."""
    try:
        with key_scan.scanned(params, wanted, params["max"]) as (keyspace, seen):
            result = _found(keyspace, seen, wanted, params["max"])
            doubts = keyspace.objections()
    except key_scan.Unsettled as error:
        raise Undecided(str(error)) from None
    if result["number"] and not check_mode:
        raise Failure(f"{result['msg']}.")
    if doubts and not check_mode:
        raise Undecided(" ".join(doubts))
    return result


@contextmanager
def _same_servers(params: dict[str, Any], selection: Selection) -> Iterator[Keyspace]:
    """The servers, which are those that were looked at. Raises Failure where one is another by now."""
    with opened(params) as keyspace:
        now = keyspace.identities()
        others = [address for address, identity in selection.servers.items() if now.get(address, identity) != identity]
        if others:
            raise Failure(
                f"Redis at {values.first_few(others)} was restarted or failed over since the keys were looked at; run it again."
            )
        if objections := keyspace.objections():
            raise Failure(" ".join(objections))
        yield keyspace


def _described(params: dict[str, Any], wanted: Wanted, selection: Selection, check_mode: bool) -> Result:
    with _same_servers(params, selection) as keyspace:
        found = list(key_records.records(keyspace, selection.names))
    rows = key_records.rows(found, round(time.time() * 1000))
    marked = Selection(tuple(one.name for one in found), selection.servers, tuple(one.mark for one in found))
    evidence = json.dumps(rows, indent=0, ensure_ascii=False) + "\n"
    return {"changed": False, "evidence": {EVIDENCE: evidence}, "affected": rows, "selection": marked.packed(), "msg": EVIDENCE}


def _removed(params: dict[str, Any], wanted: Wanted, selection: Selection, check_mode: bool) -> Result:
    names = selection.names
    if len(names) > params["max"]:
        raise Failure(f"{_counted(len(names))} were named and the limit is {params['max']}.")
    if not all(map(wanted.includes, names)):
        raise ValueError("selection: it names other keys than those of the prefix")
    removed = 0
    with _same_servers(params, selection) as keyspace:
        if objections := keyspace.user_objections():
            raise Failure(" ".join(objections))
        for batch in key_names.batches(names, key_records.BATCH):
            removed += _unlinked(keyspace, batch, removed)
    gone = f", {len(names) - removed} were gone by then" if removed < len(names) else ""
    return {"changed": removed > 0, "removed": removed, "msg": f"{_counted(removed)} removed{gone}"}


def _unlinked(keyspace: Keyspace, names: Sequence[bytes], before: int) -> int:
    """Remove some keys; how many were there. Raises Failure with how many of all were removed, Undecided where nobody knows."""
    try:
        removed, refusal = keyspace.number("UNLINK", names)
    except ConnectionLost as error:
        raise Undecided(f"{error} After {_counted(before)} it is not known how many more were removed; look again.") from None
    if refusal:
        raise Failure(f"{_counted(before + removed)} were removed, then some refused. {refusal}")
    return removed


def _verified(params: dict[str, Any], wanted: Wanted, selection: Selection, check_mode: bool) -> Result:
    """What of the named is still as it was: in earnest a Failure, or Undecided where it may have been written again alike."""
    with opened(params) as keyspace:
        found = {one.name: one.mark for one in key_records.records(keyspace, _present(keyspace, selection.names))}
        servers = [server_info.as_summary(info) for info in keyspace.infos.values()]
    before = dict(zip(selection.names, selection.marks, strict=True))
    alike = [name for name, mark in found.items() if not key_records.unlike(before[name], mark)]
    kept = [name for name in alike if not key_records.expires_never(before[name])]
    if kept and not check_mode:
        raise Failure(
            f"{_counted(len(kept))} of those that were to be removed are as they were, such as {key_names.shown(kept[0])}."
        )
    if alike and not check_mode:
        raise Undecided(
            f"{_counted(len(alike))} hold what they held before: written again since, or never removed. They do not expire."
        )
    written = f", {_counted(len(found))} written again since" if found else ""
    message = "not done in a dry run" if alike else f"none is as it was{written}" if before else "no such key was there"
    return {"changed": False, "summary": {"servers": servers, "written_again": len(found)}, "in_short": message, "msg": message}


def _present(keyspace: Keyspace, names: Sequence[bytes]) -> list[bytes]:
    """Those of the names that may be there: all of a batch in which something is. Raises Failure."""
    present: list[bytes] = []
    for batch in key_names.batches(names, key_records.BATCH):
        number, refusal = keyspace.number("EXISTS", batch)
        if refusal:
            raise Failure(f"Whether the keys are gone cannot be asked (EXISTS). {refusal}")
        present += batch if number else []
    return present


def _counted(number: int) -> str:
    return values.counted(number, "key")


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
