"""db-snapshot on a real PostgreSQL: what it dumps, what it proves, and what it does not take for a dump. HAZARDS D24."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import client
from ansible_collections.irctl.runbooks.plugins.modules import pg_snapshot
from irctl.lab.postgres import Postgres, programs
from tests.conftest import Done, Irctl, Sessions, host_of, write_inventory

DATABASE = "kept by'name"
BIN = programs() / "bin"
DUMP_QUERY = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'irctl' AND backend_type = 'client backend'"


class Dumps:
    """A database that is dumped, with programs of PostgreSQL that may be false."""

    def __init__(self, tmp_path: Path, server: Postgres, sessions: Sessions) -> None:
        self._server, self._sessions = server, sessions
        self.temp, self.programs = tmp_path / "temp", tmp_path / "programs"
        self.temp.mkdir()
        self.programs.mkdir()
        for name in ("pg_dump", "pg_restore"):
            (self.programs / name).symlink_to(BIN / name)
        host = host_of(server, db_snapshot_programs=str(self.programs), db_snapshot_temp=str(self.temp))
        self.irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, {"lab": host}))

    def falsify(self, program: str, script: str) -> None:
        """Put a shell script in the place of a program; $real is the real one."""
        path = self.programs / program
        path.unlink()
        path.write_text(f'#!/bin/sh\nreal={BIN / program}\ncase "$*" in *--version*) exec $real "$@";; esac\n{script}\n')
        path.chmod(0o755)

    def session(self, *statements: str) -> psycopg.Connection:
        session = psycopg.connect(self._server.address("ops"), dbname=DATABASE, application_name="shop", autocommit=True)
        for statement in statements:
            session.execute(statement.encode())
        return self._sessions.keep(session)

    def words(self, *words: str) -> list[str]:
        return ["remediate", "db-snapshot", "--host", "lab", "--database", DATABASE, "--json", *words]

    def dump(self, *words: str) -> Done:
        return self.irctl(*self.words(*words))

    def kept(self, done: Done, name: str = "database.json") -> Path:
        return Path(done.json["folder"]) / "evidence" / "lab" / name


@pytest.fixture
def shop(tmp_path: Path, server: Postgres, sessions: Sessions) -> Iterator[Dumps]:
    quoted = f'"{DATABASE}"'
    sessions.ask(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")
    sessions.ask(f"CREATE DATABASE {quoted} OWNER ops")
    sessions.ask(f"ALTER DATABASE {quoted} SET work_mem = '8MB'")
    dumps = Dumps(tmp_path, server, sessions)
    dumps.session(
        "CREATE TABLE orders (n int PRIMARY KEY, note text)",
        "INSERT INTO orders SELECT n, E'a\\nCOPY public.orders (n) FROM stdin;\\n' || n FROM generate_series(1, 300) n",
        'CREATE TABLE "Odd ""one""" (a int)',
        "CREATE TABLE events (at date) PARTITION BY RANGE (at)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "INSERT INTO events VALUES ('2026-05-05')",
        "CREATE TABLE bare ()",
        "INSERT INTO bare DEFAULT VALUES",
    )
    yield dumps
    sessions.ask(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")


@pytest.mark.parametrize("form", ["custom", "plain"])
def test_what_is_dumped_can_be_loaded_and_a_second_run_dumps_nothing(form: str, shop: Dumps, server: Postgres) -> None:
    looked = shop.dump("--format", form, "--check")
    assert (looked.json["outcome"], looked.host()["affected"]["items"][0]["dump"]) == ("changed", DATABASE)
    assert list((shop.irctl.home / "runs").glob("*/evidence/lab/*.dump")) == []
    done = shop.dump("--format", form)
    assert (done.json["outcome"], list(shop.temp.iterdir())) == ("changed", []), done.out
    assert "4 tables, 302 rows, read through, and each row counted" in done.host()["reason"]
    document = json.loads(shop.kept(done).read_text())
    assert document["rows"] == {"public.orders": 300, 'public.Odd "one"': 0, "public.events_1": 1, "public.bare": 1}
    assert document["settings"] == [{"role": None, "settings": ["work_mem=8MB"]}]
    file = shop.kept(done, document["file"])
    if form == "custom":
        loaded = subprocess.run([BIN / "pg_restore", "--file=-", file], capture_output=True, check=True).stdout
        assert loaded.count(b"\na\\nCOPY public.orders (n) FROM stdin;") == 0
        assert b"COPY public.orders (n, note) FROM stdin;" in loaded
    assert shop.irctl("evidence", "verify", done.json["run"]).code == 0
    again = shop.dump("--format", form)
    assert (again.json["outcome"], again.host()["after"]) == ("unchanged", {})
    assert shop.dump("--format", form, "--fresh-for", "1s").json["outcome"] == "changed"


@pytest.mark.parametrize(
    ("form", "script", "reason"),
    [
        ("custom", '"$real" "$@" | head -c 3000', "pg_restore ended with 1"),
        ("plain", '"$real" "$@" | head -n -12', "The dump has no end"),
        ("plain", '"$real" "$@" | sed "/^7\\t/d"', "public.orders had 300 rows and the dump has 299."),
        (
            "plain",
            '"$real" "$@" | sed "/^COPY public.bare/,/^\\\\\\\\.$/d"',
            "public.bare had 1 rows and the dump has no such table.",
        ),
        ("custom", 'echo "pg_dump: error: disk" >&2; exit 1', "pg_dump ended with 1: pg_dump: error: disk"),
    ],
)
def test_what_is_no_whole_dump_is_none_and_nothing_of_it_stays(form: str, script: str, reason: str, shop: Dumps) -> None:
    shop.falsify("pg_dump", script)
    done = shop.dump("--format", form)
    assert (done.code, reason in done.host()["reason"]) == (1, True), done.host()["reason"]
    assert list(shop.temp.iterdir()) == []
    assert not shop.kept(done).exists()
    assert shop.dump("--format", form, "--check").json["outcome"] == "changed", "it does not count as a dump"


@pytest.mark.parametrize("damage", ["gone", "another", "forged"])
def test_a_dump_that_is_not_there_as_it_was_hashed_is_no_dump(damage: str, shop: Dumps) -> None:
    first = shop.dump()
    document = shop.kept(first)
    about = json.loads(document.read_text())
    file = shop.kept(first, about["file"])
    if damage == "gone":
        file.unlink()
    elif damage == "another":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    else:
        document.write_text(json.dumps({"schema": about["schema"], "database": DATABASE, "seconds": "soon"}))
    assert shop.dump().json["outcome"] == "changed"


def test_what_is_written_while_it_dumps_is_in_neither_count(shop: Dumps, server: Postgres) -> None:
    writer = shop.session()
    rows = "INSERT INTO orders SELECT n, '' FROM generate_series(1001, 1100) n"
    conninfo = server.address("ops", "postgres")
    (shop.programs / "write.py").write_text(
        f"import psycopg\npsycopg.connect({conninfo!r}, dbname={DATABASE!r}, autocommit=True).execute({rows!r})\n"
    )
    import sys

    shop.falsify("pg_dump", f'env -i {sys.executable} {shop.programs}/write.py && exec "$real" "$@"')
    done = shop.dump()
    assert "302 rows, read through, and each row counted" in done.host()["reason"]
    assert writer.execute("SELECT count(*) FROM orders").fetchone() == (400,)


@pytest.mark.parametrize(
    ("statement", "script", "words", "reason"),
    [
        ("SELECT 1", 'echo "pg_dump (PostgreSQL) 9.6.24"', (), "pg_dump is of PostgreSQL 9 and the server of "),
        ("SELECT 1", "", ("--database", "nosuch"), "There is no database 'nosuch'."),
        ("SELECT 1", "", ("--temp", "/nonexistent"), "/nonexistent cannot be used for the dump"),
        ("SELECT 1", "", ("--programs", "/nonexistent"), "pg_dump is not in /nonexistent."),
    ],
)
def test_what_speaks_against_it_is_a_sentence(
    statement: str, script: str, words: tuple[str, ...], reason: str, shop: Dumps
) -> None:
    shop.session(statement)
    if script:
        (shop.programs / "pg_dump").unlink()
        (shop.programs / "pg_dump").write_text(f"#!/bin/sh\n{script}\n")
        (shop.programs / "pg_dump").chmod(0o755)
    done = shop.dump(*words)
    assert done.code in (1, 5), done.out
    assert reason in done.host()["reason"], done.host()["reason"]


def test_a_table_that_the_role_may_not_read_is_named_with_the_grant(shop: Dumps, server: Postgres) -> None:
    with psycopg.connect(server.address("postgres"), dbname=DATABASE, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA theirs; CREATE TABLE theirs.secrets (n int)")
    refused = shop.dump()
    assert refused.code == 5
    assert "The role ops may not read theirs.secrets: GRANT pg_read_all_data TO ops." in refused.host()["reason"]


def test_a_table_that_stays_locked_is_waited_for_so_long_and_no_longer(shop: Dumps) -> None:
    shop.session("BEGIN", "LOCK TABLE orders")
    done = shop.dump("--wait", "1s")
    assert (done.code, list(shop.temp.iterdir())) == (1, [])
    assert "pg_dump ended with 1" in done.host()["reason"]


def test_what_a_killed_dump_has_left_is_removed_by_the_next_run(shop: Dumps, wait_until: Callable[..., Any]) -> None:
    shop.falsify("pg_dump", f"touch {shop.temp.parent}/begun; while ! [ -e {shop.temp.parent}/go-on ]; do sleep 0.05; done")
    process = shop.irctl.start(*shop.words())
    wait_until((shop.temp.parent / "begun").exists)
    process.kill()
    process.wait()
    (shop.temp.parent / "go-on").touch()
    assert len(list(shop.temp.iterdir())) == 1
    (shop.programs / "pg_dump").unlink()
    (shop.programs / "pg_dump").symlink_to(BIN / "pg_dump")
    assert [row for row in shop.dump("--check").host()["affected"]["items"] if "remove" in row]
    assert ", removed: " in shop.dump().host()["reason"]
    assert list(shop.temp.iterdir()) == []


def test_without_a_session_that_lasts_the_rows_are_not_counted_and_that_is_said(
    shop: Dumps, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "psycopg", None)
    monkeypatch.setenv("PATH", f"{BIN}:/usr/bin:/bin")
    params = {name: about.get("default") for name, about in pg_snapshot.ARGUMENTS.items()} | host_of(server)
    params |= {"database": DATABASE, "temp": str(shop.temp), "run_evidence_folder": str(shop.temp / "run" / "lab")}
    result = pg_snapshot.run({**params, "state": "changed"}, False)
    assert "302 rows, read through; its rows were not counted at the server (no psycopg)" in result["msg"]
    assert json.loads(result["evidence"]["database.json"])["counted_in_the_same_moment"] is False
