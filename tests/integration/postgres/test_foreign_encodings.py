"""Sessions of databases in other encodings, whose statements are no UTF-8: they stop no run, and evidence keeps their bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import client
from irctl.lab.postgres import Postgres
from tests.conftest import Irctl, Sessions, host_of

LATIN1, NO_ENCODING = "latin1", "café"


@pytest.fixture
def foreign(sessions: Sessions) -> Iterator[list[psycopg.Connection]]:
    """An idle session in a LATIN1 database and one in a database without encoding, each with a byte that is no UTF-8."""
    encodings = {LATIN1: "LATIN1", NO_ENCODING: "SQL_ASCII"}
    for database, encoding in encodings.items():
        sessions.ask(f"CREATE DATABASE \"{database}\" OWNER ops ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'")
    opened = []
    for database in encodings:
        [session] = sessions.open(database=database, client_encoding="sql_ascii")
        session.execute(b"SELECT 1 AS caf\xe9")
        opened.append(session)
    yield opened
    for database in encodings:
        sessions.ask(f'DROP DATABASE "{database}" WITH (FORCE)')


def test_they_are_ended_and_their_bytes_are_kept(irctl: Irctl, sessions: Sessions, foreign: list[psycopg.Connection]) -> None:
    sessions.grow_old()
    assert "2 sessions are idle" in irctl("diagnose", "postgres", "--host", "lab").out
    done = irctl.mend()
    assert (done.code, done.json["outcome"]) == (0, "changed")
    assert sessions.alive(foreign) == 0
    kept = json.loads((Path(done.json["folder"]) / "evidence" / "lab" / "sessions-before.json").read_text())
    assert {(row["database"], row["encoding"], row["last_statement"]) for row in kept} == {
        (LATIN1, "LATIN1", "SELECT ? AS caf\\xe9"),
        (NO_ENCODING, "SQL_ASCII", "SELECT ? AS caf\\xe9"),
    }


def test_psql_reads_them_too(server: Postgres, foreign: list[psycopg.Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "psycopg", None)
    for database in ("postgres", LATIN1, NO_ENCODING):
        with client.connect(host_of(server, postgres_dbname=database)) as session:
            texts = session.ask("SELECT json_agg(query) FROM pg_stat_activity WHERE $1 <> '' AND query LIKE 'SELECT 1 AS%'", {})
        assert len(texts) == 2, texts
        assert all(text in ("SELECT 1 AS caf\\xe9", "SELECT 1 AS café") for text in texts)
