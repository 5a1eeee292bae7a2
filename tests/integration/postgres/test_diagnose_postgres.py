"""The diagnosis of PostgreSQL: what it says of a real server, and that it changes nothing. CATALOGUE W8, W53."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from irctl.lab.postgres import Postgres, programs
from tests.conftest import Irctl, Sessions, host_of, write_inventory


@pytest.fixture
def look(irctl: Irctl) -> Callable[..., dict[str, Any]]:
    """Run the diagnosis and return the findings by what they say, with the command that each suggests."""

    def run(*words: str) -> dict[str, Any]:
        done = irctl("diagnose", "postgres", "--host", "lab", "--json", *words)
        assert done.code == 0, done.err
        return {finding["says"]: finding for finding in done.host()["findings"]}

    return run


def finding(found: dict[str, Any], words: str) -> dict[str, Any]:
    (only,) = [about for says, about in found.items() if words in says]
    return dict(only)


def test_a_server_at_rest_has_nothing_to_worry_about(look: Callable[..., dict[str, Any]]) -> None:
    found = look()
    assert {about["level"] for about in found.values()} == {"fine"}
    assert "of 100 connections are in use" in " ".join(found)


def test_it_says_what_db_connections_would_end(look: Callable[..., dict[str, Any]], irctl: Irctl, sessions: Sessions) -> None:
    idle = sessions.open(3)
    sessions.open(1, "LISTEN jobs")
    sessions.grow_old()
    about = finding(look(), "db-connections would end them; it would spare 1")
    assert about["says"].startswith("3 sessions are idle for over 5s")
    words = about["next"].replace("{host}", "lab").split()
    assert words[0] == "irctl"
    assert irctl(*words[1:]).code == 0
    assert sessions.alive(idle) == 3


def test_the_blocker_is_named_and_not_a_stranger(look: Callable[..., dict[str, Any]], irctl: Irctl, sessions: Sessions) -> None:
    """W53: two databases with the same lock at once; only the one that blocks is named, and the advice frees the waiter."""
    for database in ("postgres", "shop"):
        sessions.open(1, "CREATE TABLE IF NOT EXISTS rows (n int)", database=database, user="postgres")
        sessions.open(1, "GRANT ALL ON rows TO ops", database=database, user="postgres")
    holder = sessions.open(1, "BEGIN", "LOCK TABLE rows", database="shop", application="stuck")[0]
    sessions.open(1, "BEGIN", "LOCK TABLE rows", application="stranger")
    waiter = sessions.open(1, database="shop")[0]
    freed = threading.Thread(target=waiter.execute, args=("SELECT count(*) FROM rows",))
    freed.start()
    time.sleep(5.5)
    found = look("--long-for", "3s")
    about = finding(found, "blocks 1 session(s)")
    assert about["level"] == "problem"
    assert f"pid {holder.info.backend_pid} (ops in shop, stuck)" in about["says"]
    assert "runs for" in finding(found, "SELECT count(*) FROM rows")["says"]
    words = about["next"].replace("{host}", "lab").split()[2:]
    assert irctl("remediate", *words, "--application", "stuck").code == 0
    freed.join(timeout=30)
    assert not freed.is_alive()
    for database in ("postgres", "shop"):
        with psycopg.connect(holder.info.dsn, user="postgres", dbname=database, autocommit=True) as session:
            session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stranger'")
            session.execute("DROP TABLE rows")


def test_values_in_statements_are_not_shown(irctl: Irctl, sessions: Sessions) -> None:
    with sessions.at_work(sessions.open()[0], "SELECT pg_sleep(3600), 'jane@example.com', 4111111111111111"):
        time.sleep(1.5)
        done = irctl("diagnose", "postgres", "--host", "lab", "--long-for", "1s")
    assert "SELECT pg_sleep(?), …" in done.out
    assert "jane" not in done.out
    assert b"jane" not in b"".join(path.read_bytes() for path in irctl.home.rglob("*") if path.is_file())


def test_a_nearly_full_server_is_a_problem(tmp_path: Path) -> None:
    small = Postgres(tmp_path / "small")
    small.start({"max_connections": "10"})
    opened = [psycopg.connect(small.address("postgres")) for _ in range(7)]
    try:
        irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, {"lab": host_of(small, postgres_user="postgres")}))
        done = irctl("diagnose", "postgres", "--host", "lab", "--json")
        first = done.host()["findings"][0]
        assert (first["level"], first["says"]) == ("problem", "7 of 10 connections are in use (70%), and 3 are reserved.")
    finally:
        for session in opened:
            session.close()
        small.stop()


def test_a_role_and_a_database_that_may_have_no_more_connections_are_a_problem(
    look: Callable[..., dict[str, Any]], sessions: Sessions
) -> None:
    """With irctl's own there are three of them."""
    sessions.open(2)
    for what in ("ROLE ops", "DATABASE postgres"):
        sessions.ask(f"ALTER {what} CONNECTION LIMIT 3")
    try:
        found = look()
        for name in ("role ops", "database postgres"):
            assert finding(found, f"The {name} has 3 of the 3 connections that it may have.")["level"] == "problem"
    finally:
        for what in ("ROLE ops", "DATABASE postgres"):
            sessions.ask(f"ALTER {what} CONNECTION LIMIT -1")


