"""Clients that build indexes: makes a scratch database from the JSON on standard input with an index that a build left INVALID,
and one that somebody goes on building; prints 'ready', and drops the database when time is up. Told to, it only drops.

Started by pg_scratch_index as a process of its own, because a module ends and the builds must not. Both builds wait for a
transaction that has written to their table: the first gives up after a moment, the other one does not.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from typing import Any

DATABASE = "irctl_drill_index"
TABLES = ("orders", "parcels")
APPLICATION = "irctl-drill-index"
ROWS = 20_000
LEFT = "orders_customer_idx"
DECOY = "orders_customer_idx_ccnew"  # as REINDEX would call it, but on another table and alive
TABLE = "CREATE TABLE IF NOT EXISTS {0} (customer int NOT NULL, note text NOT NULL)"
FILL = "INSERT INTO {0} SELECT n % 500, 'note ' || n FROM generate_series(1, {1}) n"
FOREIGN = """SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname <> ALL(%s)
  AND relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"""
BUILDING = "SELECT count(*) FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid WHERE relname = %s"


def hold(plan: dict[str, Any]) -> None:
    """Make the tables and their indexes, and keep the build going. Raises psycopg.Error or SystemExit where that cannot be."""
    where, deadline = plan["where"], time.monotonic() + plan["seconds"]
    make(where)
    leave_invalid(where)
    writer = connect(where, DATABASE, autocommit=False)
    writer.execute(FILL.format("parcels", 1).encode())
    builder = connect(where, DATABASE)
    thread = threading.Thread(target=build, args=(builder,), daemon=True)
    thread.start()
    wait_for_index(where, DECOY)
    sys.stdout.write("ready\n")
    sys.stdout.close()
    while time.monotonic() < deadline and thread.is_alive():
        time.sleep(0.2)
    with contextlib.suppress(Exception):
        remove(where)


def connect(where: dict[str, Any], database: str = "", *, autocommit: bool = True) -> Any:
    import psycopg

    place = where | ({"dbname": database} if database else {})
    return psycopg.connect(**place, application_name=APPLICATION, connect_timeout=5, autocommit=autocommit)


def there(where: dict[str, Any]) -> bool:
    with connect(where) as session:
        return bool(session.execute("SELECT count(*) FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()[0])


def make(where: dict[str, Any]) -> None:
    """Make the database with its tables; one that is there must be that of an earlier drill."""
    if not there(where):
        with connect(where) as session:
            session.execute(f"CREATE DATABASE {DATABASE}".encode())
    with connect(where, DATABASE) as session:
        require_drill(session)
        for table in TABLES:
            session.execute(TABLE.format(table).encode())
        if not session.execute(b"SELECT count(*) FROM (SELECT FROM orders LIMIT 1) one").fetchone()[0]:
            session.execute(FILL.format("orders", ROWS).encode())


def leave_invalid(where: dict[str, Any]) -> None:
    """Let a build of the index give up, unless something of the name is there."""
    import psycopg

    with connect(where, DATABASE, autocommit=False) as writer, connect(where, DATABASE) as builder:
        if builder.execute(BUILDING, [LEFT]).fetchone()[0]:
            return
        writer.execute(FILL.format("orders", 1).encode())
        builder.execute(b"SET lock_timeout = 200")
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            builder.execute(f"CREATE INDEX CONCURRENTLY {LEFT} ON orders (customer)".encode())
        writer.rollback()


def build(session: Any) -> None:
    """Build the other index until the session is ended, or the database is dropped."""
    with contextlib.suppress(Exception):
        session.execute(f"DROP INDEX IF EXISTS {DECOY}".encode())
        session.execute(f"CREATE INDEX CONCURRENTLY {DECOY} ON parcels (customer)".encode())


def wait_for_index(where: dict[str, Any], name: str) -> None:
    """Until an index of the name is there, valid or not. Raises SystemExit where that takes too long."""
    until = time.monotonic() + 30
    with connect(where, DATABASE) as session:
        while not session.execute(BUILDING, [name]).fetchone()[0]:
            if time.monotonic() > until:
                raise SystemExit(f"the build of {name} does not begin")
            time.sleep(0.02)


def remove(where: dict[str, Any]) -> None:
    """Drop the database if it is there, whoever is connected. Raises psycopg.Error, or SystemExit where no drill made it."""
    import psycopg

    if not there(where):
        return
    try:
        with connect(where, DATABASE) as session:
            require_drill(session)
        with connect(where) as session:
            session.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)".encode())
    except psycopg.Error:
        if there(where):  # else another process has just dropped it
            raise


def require_drill(session: Any) -> None:
    """Raises SystemExit where the database has a table that is not the drill's."""
    if session.execute(FOREIGN, [list(TABLES)]).fetchone()[0]:
        raise SystemExit(f"there is a database {DATABASE} that no drill made")


def main(plan: dict[str, Any]) -> None:
    if not plan["removes"]:
        hold(plan)
        return
    remove(plan["where"])
    sys.stdout.write("ready\n")


if __name__ == "__main__":
    main(json.load(sys.stdin))
