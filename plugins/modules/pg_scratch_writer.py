#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make the fault that db-freeze-writes contains, a client that writes to a database without end, or take it away again."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_scratch_writer
short_description: Make a scratch database and let a client write to it, or remove both
description:
  - Makes the database C(irctl_drill) and writes a row to it every 0.2 s, in a process that ends by itself and drops the
    database. Where one is at work already, it is left at work. For drills, demonstrations and tests only; it needs psycopg, and
    a role with C(CREATEDB).
  - With V(state=removed) the database is dropped whoever is connected, unless it has a table that no drill made.
  - Own module, because a module that ends closes its sessions.
options:
  state:
    description: Whether the database and its client shall be there.
    type: str
    choices: [made, removed]
    default: made
extends_documentation_fragment: [irctl.runbooks.db_freeze_writes.fault, irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: A client that writes
  irctl.runbooks.pg_scratch_writer:
    fault_lifetime: 5m
    postgres_host: 127.0.0.1
    postgres_user: ops
"""
RETURN = """
database:
  description: The scratch database.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import detached, values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_freeze_writes, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import writing_client
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import connect, libpq_settings

SHARED = ("postgres_",)
PARAMETERS: dict[str, Any] = {**db_freeze_writes.FAULT, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["made", "removed"], "default": "made"},
    **PARAMETERS,
}
DATABASE = writing_client.DATABASE
STATE = """WITH given AS (SELECT $1::jsonb AS p)
SELECT json_build_object('there', EXISTS (SELECT FROM pg_database, given WHERE datname = p->>'database'),
  'client', EXISTS (SELECT FROM pg_stat_activity, given WHERE datname = p->>'database' AND application_name = p->>'application'))"""

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Make the database and start its client, or remove both, unless in check mode. Raises Failure or ValueError."""
    plan = {
        "where": libpq_settings(params),
        "seconds": values.seconds(params["fault_lifetime"]),
        "removes": params["state"] == "removed",
    }
    with connect(params) as server:
        seen = server.ask(STATE, {"database": DATABASE, "application": writing_client.APPLICATION})
    act = _remove if plan["removes"] else _make
    return {"database": DATABASE, **act(plan, seen, check_mode)}


def _make(plan: Params, seen: Any, check_mode: bool) -> Result:
    if seen["client"]:
        return {"changed": False, "msg": f"a client writes to the database {DATABASE} already"}
    if not check_mode:
        detached.start(writing_client.__file__, plan, "The database could not be made and written to")
    return {"changed": True, "msg": f"a client {'would write' if check_mode else 'writes'} to the database {DATABASE}"}


def _remove(plan: Params, seen: Any, check_mode: bool) -> Result:
    if not seen["there"]:
        return {"changed": False, "msg": f"there is no database {DATABASE}"}
    if not check_mode:
        detached.start(writing_client.__file__, plan, "The database could not be removed")
    return {"changed": True, "msg": f"the database {DATABASE} {'would be ' if check_mode else ''}dropped"}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
