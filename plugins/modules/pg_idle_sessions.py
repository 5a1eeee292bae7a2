#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make the fault that db-connections mends: a client that opens sessions and forgets them."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_idle_sessions
short_description: Open PostgreSQL sessions and leave them idle
description:
  - Opens plain idle sessions, two that are idle in a transaction, one that listens, one with an advisory lock and one with a
    pooler's name, in a process that ends by itself. For drills, demonstrations and tests only; it needs psycopg.
  - Own module, because a module that ends closes its sessions.
options:
  idle:
    description: How many plain idle sessions to open.
    type: int
    default: 12
  lifetime:
    description: The sessions close by themselves after this long.
    type: str
    default: 15m
  wait_for:
    description: Return when the sessions are this old; not waited for where it is over a minute.
    type: str
    default: 5s
extends_documentation_fragment: [irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: A leaking client
  irctl.runbooks.pg_idle_sessions:
    idle: 20
    host: 127.0.0.1
    user: ops
"""
RETURN = """
opened:
  description: How many sessions were opened.
  returned: always
  type: int
"""

import time
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import detached, pg_holder, values
from ansible_collections.irctl.runbooks.plugins.module_utils.pg_client import ARGUMENTS as CONNECTION

ARGUMENTS: dict[str, Any] = {
    "idle": {"type": "int", "default": 12},
    "lifetime": {"type": "str", "default": "15m"},
    "wait_for": {"type": "str", "default": "5s"},
    **CONNECTION,
}
OTHERS = [
    {"application": "report", "statement": "SELECT txid_current()", "commit": False},
    {"application": "report", "statement": "SELECT txid_current()", "commit": False},
    {"application": "worker", "statement": "LISTEN jobs", "commit": True},
    {"application": "migration", "statement": "SELECT pg_advisory_lock(pg_backend_pid())", "commit": True},
    {"application": "pgbouncer", "statement": "SELECT 1", "commit": True},
]
LONGEST_WAIT = 60  # seconds


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Open the sessions unless in check mode. Raises Failure when they cannot all be opened, or ValueError."""
    lifetime, age = values.seconds(params["lifetime"]), values.seconds(params["wait_for"])
    plain = [{"application": "web", "statement": "SELECT 1", "commit": True}] * params["idle"]
    sessions = plain + OTHERS
    if check_mode:
        return {"changed": True, "opened": 0, "msg": f"{len(sessions)} sessions would be opened"}
    where = {key: params[key] for key in CONNECTION if params[key] not in (None, "")}
    plan = {"where": where, "sessions": sessions, "seconds": lifetime}
    detached.start(pg_holder.__file__, plan, "The sessions could not be opened")
    if age <= LONGEST_WAIT:
        time.sleep(age + 0.2)
    return {
        "changed": True,
        "opened": len(sessions),
        "msg": f"{len(sessions)} sessions opened, {params['idle']} of them plainly idle",
    }


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
