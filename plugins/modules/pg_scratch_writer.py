#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Make the fault that db-freeze-writes contains: a client that writes to a database without end."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_scratch_writer
short_description: Make a scratch database and let a client write to it
description:
  - Makes the database C(irctl_drill) and writes a row to it every 0.2 s, in a process that ends by itself and drops the
    database. For drills, demonstrations and tests only; it needs psycopg, and a role with C(CREATEDB).
  - Own module, because a module that ends closes its sessions.
options:
  lifetime:
    description: The client ends and its database is dropped after this long.
    type: str
    default: 15m
extends_documentation_fragment: [irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: A client that writes
  irctl.runbooks.pg_scratch_writer:
    lifetime: 5m
    host: 127.0.0.1
    user: ops
"""
RETURN = """
database:
  description: The scratch database.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import detached, pg_writer, values
from ansible_collections.irctl.runbooks.plugins.module_utils.pg_client import ARGUMENTS as CONNECTION

ARGUMENTS: dict[str, Any] = {"lifetime": {"type": "str", "default": "15m"}, **CONNECTION}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make the database and start its client unless in check mode. Raises Failure where that does not work, or ValueError."""
    lifetime = values.seconds(params["lifetime"])
    if not check_mode:
        where = {key: params[key] for key in CONNECTION if params[key] not in (None, "")}
        detached.start(pg_writer.__file__, {"where": where, "seconds": lifetime}, "The database could not be made and written to")
    would = "would write" if check_mode else "writes"
    return {"changed": True, "database": pg_writer.DATABASE, "msg": f"a client {would} to the database {pg_writer.DATABASE}"}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
