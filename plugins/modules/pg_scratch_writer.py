#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make the fault that db-freeze-writes contains, a client that writes to a database without end, or take it away again."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_scratch_writer
short_description: Make a scratch database and let a client write to it, or remove both
description:
  - Makes the databases C(irctl_drill) and C(irctl_drill_spared) and writes a row to each every 0.2 s, in a process that ends by
    itself and drops them. Where one is at work already, it is left at work. For drills, demonstrations and tests only; it needs
    psycopg, and a role with C(CREATEDB).
  - With V(state=removed) the databases are dropped whoever is connected, unless one has a table that no drill made.
  - Own module, because a module that ends closes its sessions.
options:
  state:
    description: Whether to make the databases and their client, to fail where the second one takes no writes, or to remove all.
    type: str
    choices: [made, spared, removed]
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

import time
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import detached, values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_freeze_writes, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import writing_client
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import connect, libpq_settings

SHARED = ("postgres_",)
PARAMETERS: dict[str, Any] = {**db_freeze_writes.FAULT, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["made", "spared", "removed"], "default": "made"},
    **PARAMETERS,
}
DATABASE = writing_client.DATABASE
DECOY = writing_client.DECOY
DATABASES = writing_client.DATABASES
ROW_SECONDS = 10.0  # a row comes every 0.2 s, where the machine has time
STATE = """WITH given AS (SELECT $1::jsonb AS p)
SELECT json_build_object('there', EXISTS (SELECT FROM pg_database, given WHERE p->'databases' ? datname),
  'client', EXISTS (SELECT FROM pg_stat_activity, given WHERE datname = p->>'database' AND application_name = p->>'application'))"""

NEWER = f"""WITH given AS (SELECT $1::jsonb AS p)
SELECT to_json(count(*)) FROM public.{writing_client.TABLE}, given WHERE at > to_timestamp((p->>'since')::float)"""
NOW = "WITH given AS (SELECT $1::jsonb AS p) SELECT to_json(extract(epoch FROM clock_timestamp())::float) FROM given"

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
        seen = server.ask(STATE, {"database": DATABASE, "databases": DATABASES, "application": writing_client.APPLICATION})
    if params["state"] == "spared":
        return {"database": DECOY, "changed": False, **_spared(params, check_mode)}
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


def _spared(params: Params, check_mode: bool) -> Result:
    """Whether rows go on coming into the database that only looks like the one of the fault. Raises Failure where they do not."""
    if check_mode:
        return {"msg": "not done in a dry run"}
    try:
        grows = _grows({**params, "postgres_dbname": DECOY})
    except Failure as error:
        raise Undecided(f"Whether {DECOY} was spared cannot be told: {error}") from None
    if not grows:
        raise Failure(f"No row came into {DECOY} within {ROW_SECONDS:.0f} s, and its client writes five a second.")
    return {"msg": f"rows go on coming into {DECOY}"}


def _grows(params: Params) -> bool:
    """Whether a row comes within ROW_SECONDS. Raises Failure or Unreachable."""
    with connect(params) as server:
        since, until = server.ask(NOW, {}), time.monotonic() + ROW_SECONDS
        while not (newer := server.ask(NEWER, {"since": since})) and time.monotonic() < until:
            time.sleep(0.05)
    return bool(newer)


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
