"""A client that writes: makes a scratch database from the JSON on standard input, prints 'ready', and inserts until time is up.

Started by pg_scratch_writer as a process of its own, because a module ends and the writing must not. It connects again when it is
ended, as an application does, and drops the database when it goes.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import Any

DATABASE = "irctl_drill"
TABLE = "irctl_drill_writes"
PAUSE = 0.2  # seconds between two rows
MOST_MISSES = 25  # connections in a row that do not come about: the server is gone


def write(plan: dict[str, Any]) -> None:
    """Make the database and write to it. Raises psycopg.Error or SystemExit where it cannot be made."""
    import psycopg

    deadline = time.monotonic() + plan["seconds"]
    make(plan["where"])
    with connect(plan["where"], DATABASE) as session:
        insert(session)
    print("ready", flush=True)
    sys.stdout.close()
    misses = 0
    while misses < MOST_MISSES and time.monotonic() < deadline:
        misses += 1
        with contextlib.suppress(psycopg.Error), connect(plan["where"], DATABASE) as session:
            misses = 0
            while time.monotonic() < deadline:
                insert(session)
                time.sleep(PAUSE)
        time.sleep(PAUSE)
    with contextlib.suppress(psycopg.Error), connect(plan["where"]) as session:
        session.execute(f"DROP DATABASE IF EXISTS {DATABASE}".encode())


def connect(where: dict[str, Any], database: str = "") -> Any:
    import psycopg

    place = where | ({"dbname": database} if database else {})
    return psycopg.connect(**place, application_name="irctl-drill", connect_timeout=5, autocommit=True)


def make(where: dict[str, Any]) -> None:
    """Make the database with its table; one that is there must be that of an earlier drill."""
    with connect(where) as session:
        there = session.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if there is None:
            session.execute(f"CREATE DATABASE {DATABASE}".encode())
    with connect(where, DATABASE) as session:
        if there is None:
            session.execute(f"CREATE TABLE {TABLE} (at timestamptz NOT NULL DEFAULT clock_timestamp())".encode())
        elif session.execute("SELECT to_regclass(%s)", [TABLE]).fetchone()[0] is None:
            raise SystemExit(f"there is a database {DATABASE} that no drill made")


def insert(session: Any) -> None:
    session.execute(f"INSERT INTO {TABLE} DEFAULT VALUES".encode())


if __name__ == "__main__":
    write(json.load(sys.stdin))
