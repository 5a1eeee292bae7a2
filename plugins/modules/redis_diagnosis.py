#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Look at Redis and say in plain words what was found."""

from __future__ import annotations

DOCUMENTATION = """
module: redis_diagnosis
short_description: Look at the memory, clients, replication and persistence of Redis or Valkey
description:
  - Asks C(INFO), the slow log and the latency monitor, in one journey. Changes nothing, switches nothing on. What it may not ask it
    names, as a finding of its own.
  - Own module, because C(community.general.redis_info) returns numbers and does not judge them.
extends_documentation_fragment: [irctl.runbooks.diagnose_redis, irctl.runbooks.redis]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: What is wrong with this server
  irctl.runbooks.redis_diagnosis:
    redis_host: cache1.example.com
"""
RETURN = """
findings:
  description: What was found, each with level, says and next.
  returned: always
  type: list
  elements: dict
summary:
  description: The numbers behind the findings, and what could not be asked.
  returned: always
  type: dict
"""

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import diagnose_redis, redis
from ansible_collections.irctl.runbooks.plugins.module_utils.redis import findings, questions, server_info
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.connection import Server

SHARED = ("redis_",)
PARAMETERS: dict[str, Any] = {**diagnose_redis.MAIN, **redis.ARGUMENTS}
ARGUMENTS = PARAMETERS
WELL = "nothing to worry about"


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Look; the same in check mode. Raises Failure or ValueError."""
    within = values.seconds(params["within"])
    with Server(params) as server:
        facts = questions.ask(server)
    found = findings.findings(facts, within)
    info = server_info.server_info(facts.info)
    role = {"master": "primary", "slave": "replica"}.get(info.role, "role unknown")
    title = f"{info.title}, {role}" if facts.info else "a server that does not say who it is"
    counts = [(level, sum(finding["level"] == level for finding in found)) for level in ("problem", "notice")]
    words = ", ".join(values.counted(number, level) for level, number in counts if number)
    return {"changed": False, "summary": findings.kept(facts), "findings": found, "msg": f"{title}: {words or WELL}"}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
