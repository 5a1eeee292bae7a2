#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make the fault that db-blockers mends, sessions that wait for each other's locks, or take it away again."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_blocking_sessions
short_description: Open PostgreSQL sessions that block others, look whether their decoy was spared, or end those
description:
  - Opens a session that is idle in a transaction with a lock, one at work with another, one that waits for each of them, and one
    whose lock nobody wants, in a process that ends by itself. Where they are there already, they are left. For drills,
    demonstrations and tests only; it needs psycopg.
  - Each is known again by a comment in its statement, so that V(state=ended) ends these and no others. Nothing is written.
  - V(state=spared) fails where the one whose lock nobody wants is gone.
  - Own module, because a module that ends closes its sessions.
options:
  state:
    description: Whether to open the sessions, to look for the decoy, or to end all of them.
    type: str
    choices: [opened, spared, ended]
    default: opened
extends_documentation_fragment: [irctl.runbooks.db_blockers.fault, irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Sessions that block others
  irctl.runbooks.pg_blocking_sessions:
    fault_lifetime: 5m
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
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import detached, values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_blockers, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import blocking_clients, drill_sessions
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import connect, libpq_settings
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sessions import counted

SHARED = ("postgres_",)
PARAMETERS: dict[str, Any] = {**db_blockers.FAULT, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["opened", "spared", "ended"], "default": "opened"},
    **PARAMETERS,
}
APPLICATION = "irctl-drill-batch"
DECOY = blocking_clients.DECOY
SESSIONS = 5
LONGEST_WAIT = 60  # seconds

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Open the sessions, look for the decoy, or end all. Raises Failure when that fails or the decoy is gone, or ValueError."""
    with connect(params) as server:
        if params["state"] == "ended":
            return drill_sessions.end(server, blocking_clients.MARK, check_mode)
        applications = drill_sessions.applications(server, blocking_clients.MARK)
    if params["state"] == "spared":
        return _spared(applications, check_mode)
    return _opened(params, applications.count(APPLICATION), check_mode)


def _spared(applications: list[str], check_mode: bool) -> Result:
    if DECOY not in applications and not check_mode:
        raise Failure(f"The session {DECOY}, which holds a lock that nobody wants, is gone.")
    return {"changed": False, "msg": f"the session {DECOY} is there"}


def _opened(params: Params, blocking: int, check_mode: bool) -> Result:
    lifetime, age = values.seconds(params["fault_lifetime"]), values.seconds(params["waiting_for"])
    if blocking == 2:
        return {"changed": False, "opened": 0, "msg": "two sessions block others already"}
    if check_mode:
        return {"changed": True, "opened": 0, "msg": f"{counted(SESSIONS)} would be opened"}
    plan = {"where": libpq_settings(params), "application": APPLICATION, "seconds": lifetime}
    detached.start(blocking_clients.__file__, plan, "The sessions could not be opened")
    if age <= LONGEST_WAIT:
        time.sleep(age + 0.2)
    return {"changed": True, "opened": SESSIONS, "msg": f"{counted(SESSIONS)} opened, 2 of them wait for others"}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
