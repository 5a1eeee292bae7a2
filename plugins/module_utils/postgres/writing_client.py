"""A client that writes: makes a scratch database from the JSON on standard input, prints 'ready', and inserts until time is up.
Told to, it only removes that database.

Started by pg_scratch_writer as a process of its own, because a module ends and the writing must not. It connects again when it is
ended, as an application does, and drops the database when it goes. It goes at once when its database is gone.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import Any

DATABASE = "irctl_drill"
TABLE = "irctl_drill_writes"
APPLICATION = "irctl-drill"
PAUSE = 0.2  # seconds between two rows
MOST_MISSES = 25  # connections in a row that do not come about: the server is gone
FOREIGN = """SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname <> %s
  AND relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"""


def write(plan: dict[str, Any]) -> None:
    """Make the database and write to it. Raises psycopg.Error or SystemExit where it cannot be made."""
    import psycopg

    where, deadline = plan["where"], time.monotonic() + plan["seconds"]
    ours, misses = make(where), 0
    session = connect(where, DATABASE)
    insert(session)
    sys.stdout.write("ready\n")
    sys.stdout.close()
    go_on(session, deadline)
    while misses < MOST_MISSES and time.monotonic() < deadline:
        misses += 1
        time.sleep(PAUSE)
        with contextlib.suppress(psycopg.Error):
            if number(where) != ours:
                return
            session, misses = connect(where, DATABASE), 0
            go_on(session, deadline)
    with contextlib.suppress(psycopg.Error, SystemExit):
        remove(where)


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


def number(where: dict[str, Any]) -> int | None:
    """PostgreSQL's number of the database; None where there is none. One that is made anew has another. Raises psycopg.Error."""
    with connect(where) as session:
        found = session.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        return found[0] if found else None


def make(where: dict[str, Any]) -> int | None:
    """Make the database with its table and return its number; one that is there must be that of an earlier drill."""
    if number(where) is None:
        with connect(where) as session:
            session.execute(f"CREATE DATABASE {DATABASE}".encode())
    with connect(where, DATABASE) as session:
        require_drill(session)
        session.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} (at timestamptz NOT NULL DEFAULT clock_timestamp())".encode())
    return number(where)


def remove(where: dict[str, Any]) -> None:
    """Drop the database if it is there, whoever is connected. Raises psycopg.Error, or SystemExit where no drill made it."""
    if number(where) is None:
        return
    with connect(where, DATABASE) as session:
        require_drill(session)
    with connect(where) as session:
        session.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)".encode())


def require_drill(session: Any) -> None:
    """Raises SystemExit where the database has a table that is not the drill's."""
    if session.execute(FOREIGN, [TABLE]).fetchone()[0]:
        raise SystemExit(f"there is a database {DATABASE} that no drill made")


def insert(session: Any) -> None:
    session.execute(f"INSERT INTO {TABLE} DEFAULT VALUES".encode())


def main(plan: dict[str, Any]) -> None:
    if not plan["removes"]:
        write(plan)
        return
    remove(plan["where"])
    sys.stdout.write("ready\n")


if __name__ == "__main__":
    main(json.load(sys.stdin))
