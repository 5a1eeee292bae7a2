#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Block addresses in AWS WAF, a network ACL, nftables or nginx, or take out again what a run added."""

from __future__ import annotations

DOCUMENTATION = """
module: block_list
short_description: Block addresses at an edge, additively, through one of four backends
description:
  - Adds addresses and networks to a block list, and never takes out one that it was not told to. Many in one call.
  - Refuses what overlaps a protected network either way round, special ranges, and whatever is wider than a limit.
  - With O(record) it takes out what a run added.
  - Own module, because C(community.aws.wafv2_ip_set) purges by default and gives up when somebody else writes at the same time,
    and C(amazon.aws.ec2_vpc_nacl) replaces every rule that it was not told of.
options:
  state:
    description: The step to do. V(listed), V(captured) and V(proved) only look; V(removed) takes the addresses out, for drills.
      V(extended) lets what is left of O(record) stay for O(seconds) from now.
    type: str
    choices: [listed, captured, changed, proved, removed, extended]
    default: listed
  backend:
    description: What kind of place blocks.
    type: str
    choices: [wafv2, nacl, nftables, nginx]
  addresses:
    description: The addresses and CIDRs to block. Not needed with O(record), which names them.
    type: list
    elements: str
    default: []
  protected:
    description: Networks that are never blocked.
    type: list
    elements: str
  protected_none:
    description: Whether O(protected) may be empty.
    type: bool
    default: false
  allow_private:
    description: Whether private and other special ranges may be blocked.
    type: bool
    default: false
  widest_v4:
    description: The fewest bits that an IPv4 network may have.
    type: int
    default: 24
  widest_v6:
    description: The fewest bits that an IPv6 network may have.
    type: int
    default: 48
  limit:
    description: The most addresses and networks in one call.
    type: int
    default: 10000
  create_rule:
    description: Make what lets the list take effect, such as the rule of a web ACL, where it is missing.
    type: bool
    default: false
  seconds:
    description: How long the entries last, where the place itself can let go of them.
    type: int
  drills:
    description: V(allowed) where the address of the drill may be blocked and let through.
    type: str
  wafv2_name_v4:
    description: Name of the IP set for IPv4.
    type: str
  wafv2_name_v6:
    description: Name of the IP set for IPv6.
    type: str
  wafv2_scope:
    description: Where the sets are used.
    type: str
    choices: [REGIONAL, CLOUDFRONT]
    default: REGIONAL
  wafv2_web_acl:
    description: Name of the web ACL whose rule blocks what is in the sets.
    type: str
  nacl_id:
    description: Id of the network ACL.
    type: str
  nacl_first_rule:
    description: The lowest rule number for entries.
    type: int
    default: 1
  nacl_most:
    description: How many incoming rules of one IP version the network ACL may have, as the quota of the account says.
    type: int
    default: 20
  nft_table:
    description: The nftables table, with its family.
    type: str
    default: inet irctl
  nft_set:
    description: The beginning of the names of the nftables sets; C(_v4) and C(_v6) follow.
    type: str
    default: blocked
  nginx_include:
    description: The file of deny lines that nginx includes.
    type: path
  found:
    description: What V(state=listed) returned as RV(found). V(captured) needs it.
    type: dict
  record:
    description: What a run added, to be taken out. An action hands it over from the file that C(restores) names.
    type: dict
  force:
    description: Take it out even where the list is another one than O(record) was made of.
    type: bool
    default: false
extends_documentation_fragment: [irctl.runbooks.aws, irctl.runbooks.nginx]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: What blocking an address would do
  irctl.runbooks.block_list:
    backend: wafv2
    wafv2_name_v4: blocked-v4
    wafv2_web_acl: shop
    addresses: [198.51.100.7]
    protected: [192.0.2.0/24]
    drills: allowed
"""
RETURN = """
found:
  description: The list as it is, what is to be added to it, and which list it is.
  returned: when listed without a record
  type: dict
summary:
  description: Which list it is and how many entries it has.
  returned: when listed or proved
  type: dict
refusals:
  description: Why this must not be done, each a sentence.
  returned: when listed
  type: list
  elements: str
"""

