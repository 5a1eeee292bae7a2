#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Look at PostgreSQL and say in plain words what was found."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_diagnosis
short_description: Look at the sessions, waits and replication of PostgreSQL
description:
  - Reads C(pg_stat_activity), C(pg_blocking_pids()), C(pg_stat_replication) in two bounded statements. Changes nothing.
  - Own module, because C(community.postgresql.postgresql_info) tells of settings and objects, not of sessions and waits.
extends_documentation_fragment: [irctl.runbooks.diagnose_postgres, irctl.runbooks.db_connections.shared, irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: What is wrong with this server
  irctl.runbooks.pg_diagnosis:
    postgres_host: db1.example.com
"""
RETURN = """
findings:
  description: What was found, each with level, says and next.
  returned: always
  type: list
  elements: dict
summary:
  description: The numbers behind the findings.
  returned: always
  type: dict
"""

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_connections, diagnose_postgres, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import findings, sessions
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import connect

SHARED = ("postgres_", "db_connections_")
PARAMETERS: dict[str, Any] = {
    **diagnose_postgres.MAIN,
    **db_connections.SHARED,
    **postgres.ARGUMENTS,
}
ARGUMENTS = PARAMETERS
EVERYTHING: dict[str, Any] = {"idle_in_transaction_for": None, "database": [], "user": [], "application": []}


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Look; the same in check mode. Raises Failure or ValueError."""
    idle_for = params["db_connections_idle_for"]
    asked = sessions.asked({**EVERYTHING, **params, "idle_for": idle_for})
    with connect(params) as server:
        facts = server.ask(findings.FACTS, {"long_for": values.seconds(params["long_for"])})
        listing = server.ask(sessions.LISTED, asked)
    found = findings.findings(facts, listing, idle_for)
    counts = [(level, sum(finding["level"] == level for finding in found)) for level in ("problem", "notice")]
    said = ", ".join(f"{number} {level}{'s' if number > 1 else ''}" for level, number in counts if number)
    server_facts = facts["server"]
    where = f"PostgreSQL {server_facts['version']}, {'replica' if server_facts['in_recovery'] else 'primary'}"
    return {
        "changed": False,
        "summary": findings.kept(facts),
        "findings": found,
        "msg": f"{where}: {said or 'nothing to worry about'}",
    }


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
