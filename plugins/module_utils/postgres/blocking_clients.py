"""Clients that block each other: opens sessions from the JSON on standard input, prints 'ready' when those that shall wait do so.

Started by pg_blocking_sessions as a process of its own, because a module ends and the locks must not. It ends with its sessions.
The lock is that of a large object which two transactions make under one number: it needs no table and no right, the second waits
for the first, and nothing of it is left when both are rolled back.
"""

from __future__ import annotations

import json
import random
import select
import sys
import threading
import time
from contextlib import suppress
from typing import Any

DECOY = "report"  # the application whose lock nobody wants
MARK = " /* irctl-drill-blockers */"  # ends the statement of each session, by which it is known again
PAUSE = 0.02
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s) AND wait_event_type = 'Lock'"
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s) AND wait_event = 'PgSleep'"


def hold(plan: dict[str, Any]) -> None:
    """Open the sessions, and keep them until they die or time is up. Raises psycopg.Error when one cannot be opened."""
    deadline = time.monotonic() + plan["seconds"]
    first, second, third = random.sample(range(10**9, 4 * 10**9), 3)
    holder = opened(plan, plan["application"], f"SELECT lo_create({first})")
    decoy = opened(plan, DECOY, f"SELECT lo_create({third})")
    worker = opened(plan, plan["application"], "SELECT 1")
    workers = [start(worker, f"SELECT lo_create({second}), pg_sleep({plan['seconds']})")]
    watcher = opened(plan, "watcher", "SELECT 1")
    wait_for(watcher, [worker], ASLEEP)
    waiting = [opened(plan, "web", "SELECT 1"), opened(plan, "web", "SELECT 1")]
    workers += [start(session, f"SELECT lo_create({number})") for session, number in zip(waiting, (first, second), strict=True)]
    wait_for(watcher, waiting, WAITING)
    watcher.close()
    sys.stdout.write("ready\n")
    sys.stdout.close()
    while time.monotonic() < deadline and (alive(holder) or alive(decoy) or any(thread.is_alive() for thread in workers)):
        time.sleep(0.5)
    for session in (holder, decoy, worker, *waiting):
        with suppress(Exception):
            session.close()


def opened(plan: dict[str, Any], application: str, statement: str) -> Any:
    """A session with a transaction in which the statement was carried out."""
    import psycopg

    session = psycopg.connect(**plan["where"], application_name=application, connect_timeout=5)
    session.execute((statement + MARK).encode())
    return session


def start(session: Any, statement: str) -> threading.Thread:
    """Carry out a statement that will wait, until it is cancelled, ended or let through."""

    def carry_out() -> None:
        with suppress(Exception):
            session.execute((statement + MARK).encode())

    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()
    return thread


def wait_for(watcher: Any, sessions: list[Any], statement: str) -> None:
    """Until the statement counts all of the sessions. Raises SystemExit where that takes too long."""
    pids, until = [session.info.backend_pid for session in sessions], time.monotonic() + 30
    while watcher.execute(statement.encode(), [pids]).fetchone()[0] < len(pids):
        watcher.rollback()
        if time.monotonic() > until:
            raise SystemExit("the sessions do not wait for each other")
        time.sleep(PAUSE)


def alive(session: Any) -> bool:
    """Whether the server has not ended it, as far as a look at its socket tells."""
    with suppress(Exception):
        if select.select([session], [], [], 0)[0]:
            session.pgconn.consume_input()
        return not session.closed and session.pgconn.status == 0
    return False


if __name__ == "__main__":
    hold(json.load(sys.stdin))
