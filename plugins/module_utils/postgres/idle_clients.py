"""A leaking client: opens sessions from the JSON on standard input, prints 'ready', and holds them until they die or time is up.

Started by pg_idle_sessions as a process of its own, because a module ends and the leak must not. It ends with its last session.
"""

from __future__ import annotations

import json
import select
import sys
import time
from typing import Any

MARK = " /* irctl-drill */"  # ends the statement of each session, by which it is known again


def hold(plan: dict[str, Any]) -> None:
    """Open each session, run its statement in the way it asks, and wait. Raises psycopg.Error when one cannot be opened."""
    import psycopg

    deadline = time.monotonic() + plan["seconds"]
    sessions = []
    for wanted in plan["sessions"]:
        session = psycopg.connect(
            **plan["where"], application_name=wanted["application"], connect_timeout=5, autocommit=wanted["commit"]
        )
        session.execute(wanted["statement"] + MARK)
        sessions.append(session)
    sys.stdout.write("ready\n")
    sys.stdout.close()
    while sessions and time.monotonic() < deadline:
        for session in select.select(sessions, [], [], 1.0)[0]:
            try:
                session.pgconn.consume_input()
            except psycopg.OperationalError:
                sessions.remove(session)


if __name__ == "__main__":
    hold(json.load(sys.stdin))
