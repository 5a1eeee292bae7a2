#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make the fault that clear-rate-limit and flush-policy-cache mend, look whether its look-alikes were spared, or take all away."""

from __future__ import annotations

DOCUMENTATION = """
module: redis_scratch_keys
short_description: Write Redis keys with a prefix and others that look nearly alike, look for those, or remove all
description:
  - Writes keys that begin with the prefix, and beside them some that begin with nearly the prefix, in other letters, or with what
    it would match if it were a pattern. All expire by themselves. Where they are there already, they are left. For drills,
    demonstrations and tests only.
  - V(state=spared) fails where one of the look-alikes is gone. V(state=removed) removes exactly these names.
  - Own module, because C(community.general.redis_data) writes one key and knows no look-alikes.
options:
  state:
    description: Whether to write the keys, to look for the look-alikes, or to remove all.
    type: str
    choices: [written, spared, removed]
    default: written
extends_documentation_fragment: [irctl.runbooks.clear_rate_limit.fault, irctl.runbooks.redis]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Counters of a rate limiter that must be cleared
  irctl.runbooks.redis_scratch_keys:
    prefix: "ratelimit:"
    fault_lifetime: 5m
"""
RETURN = """
spared:
  description: How many look-alikes are there.
  returned: when spared
  type: int
"""

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import clear_rate_limit, redis
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.redis import drill_keys, key_names
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.connection import CommandRefused
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.keyspace import Keyspace, opened

SHARED = ("redis_",)
PARAMETERS: dict[str, Any] = {**clear_rate_limit.FAULT, **redis.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["written", "spared", "removed"], "default": "written"},
    **PARAMETERS,
}
MOST_KEYS = 1000  # what fault_number may be, so that removing finds them all

Result = dict[str, Any]


def run(params: dict[str, Any], check_mode: bool) -> Result:
    """Write the keys, look for the look-alikes, or remove all, unless in check mode. Raises Failure or ValueError."""
    prefix = params["prefix"].encode()
    act = {"written": _written, "spared": _spared, "removed": _removed}[params["state"]]
    with opened(params) as keyspace:
        if objections := keyspace.objections():
            raise Failure(" ".join(objections))
        return act(keyspace, prefix, params, check_mode)


def _written(keyspace: Keyspace, prefix: bytes, params: dict[str, Any], check_mode: bool) -> Result:
    lifetime = values.seconds(params["fault_lifetime"])
    names = [*drill_keys.faults(prefix, params["fault_number"]), *drill_keys.decoys(prefix)]
    missing = [name for name, there in zip(names, _there(keyspace, names), strict=True) if not there]
    if missing and not check_mode:
        _carried_out(keyspace.each(missing, lambda name: ("SET", name, 117, "EX", lifetime)))
    would = "would be " if check_mode else ""
    message = f"{values.counted(len(missing), 'key')} {would}written" if missing else "the drill's keys are there already"
    return {"changed": bool(missing), "msg": message}


def _spared(keyspace: Keyspace, prefix: bytes, params: dict[str, Any], check_mode: bool) -> Result:
    names = drill_keys.decoys(prefix)
    gone = [key_names.shown(name) for name, there in zip(names, _there(keyspace, names), strict=True) if not there]
    if gone and not check_mode:
        raise Failure(f"Of what only looks like the fault this is gone: {values.first_few(gone)}.")
    message = f"{values.counted(len(names) - len(gone), 'look-alike')} there"
    return {"changed": False, "spared": len(names) - len(gone), "msg": message}


def _removed(keyspace: Keyspace, prefix: bytes, params: dict[str, Any], check_mode: bool) -> Result:
    names = [*drill_keys.faults(prefix, MOST_KEYS), *drill_keys.decoys(prefix)]
    number = sum(_there(keyspace, names))
    if number and not check_mode:
        _carried_out(keyspace.each(names, lambda name: ("UNLINK", name)))
    would = "would be " if check_mode else ""
    return {
        "changed": number > 0,
        "msg": f"{values.counted(number, 'key')} {would}removed" if number else "none of the drill's keys is there",
    }


def _there(keyspace: Keyspace, names: list[bytes]) -> list[int]:
    """1 for each key that is there, 0 for another. Raises Failure."""
    return _carried_out(keyspace.each(names, lambda name: ("EXISTS", name)))


def _carried_out(answers: list[Any]) -> list[Any]:
    """The answers. Raises Failure with the first refusal among them."""
    for answer in answers:
        if isinstance(answer, CommandRefused):
            raise Failure(str(answer))
    return answers


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
