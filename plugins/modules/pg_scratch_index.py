#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make the fault that db-index mends, a table with an index that a build has left INVALID, or take it away again."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_scratch_index
short_description: Make a scratch database with an INVALID index, or remove it
description:
  - Makes the database C(irctl_drill_index) with a table whose index a build has left INVALID, and another table, an index of which
    is being built until the database is dropped, in a process that ends by itself. For drills, demonstrations and tests only; it
    needs psycopg, and a role with C(CREATEDB).
  - With V(state=removed) the database is dropped whoever is connected, unless it has a table that no drill made.
  - Own module, because a module that ends closes its sessions.
options:
  state:
    description: Whether to make the database, to fail where the build of the other table's index was ended, or to drop all.
    type: str
    choices: [made, spared, removed]
    default: made
extends_documentation_fragment: [irctl.runbooks.db_index.fault, irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: An index that a build has left INVALID
  irctl.runbooks.pg_scratch_index:
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
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_index, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import building_clients
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import connect, libpq_settings

SHARED = ("postgres_",)
PARAMETERS: dict[str, Any] = {**db_index.FAULT, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["made", "spared", "removed"], "default": "made"},
    **PARAMETERS,
}
DATABASE = building_clients.DATABASE
STATE = """WITH given AS (SELECT $1::jsonb AS p)
SELECT json_build_object('there', EXISTS (SELECT FROM pg_database, given WHERE datname = p->>'database'),
  'building', EXISTS (SELECT FROM pg_stat_activity, given
    WHERE datname = p->>'database' AND application_name = p->>'application'))"""
BUILDING = """WITH given AS (SELECT $1::jsonb AS p)
SELECT to_json(EXISTS (SELECT FROM pg_stat_progress_create_index JOIN pg_class c ON c.oid = index_relid, given
  WHERE relname = p->>'index'))"""

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Make the database with its indexes, or remove it, unless in check mode. Raises Failure or ValueError."""
    removes = params["state"] == "removed"
    plan = {"where": libpq_settings(params), "seconds": values.seconds(params["fault_lifetime"]), "removes": removes}
    with connect(params) as server:
        current = server.ask(STATE, {"database": DATABASE, "application": building_clients.APPLICATION})
    if params["state"] == "spared":
        return {"database": DATABASE, "changed": False, **_spared(params, current["there"], check_mode)}
    if not removes and current["building"]:
        return {"database": DATABASE, "changed": False, "msg": f"somebody builds an index in the database {DATABASE} already"}
    if removes and not current["there"]:
        return {"database": DATABASE, "changed": False, "msg": f"there is no database {DATABASE}"}
    done = "dropped" if removes else "made, with an INVALID index and one that is being built"
    if not check_mode:
        detached.start(building_clients.__file__, plan, f"The database could not be {'dropped' if removes else 'made'}")
    return {"database": DATABASE, "changed": True, "msg": f"the database {DATABASE} {'would be ' if check_mode else ''}{done}"}


def _spared(params: Params, there: bool, check_mode: bool) -> Result:
    """Whether the index that somebody else is building is there, and its build goes on. Raises Failure where it does not."""
    if check_mode:
        return {"msg": "not done in a dry run"}
    if not there:
        raise Undecided(f"The fault was not made: there is no database {DATABASE}.")
    with connect({**params, "postgres_dbname": DATABASE}) as server:
        building = server.ask(BUILDING, {"index": building_clients.DECOY})
    if not building:
        raise Failure(f"The build of {building_clients.DECOY} on another table was ended.")
    return {"msg": f"the build of {building_clients.DECOY} goes on"}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
