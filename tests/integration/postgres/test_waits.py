"""Who waits for whom on a real server, also where what blocks is no client: a prepared transaction, a walsender, autovacuum."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from irctl.lab.postgres import Postgres
from tests.conftest import Irctl, Sessions

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture
def table(sessions: Sessions) -> Iterator[str]:
    sessions.ask("CREATE TABLE waited_for AS SELECT 1 AS n")
    sessions.ask("GRANT ALL ON waited_for TO ops")
    yield "waited_for"
    sessions.ask("DROP TABLE waited_for")


@pytest.fixture
def waiters(sessions: Sessions, wait_until: Callable[..., Any]) -> Iterator[Callable[[int, str], None]]:
    """Start sessions that wait; they are let go at the end."""
    threads, opened = [], []

    def start(number: int, statement: str) -> None:
        for session in sessions.open(number):
            opened.append(session)
            threads.append(threading.Thread(target=_run, args=(session, statement)))
            threads[-1].start()
        wait_until(lambda: sessions.ask(WAITING) == number)

    yield start
    for session in opened:
        session.cancel()
    for thread in threads:
        thread.join()


def _run(session: psycopg.Connection, statement: str) -> None:
    try:
        session.execute(statement.encode())
    except psycopg.Error:
        return


def problems(irctl: Irctl) -> list[str]:
    done = irctl("diagnose", "postgres", "--host", "lab", "--json")
    return [finding["says"] for finding in done.host()["findings"] if finding["level"] == "problem"]


def test_a_prepared_transaction_that_blocks_is_named(
    irctl: Irctl, server: Postgres, sessions: Sessions, table: str, waiters: Callable[[int, str], None]
) -> None:
    """pg_blocking_pids gives 0 for it, and its session is long gone. A second one beside it blocks nobody."""
    for gid, statement in (("pay-7", f"LOCK TABLE {table}"), ("idle-8", "SELECT txid_current()")):
        with psycopg.connect(server.address("ops"), autocommit=True) as session:
            for line in ("BEGIN", statement, f"PREPARE TRANSACTION '{gid}'"):
                session.execute(line.encode())
    try:
        waiters(3, f"SELECT * FROM {table}")
        [problem] = problems(irctl)
    finally:
        for gid in ("pay-7", "idle-8"):
            sessions.ask(f"ROLLBACK PREPARED '{gid}'")
    assert problem.startswith("The prepared transaction pay-7 (ops in postgres) is open for ")
    assert "and blocks 3 session(s); COMMIT PREPARED or ROLLBACK PREPARED in that database ends it." in problem


def test_a_row_that_a_prepared_transaction_holds_is_waited_for(
    irctl: Irctl, server: Postgres, sessions: Sessions, table: str, waiters: Callable[[int, str], None]
) -> None:
    with psycopg.connect(server.address("ops"), autocommit=True) as session:
        for line in ("BEGIN", f"UPDATE {table} SET n = 2", "PREPARE TRANSACTION 'row'"):
            session.execute(line.encode())
    try:
        waiters(1, f"UPDATE {table} SET n = 3")
        [problem] = problems(irctl)
    finally:
        sessions.ask("ROLLBACK PREPARED 'row'")
    assert "The prepared transaction row (ops in postgres)" in problem
    assert "blocks 1 session(s)" in problem


def test_sessions_that_wait_in_a_circle_are_told_where_nobody_ends_it(irctl: Irctl, sessions: Sessions) -> None:
    """Nobody among them blocks without waiting, so that there is nobody to be freed, and that is not 'nothing to free'."""
    sessions.ask("ALTER ROLE ops SET deadlock_timeout = '1h'")
    circle = sessions.open(2, "BEGIN")
    threads = []
    try:
        for session, key in zip(circle, (1, 2), strict=True):
            session.execute("SELECT pg_advisory_xact_lock(%s)", [key])
        for session, key in zip(circle, (2, 1), strict=True):
            threads.append(threading.Thread(target=_run, args=(session, f"SELECT pg_advisory_xact_lock({key})")))
            threads[-1].start()
        time.sleep(1.1)
        told = "Who blocks 2 sessions cannot be told"
        assert [problem.partition(":")[0] for problem in problems(irctl)] == [told]
        done = irctl("remediate", "db-blockers", "--host", "lab", "--waiting-for", "1s", "--json")
        assert done.host()["outcome"] == "refused"
        assert told in done.host()["reason"]
    finally:
        sessions.ask("ALTER ROLE ops RESET deadlock_timeout")
        for session in circle:
            session.cancel()
        for thread in threads:
            thread.join()


def test_a_walsender_that_blocks_is_named(irctl: Irctl, server: Postgres, table: str, waiters: Callable[[int, str], None]) -> None:
    """One that takes statements, as a logical replica's does."""
    replica = psycopg.connect(f"{server.address('postgres')} replication=database application_name=replica", autocommit=True)
    pid = replica.info.backend_pid
    try:
        for line in ("BEGIN", f"LOCK TABLE {table}"):
            replica.pgconn.exec_(line.encode())
        waiters(2, f"SELECT * FROM {table}")
        [problem] = problems(irctl)
    finally:
        replica.close()
    assert f"pid {pid} (walsender postgres in postgres, replica) blocks 2 session(s)" in problem