def test_a_replica_that_receives_nothing_does_not_know_how_far_behind_it_is(tmp_path: Path) -> None:
    replica = Postgres(tmp_path / "replica")
    replica.start()
    try:
        for words in (
            ("stop", "-s", "-m", "fast"),
            ("start", "-s", "-w", "-l", str(replica.base / "log"), "-o", f"-p {replica.port}"),
        ):
            (replica.data / "standby.signal").touch()
            replica._run("pg_ctl", *words, "-D", str(replica.data))
        irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, {"lab": host_of(replica)}))
        done = irctl("diagnose", "postgres", "--host", "lab", "--json")
        first = done.host()["findings"][0]
        assert (first["level"], "receives nothing, so how far behind it is cannot be told" in first["says"]) == ("notice", True)
    finally:
        replica.stop()


def test_who_replicates_is_named_with_how_far_behind(
    look: Callable[..., dict[str, Any]], irctl: Irctl, server: Postgres, sessions: Sessions, wait_until: Callable[..., Any]
) -> None:
    receive = [
        programs() / "bin" / "pg_receivewal",
        "-d",
        f"{server.address('postgres')} application_name=copy",
        "-D",
        ".",
        "--no-loop",
    ]
    receiver = subprocess.Popen(receive, cwd=irctl.home.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        streaming = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'copy' AND state = 'streaming'"
        wait_until(lambda: sessions.ask(streaming))
        about = finding(look(), "Replica copy is streaming, 0.0 s behind.")
        assert about["level"] == "fine"
    finally:
        receiver.kill()
        receiver.wait()


def test_a_replication_slot_that_nobody_reads_is_seen(look: Callable[..., dict[str, Any]], sessions: Sessions) -> None:
    sessions.ask("SELECT pg_create_physical_replication_slot('forgotten', true)")
    try:
        assert finding(look(), "replication slot forgotten")["level"] == "notice"
    finally:
        sessions.ask("SELECT pg_drop_replication_slot('forgotten')")


def test_a_replication_slot_keeps_nothing_before_it_was_read_or_once_it_is_lost(
    look: Callable[..., dict[str, Any]], sessions: Sessions
) -> None:
    for name, reserves in (("fresh", "false"), ("late", "true")):
        sessions.ask(f"SELECT pg_create_physical_replication_slot('{name}', {reserves})")
    try:
        for line in ("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()"):
            sessions.ask(line)
        for _ in range(3):
            for line in ("SELECT pg_logical_emit_message(false, '', repeat('x', 1000000))", "SELECT pg_switch_wal()", "CHECKPOINT"):
                sessions.ask(line)
        found = look()
        assert finding(found, "Replication slot late is lost")["level"] == "notice"
        assert not any("keeps WAL" in says for says in found)
    finally:
        for line in ("ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()"):
            sessions.ask(line)
        for name in ("fresh", "late"):
            sessions.ask(f"SELECT pg_drop_replication_slot('{name}')")
