"""A client that writes: makes two scratch databases from the JSON on standard input, prints 'ready', and inserts until time is up.
Told to, it only removes them.

Started by pg_scratch_writer as a process of its own, because a module ends and the writing must not. It connects again when it is
ended, as an application does, and drops the databases when it goes. It leaves a database at once that is gone.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from typing import Any

DATABASE, DECOY = DATABASES = ("irctl_drill", "irctl_drill_spared")
TABLE = "irctl_drill_writes"
APPLICATION = "irctl-drill"
PAUSE = 0.2  # seconds between two rows
MOST_MISSES = 25  # connections in a row that do not come about: the server is gone
FOREIGN = """SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname <> %s
  AND relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"""


def write(plan: dict[str, Any]) -> None:
    """Make the databases and write to them. Raises psycopg.Error or SystemExit where they cannot be made."""
    where, deadline = plan["where"], time.monotonic() + plan["seconds"]
    numbers = {name: make(where, name) for name in DATABASES}
    sessions = {name: connect(where, name) for name in DATABASES}
    for session in sessions.values():
        insert(session)
    sys.stdout.write("ready\n")
    sys.stdout.close()
    clients = [threading.Thread(target=write_to, args=(where, name, numbers[name], sessions[name], deadline)) for name in DATABASES]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def write_to(where: dict[str, Any], name: str, ours: int | None, session: Any, deadline: float) -> None:
    """Insert, connect again when the session is ended, and drop the database when time is up, unless it is another one by then."""
    import psycopg

    go_on(session, deadline)
    misses = 0
    while misses < MOST_MISSES and time.monotonic() < deadline:
        misses += 1
        time.sleep(PAUSE)
        with contextlib.suppress(psycopg.Error):
            if number(where, name) != ours:
                return
            session, misses = connect(where, name), 0
            go_on(session, deadline)
    with contextlib.suppress(psycopg.Error, SystemExit):
        remove(where, name)


def go_on(session: Any, deadline: float) -> None:
    """Insert until the session is ended or time is up."""
    import psycopg

    with contextlib.suppress(psycopg.Error), session:
        while time.monotonic() < deadline:
            insert(session)
            time.sleep(PAUSE)


def connect(where: dict[str, Any], database: str = "") -> Any:
    import psycopg

    place = where | ({"dbname": database} if database else {})
    return psycopg.connect(**place, application_name=APPLICATION, connect_timeout=5, autocommit=True)


def number(where: dict[str, Any], name: str) -> int | None:
    """PostgreSQL's number of the database; None where there is none. One that is made anew has another. Raises psycopg.Error."""
    with connect(where) as session:
        found = session.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", [name]).fetchone()
        return found[0] if found else None


def make(where: dict[str, Any], name: str) -> int | None:
    """Make the database with its table and return its number; one that is there must be that of an earlier drill."""
    if number(where, name) is None:
        with connect(where) as session:
            session.execute(f"CREATE DATABASE {name}".encode())
    with connect(where, name) as session:
        require_drill(session, name)
        session.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} (at timestamptz NOT NULL DEFAULT clock_timestamp())".encode())
    return number(where, name)


def remove(where: dict[str, Any], name: str) -> None:
    """Drop the database if it is there, whoever is connected. Raises psycopg.Error, or SystemExit where no drill made it."""
    import psycopg

    if number(where, name) is None:
        return
    try:
        with connect(where, name) as session:
            require_drill(session, name)
        with connect(where) as session:
            session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
    except psycopg.Error:
        if number(where, name) is not None:  # else another process has just dropped it
            raise


def require_drill(session: Any, name: str) -> None:
    """Raises SystemExit where the database has a table that is not the drill's."""
    if session.execute(FOREIGN, [TABLE]).fetchone()[0]:
        raise SystemExit(f"there is a database {name} that no drill made")


def insert(session: Any) -> None:
    session.execute(f"INSERT INTO {TABLE} DEFAULT VALUES".encode())


def main(plan: dict[str, Any]) -> None:
    if not plan["removes"]:
        write(plan)
        return
    for name in DATABASES:
        remove(plan["where"], name)
    sys.stdout.write("ready\n")


if __name__ == "__main__":
    main(json.load(sys.stdin))