import json
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.aws.clients import ARGUMENTS as AWS
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import block_list
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Backend, Blocked, counted
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network
from ansible_collections.irctl.runbooks.plugins.module_utils.values import duration

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "captured", "changed", "proved", "removed", "extended"], "default": "listed"},
    "backend": {"type": "str", "choices": ["wafv2", "nacl", "nftables", "nginx"]},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "protected": {"type": "list", "elements": "str"},
    "protected_none": {"type": "bool", "default": False},
    "allow_private": {"type": "bool", "default": False},
    "widest_v4": {"type": "int", "default": 24},
    "widest_v6": {"type": "int", "default": 48},
    "limit": {"type": "int", "default": 10000},
    "create_rule": {"type": "bool", "default": False},
    "seconds": {"type": "int"},
    "drills": {"type": "str"},
    "wafv2_name_v4": {"type": "str"},
    "wafv2_name_v6": {"type": "str"},
    "wafv2_scope": {"type": "str", "choices": ["REGIONAL", "CLOUDFRONT"], "default": "REGIONAL"},
    "wafv2_web_acl": {"type": "str"},
    "nacl_id": {"type": "str"},
    "nacl_first_rule": {"type": "int", "default": 1},
    "nacl_most": {"type": "int", "default": 20},
    "nft_table": {"type": "str", "default": "inet irctl"},
    "nft_set": {"type": "str", "default": "blocked"},
    "nginx_include": {"type": "path"},
    "nginx_test": {"type": "list", "elements": "str", "default": ["nginx", "-t"]},
    "nginx_reload": {"type": "list", "elements": "str", "default": ["nginx", "-s", "reload"]},
    "found": {"type": "dict"},
    "record": {"type": "dict"},
    "force": {"type": "bool", "default": False},
    **AWS,
}

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Do the step that params['state'] says; in check mode 'changed' only says what it would do. Raises Failure or ValueError."""
    if not params["backend"]:
        raise ValueError("block_ip_backend: what kind of place blocks has to be set for this host: wafv2, nacl, nftables or nginx")
    if params["record"] is not None:
        added = block_list.check(params["record"])
        return _TAKE_OUT[params["state"]](_backend({**params, "addresses": block_list.texts(added)}), added, params, check_mode)
    if params["state"] == "extended":
        raise ValueError("record: needed, as a run captured it")
    if not params["addresses"]:
        raise ValueError("addresses: at least one is needed; nothing ever means all of them")
    if params["state"] == "listed" and (said := block_list.misread(params)):
        return {"changed": False, "refusals": said, "msg": "not looked at"}
    asked, unread = networks.parse_all(params["addresses"])
    if unread:
        raise Failure(f"{' '.join(block_list.shortened(unread))} Nothing was changed.")
    return _BLOCK[params["state"]](_backend(params), networks.narrowed(asked), params, check_mode)


def _backend(params: Params) -> Backend:
    """Imported by name, one by one, so that a target needs nothing of the other backends, and a shipped module still has them."""
    if params["backend"] == "wafv2":
        from ansible_collections.irctl.runbooks.plugins.module_utils.edge import waf

        return waf.Backend(params)
    if params["backend"] == "nacl":
        from ansible_collections.irctl.runbooks.plugins.module_utils.edge import network_acl

        return network_acl.Backend(params)
    if params["backend"] == "nftables":
        from ansible_collections.irctl.runbooks.plugins.module_utils.edge import nftables

        return nftables.Backend(params)
    from ansible_collections.irctl.runbooks.plugins.module_utils.edge import deny_file

    return deny_file.Backend(params)


def _listed(backend: Backend, asked: frozenset[Network], params: Params, check_mode: bool) -> Result:
    protected, blocked = backend.learnt(), backend.read()
    wanted = block_list.plan(asked, blocked.entries)
    return {
        "changed": False,
        "found": {"entries": block_list.texts(blocked.entries), "add": block_list.texts(wanted.add), "place": dict(blocked.place)},
        "summary": _summary(blocked),
        "refusals": block_list.refusals(asked, blocked, protected),
        "msg": " · ".join([f"{len(blocked.entries)} in the list, {len(wanted.add)} to add", *_doubts(backend, blocked, params)]),
    }


def _summary(blocked: Blocked) -> Result:
    return {"list": dict(blocked.place), "entries": len(blocked.entries)}


def _doubts(backend: Backend, blocked: Blocked, params: Params) -> list[str]:
    """What keeps the list from its effect as the place is now, and what a person should know."""
    lacks = backend.shortcomings()
    return [*(["what is missing will be made"] if lacks and params["create_rule"] else lacks), *blocked.notes]


def _captured(backend: Backend, asked: frozenset[Network], params: Params, check_mode: bool) -> Result:
    found = params["found"]
    if found is None:
        raise ValueError("found: needed, as state=listed returned it")
    add = networks.parse_all(found["add"])[0]
    ends = bool(params["seconds"]) and params["backend"] == "nftables"
    record = block_list.record(block_list.Plan(add=add, there=asked - add), found["place"], ends)
    evidence = {block_list.REVERT: _text(record), "list-before.json": _text(found["entries"])}
    return {"changed": False, "evidence": evidence, "msg": ", ".join(evidence)}


def _text(document: Any) -> str:
    return json.dumps(document, indent=0, ensure_ascii=False) + "\n"


def _changed(backend: Backend, asked: frozenset[Network], params: Params, check_mode: bool) -> Result:
    if said := block_list.misread(params):
        raise Failure(f"{' '.join(said)} Nothing was changed.")
    blocked = backend.read()
    if said := block_list.refusals(asked, blocked, backend.learnt()):
        raise Failure(f"{' '.join(said)} Nothing was changed.")
    add = block_list.plan(asked, blocked.entries).add
    if late := block_list.unrecorded(add, params["found"]):
        raise Failure(f"{late} Nothing was changed.")
    makes = params["create_rule"] and bool(backend.shortcomings())
    if makes:
        backend.ready(check_mode)
    if add and not check_mode:
        backend.write(add, frozenset(), params["seconds"])
    return {"changed": bool(add or makes), "msg": _done(len(add), makes, "would be " if check_mode else "")}


def _done(number: int, makes: bool, would: str) -> str:
    parts = [f"{counted(number)} {would}blocked" if number else "blocked already"]
    return ", ".join([*parts, *([f"what blocks them {would}made"] if makes else [])])


def _proved(backend: Backend, asked: frozenset[Network], params: Params, check_mode: bool) -> Result:
    """What is there now; Failure where an address is missing or the list has no effect, if this is in earnest."""
    blocked = backend.read()
    within = networks.covering(blocked.expires)
    soon = [blocked.expires[around] for one in block_list.plan(asked, blocked.entries).there if (around := within(one))]
    ends = [f"{counted(len(soon))} of them only for {min(soon)} s and more"] if soon else []
    said, lacks = [f"{len(blocked.entries)} in the list", *ends, *blocked.notes], backend.shortcomings()
    result = {"changed": False, "summary": _summary(blocked), "in_short": ", ".join(said)}
    if check_mode:
        without = [] if params["create_rule"] else lacks
        return {**result, "in_short": ", ".join([*said, *without]), "msg": "not done in a dry run"}
    if missing := block_list.plan(asked, blocked.entries).add:
        raise Failure(f"Not in the list: {networks.listed(missing)}.")
    if lacks:
        raise Failure(f"{counted(len(asked))} {'is' if len(asked) == 1 else 'are'} in the list. {' '.join(lacks)}")
    return {**result, "msg": f"{counted(len(asked))} blocked"}


def _let_through(backend: Backend, asked: frozenset[Network], params: Params, check_mode: bool) -> Result:
    there = asked & backend.read().entries
    if there and not check_mode:
        backend.write(frozenset(), there, None)
    would = "would be " if check_mode else ""
    return {"changed": bool(there), "msg": f"{networks.listed(asked)} {f'{would}let through' if there else 'gets through already'}"}


def _to_take_out(backend: Backend, added: frozenset[Network], params: Params, check_mode: bool) -> Result:
    blocked = backend.read()
    still = block_list.left(added, blocked, params["record"])
    return {
        "changed": False,
        "found": {"entries": block_list.texts(blocked.entries)},
        "summary": _summary(blocked),
        "refusals": block_list.objections(blocked, params["record"], params["force"]),
        "msg": f"{len(blocked.entries)} in the list, {len(still)} of them from that run",
    }


def _captured_again(backend: Backend, added: frozenset[Network], params: Params, check_mode: bool) -> Result:
    entries = (params["found"] or {}).get("entries") or block_list.texts(backend.read().entries)
    return {"changed": False, "evidence": {"list-before.json": _text(entries)}, "msg": "list-before.json"}


def _taken_out(backend: Backend, added: frozenset[Network], params: Params, check_mode: bool) -> Result:
    blocked = backend.read()
    if said := block_list.objections(blocked, params["record"], params["force"]):
        raise Failure(f"{' '.join(said)} Nothing was changed.")
    there = block_list.left(added, blocked, params["record"])
    if there and not check_mode:
        backend.write(frozenset(), there, None)
    would = "would be " if check_mode else ""
    gone = len(added) - len(there)
    said = [f"{counted(len(there))} {would}let through again"] if there else ["as it was found"]
    return {"changed": bool(there), "msg": ", ".join([*said, *([f"{gone} gone already"] if gone else [])])}


def _prolonged(backend: Backend, added: frozenset[Network], params: Params, check_mode: bool) -> Result:
    """Let what is left of that run's entries stay for so many seconds from now, where the place itself lets go of them."""
    blocked = backend.read()
    if said := block_list.objections(blocked, params["record"], params["force"]):
        raise Failure(f"{' '.join(said)} Nothing was changed.")
    there = block_list.left(added, blocked, params["record"])
    if there and not check_mode:
        backend.write(there, frozenset(), params["seconds"])
    return {"changed": bool(there), "msg": f"{counted(len(there))} blocked for {duration(params['seconds'])} from now"}


def _proved_out(backend: Backend, added: frozenset[Network], params: Params, check_mode: bool) -> Result:
    """What is there now; Failure where an entry of that run is left, if this is in earnest."""
    blocked = backend.read()
    in_short = ", ".join([f"{len(blocked.entries)} in the list", *blocked.notes])
    result = {"changed": False, "summary": _summary(blocked), "in_short": in_short}
    if check_mode:
        return {**result, "msg": "not done in a dry run"}
    if left := block_list.left(added, blocked, params["record"]):
        raise Failure(f"Still in the list: {networks.listed(left)}.")
    return {**result, "msg": "none of them is left"}


_BLOCK = {"listed": _listed, "captured": _captured, "changed": _changed, "proved": _proved, "removed": _let_through}
_TAKE_OUT = {
    "listed": _to_take_out,
    "captured": _captured_again,
    "changed": _taken_out,
    "proved": _proved_out,
    "extended": _prolonged,
}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
