#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make the fault that db-connections mends, a client that opens sessions and forgets them, or take it away again."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_idle_sessions
short_description: Open PostgreSQL sessions and leave them idle, or end those
description:
  - Opens plain idle sessions, two that are idle in a transaction, one that listens, one with an advisory lock and one with a
    pooler's name, in a process that ends by itself. Those that are there already are not opened again. For drills,
    demonstrations and tests only; it needs psycopg.
  - Each is known again by a comment in its statement, so that V(state=ended) ends these and no others.
  - V(state=spared) fails where one of those is gone that are more than plainly idle.
  - Own module, because a module that ends closes its sessions.
options:
  state:
    description: Whether to open what is missing of the sessions, to look for those that must be spared, or to end all of them.
    type: str
    choices: [opened, spared, ended]
    default: opened
extends_documentation_fragment: [irctl.runbooks.db_connections.fault, irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: A leaking client
  irctl.runbooks.pg_idle_sessions:
    fault_idle: 20
    postgres_host: 127.0.0.1
    postgres_user: ops
"""
RETURN = """
opened:
  description: How many sessions were opened.
  returned: when opened
  type: int
"""

import time
from collections import Counter
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import detached, values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_connections, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import drill_sessions, idle_clients
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import connect, libpq_settings
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sessions import counted

SHARED = ("postgres_",)
PARAMETERS: dict[str, Any] = {**db_connections.FAULT, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["opened", "spared", "ended"], "default": "opened"},
    **PARAMETERS,
}
PLAIN = {"application": "irctl-drill-web", "statement": "SELECT 1", "commit": True}
OTHERS = [
    {"application": "report", "statement": "SELECT txid_current()", "commit": False},
    {"application": "report", "statement": "SELECT txid_current()", "commit": False},
    {"application": "worker", "statement": "LISTEN jobs", "commit": True},
    {"application": "migration", "statement": "SELECT pg_advisory_lock(pg_backend_pid())", "commit": True},
    {"application": "pgbouncer", "statement": "SELECT 1", "commit": True},
]
LONGEST_WAIT = 60  # seconds

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Open the sessions, look for the decoys, or end all. Raises Failure when that fails or one is gone, or ValueError."""
    with connect(params) as server:
        if params["state"] == "ended":
            return drill_sessions.end(server, idle_clients.MARK, check_mode)
        there = drill_sessions.applications(server, idle_clients.MARK)
    return _spared(there, check_mode) if params["state"] == "spared" else _opened(params, there, check_mode)


def _spared(there: list[str], check_mode: bool) -> Result:
    gone = [one["application"] for one in missing(OTHERS, there)]
    if gone and not check_mode:
        raise Failure(f"Of the sessions that must be spared these are gone: {', '.join(gone)}.")
    return {"changed": False, "msg": f"{counted(len(OTHERS) - len(gone))} that must be spared are there"}


def _opened(params: Params, there: list[str], check_mode: bool) -> Result:
    lifetime, age = values.seconds(params["fault_lifetime"]), values.seconds(params["idle_for"])
    sessions = missing([PLAIN] * params["fault_idle"] + OTHERS, there)
    plain = f"{sum(one is PLAIN for one in sessions)} of them plainly idle"
    if check_mode or not sessions:
        said = f"{counted(len(sessions))} would be opened" if sessions else f"all {counted(len(there))} are there already"
        return {"changed": bool(sessions), "opened": 0, "msg": said}
    plan = {"where": libpq_settings(params), "sessions": sessions, "seconds": lifetime}
    detached.start(idle_clients.__file__, plan, "The sessions could not be opened")
    if age <= LONGEST_WAIT:
        time.sleep(age + 0.2)
    return {"changed": True, "opened": len(sessions), "msg": f"{counted(len(sessions))} opened, {plain}"}


def missing(wanted: list[dict[str, Any]], there: list[str]) -> list[dict[str, Any]]:
    """Those of the wanted sessions for which there is none of that application. Pure."""
    left, found = Counter(there), []
    for one in wanted:
        left[one["application"]] -= 1
        if left[one["application"]] < 0:
            found.append(one)
    return found


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
