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
      V(extended) lets what is left of O(record) stay for O(run_lease) from now.
    type: str
    choices: [listed, captured, changed, proved, removed, extended]
    default: listed
  found:
    description: What V(state=listed) returned as RV(found). V(captured) needs it.
    type: dict
  record:
    description: What a run added, to be taken out. An action hands it over from the file that C(restores) names.
    type: dict
extends_documentation_fragment:
  - irctl.runbooks.block_ip
  - irctl.runbooks.block_ip.revert
  - irctl.runbooks.edge
  - irctl.runbooks.aws
  - irctl.runbooks.irctl.irctl_drills
  - irctl.runbooks.run.run_lease
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: What blocking an address would do
  irctl.runbooks.block_list:
    backend: wafv2
    edge_wafv2_name_v4: blocked-v4
    edge_wafv2_web_acl: shop
    edge_protected: [192.0.2.0/24]
    address: [198.51.100.7]
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

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import aws, block_ip, edge, irctl
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import run as of_runs
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import block_list, block_steps, revert_steps
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Backend, Request
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names

SHARED = ("edge_", "aws_", "irctl_", "run_")
OWN_NAMES = {"address": "addresses", "max": "limit", "run_lease": "seconds"}
PARAMETERS: dict[str, Any] = {
    **block_ip.MAIN,
    **block_ip.REVERT,
    **edge.ARGUMENTS,
    **aws.ARGUMENTS,
    **irctl.IRCTL_DRILLS,
    **of_runs.RUN_LEASE,
}
REVERT_PARAMETERS = {**block_ip.REVERT, **edge.ARGUMENTS, **aws.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "captured", "changed", "proved", "removed", "extended"], "default": "listed"},
    "found": {"type": "dict"},
    "record": {"type": "dict"},
    **PARAMETERS,
}

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Do the step that params['state'] says; in check mode 'changed' only says what it would do. Raises Failure or ValueError."""
    params = own_names(params, SHARED, OWN_NAMES)
    if not params["backend"]:
        raise ValueError("block_ip_backend: what kind of place blocks has to be set for this host: wafv2, nacl, nftables or nginx")
    return _revert(params, check_mode) if params["record"] is not None else _block(params, check_mode)


def _block(params: Params, check_mode: bool) -> Result:
    """Block the addresses that the arguments name."""
    if params["state"] == "extended":
        raise ValueError("record: needed, as a run captured it")
    if not params["addresses"]:
        raise ValueError("addresses: at least one is needed; nothing ever means all of them")
    if params["state"] == "listed" and (reasons := block_list.argument_errors(params)):
        return {"changed": False, "refusals": reasons, "msg": "not looked at"}
    addresses, unreadable = networks.parse_all(params["addresses"])
    if unreadable:
        raise Failure(f"{' '.join(block_list.shortened(unreadable))} Nothing was changed.")
    return block_steps.STEPS[params["state"]](Request(_backend(params), networks.narrowed(addresses), params, check_mode))


def _revert(params: Params, check_mode: bool) -> Result:
    """Take out the addresses that the run of this record added."""
    added = block_list.added_networks(params["record"])
    backend = _backend({**params, "addresses": block_list.as_texts(added)})
    return revert_steps.STEPS[params["state"]](Request(backend, added, params, check_mode))


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


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
