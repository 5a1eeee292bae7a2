#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make the fault that db-blockers mends, sessions that wait for each other's locks, or take it away again."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_blocking_sessions
short_description: Open PostgreSQL sessions that block others, or end those
description:
  - Opens a session that is idle in a transaction with a lock, one at work with another, one that waits for each of them, and one
    whose lock nobody wants, in a process that ends by itself. Where they are there already, they are left. For drills,
    demonstrations and tests only; it needs psycopg.
  - Each is known again by a comment in its statement, so that V(state=ended) ends these and no others. Nothing is written.
  - Own module, because a module that ends closes its sessions.
options:
  state:
    description: Whether to open the sessions, or to end all of them.
    type: str
    choices: [opened, ended]
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
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import blocking_clients
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import Server, connect, libpq_settings
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sessions import counted

SHARED = ("postgres_",)
PARAMETERS: dict[str, Any] = {**db_blockers.FAULT, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["opened", "ended"], "default": "opened"},
    **PARAMETERS,
}
APPLICATION = "irctl-drill-batch"
SESSIONS = 5
LONGEST_WAIT = 60  # seconds
GONE_SECONDS = 10.0

_OURS = """WITH given AS (SELECT $1::jsonb AS p), ours AS (SELECT pid, application_name FROM pg_stat_activity, given
  WHERE usename = current_user AND right(query, length(p->>'mark')) = p->>'mark')"""
BLOCKING = f"{_OURS} SELECT to_json(count(*)) FROM ours, given WHERE application_name = p->>'application'"
THERE = f"{_OURS} SELECT to_json(count(*)) FROM ours"
ENDED = f"{_OURS} SELECT to_json(count(*) FILTER (WHERE pg_terminate_backend(pid))) FROM ours"
GIVEN = {"mark": blocking_clients.MARK, "application": APPLICATION}

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Open the sessions or end them, unless in check mode. Raises Failure when it does not work for all, or ValueError."""
    with connect(params) as server:
        if params["state"] == "ended":
            return _ended(server, check_mode)
        blocking = server.ask(BLOCKING, GIVEN)
    return _opened(params, blocking, check_mode)


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


def _ended(server: Server, check_mode: bool) -> Result:
    number, until = server.ask(THERE, GIVEN), time.monotonic() + GONE_SECONDS
    while not check_mode and server.ask(ENDED, GIVEN):
        if time.monotonic() > until:
            raise Failure(f"Some of the drill's sessions did not end in {GONE_SECONDS:.0f} s.")
        time.sleep(0.05)
    would = "would be " if check_mode else ""
    message = f"{counted(number)} {would}ended" if number else "none of the drill's sessions is there"
    return {"changed": number > 0, "msg": message}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
