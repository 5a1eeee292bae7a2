"""db-freeze-writes on a real PostgreSQL, as plain Ansible runs it: what it freezes, ends, spares, refuses and puts back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import client as pg_client
from ansible_collections.irctl.runbooks.plugins.modules import pg_writes
from irctl.lab.postgres import Postgres, programs
from tests.conftest import ROOT, Sessions, host_of, write_inventory
from tests.servers import databases

WRITE = "INSERT INTO orders DEFAULT VALUES"
STORED = "SELECT setconfig[1] FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE setrole = 0 AND datname = %s"


@dataclass(frozen=True)
class Play:
    """How one playbook ended."""

    code: int
    out: str
    report: dict[str, Any]
    evidence: Path

    @property
    def changed(self) -> bool:
        return bool(self.report["changed"])

    @property
    def reason(self) -> str:
        return str(self.report["reason"])

    @property
    def affected(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.evidence / "lab" / "affected.jsonl").read_text().splitlines()]

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.evidence / "lab" / "revert.json").read_text())
        return found


@dataclass
class Freeze:
    """Runs the role's playbook by ansible-playbook alone, on host `lab`, and looks at the server for itself."""

    folder: Path
    server: Postgres
    sessions: Sessions
    host: dict[str, Any] = field(default_factory=dict)
    runs: int = 0

    def __call__(self, *databases: str, entry: str = "main", check: bool = False, **variables: Any) -> Play:
        self.runs += 1
        inventory = write_inventory(self.folder, {"lab": host_of(self.server, **self.host)})
        evidence, report = self.folder / f"evidence-{self.runs}", self.folder / f"report-{self.runs}.json"
        ours = {
            "irctl_target": "lab",
            "irctl_entry_point": entry,
            "irctl_report_file": str(report),
            "run_evidence_root": str(evidence),
        }
        named = {"db_freeze_writes_database": list(databases)} if databases else {}
        given = (
            ours | named | {key if key.startswith("run_") else f"db_freeze_writes_{key}": value for key, value in variables.items()}
        )
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "irctl.runbooks.db_freeze_writes", "-i", inventory,
             "-e", json.dumps(given), *(["--check"] if check else [])],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", "ANSIBLE_COLLECTIONS_PATH": str(ROOT)},
            cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        found = json.loads(report.read_text())["lab"] if done.returncode == 0 else {}
        return Play(done.returncode, " ".join((done.stdout + done.stderr).split()), found, evidence)

    def revert(self, of: Play, **variables: Any) -> Play:
        return self(entry="revert", run_revert_root=str(of.evidence), **variables)

    def make(self, name: str, owner: str = "ops") -> str:
        quoted = name.replace('"', '""')
        self.sessions.ask(f'DROP DATABASE IF EXISTS "{quoted}" WITH (FORCE)')
        self.sessions.ask(f'CREATE DATABASE "{quoted}" OWNER {owner}')
        with psycopg.connect(self.server.address(owner), dbname=name, autocommit=True) as session:
            session.execute("CREATE TABLE orders (at timestamptz DEFAULT now())")
        return name

    def stored(self, database: str) -> str | None:
        found: str | None = self.sessions.ask(STORED, database)
        return found

    def may_write(self, database: str, user: str = "ops") -> bool:
        """Try it, in a session of its own."""
        with psycopg.connect(self.server.address(user), dbname=database, autocommit=True) as session:
            try:
                session.execute(WRITE)
            except psycopg.errors.ReadOnlySqlTransaction:
                return False
            return True


@pytest.fixture
def freeze(tmp_path: Path, server: Postgres, sessions: Sessions) -> Freeze:
    return Freeze(tmp_path, server, sessions)


@pytest.fixture
def books(freeze: Freeze) -> str:
    """A database that the role ops owns."""
    return freeze.make("books")


def test_a_session_of_a_dropped_role_is_spared_and_said(freeze: Freeze, books: str, sessions: Sessions) -> None:
    """Whether it was to be protected nobody knows any more."""
    sessions.ask("CREATE ROLE leaver LOGIN PASSWORD 'leaver'")
    [session] = sessions.open(1, database=books, user="leaver", password="leaver")
    sessions.ask("DROP ROLE leaver")
    frozen = freeze(books)
    assert (frozen.code, frozen.reason) == (0, "books frozen, may still write: 1 of nobody (dropped role)"), frozen.out
    assert sessions.alive([session]) == 1


@pytest.mark.parametrize(("encoding", "name", "shown"), [("LATIN1", "latin", "café"), ("SQL_ASCII", "café", "caf\\xe9")])
def test_a_database_of_another_encoding_is_frozen_and_thawed_from_within(
    encoding: str, name: str, shown: str, freeze: Freeze, sessions: Sessions
) -> None:
    """Beside a writer whose statement is no UTF-8."""
    sessions.ask(f"CREATE DATABASE \"{name}\" OWNER ops ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'")
    try:
        writer = sessions.open(1, database=name, client_encoding="sql_ascii")
        writer[0].execute(b"CREATE TABLE caf\xe9 (n int)")
        freeze.host = {"postgres_dbname": name}
        frozen = freeze(name)
        assert (frozen.code, frozen.reason) == (0, f"{name} frozen, 1 session ended"), frozen.out
        assert (freeze.stored(name), sessions.alive(writer)) == ("default_transaction_read_only=on", 0)
        kept = json.loads((frozen.evidence / "lab" / "sessions-before.json").read_text())
        assert [(row["encoding"], row["last_statement"]) for row in kept] == [(encoding, f"CREATE TABLE {shown} (n int)")]
        thawed = freeze.revert(frozen)
        assert (thawed.code, thawed.changed, freeze.stored(name)) == (0, True, None), thawed.out
    finally:
        sessions.ask(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_a_frozen_database_takes_no_writes_and_a_second_run_changes_nothing(freeze: Freeze, books: str, sessions: Sessions) -> None:
    writers = sessions.open(2, WRITE, database=books)
    other = sessions.open(1, WRITE, database=freeze.make("ledger"))
    checked = freeze(books, check=True)
    assert (checked.code, checked.changed, checked.reason) == (0, True, "books would be frozen, 2 sessions would be ended"), (
        checked.out
    )
    assert (freeze.stored(books), sessions.alive(writers), freeze.may_write(books)) == (None, 2, True)
    setting, *ended = checked.affected
    assert (setting, {row["pid"] for row in ended}) == ({"freeze": books}, {writer.info.backend_pid for writer in writers})

    first = freeze(books)
    assert (first.code, first.changed, first.reason) == (0, True, "books frozen, 2 sessions ended"), first.out
    assert (sessions.alive(writers), sessions.alive(other)) == (0, 1)
    assert (freeze.may_write(books), freeze.may_write("ledger")) == (False, True)
    assert first.record["captured"] == {books: None}
    assert first.record["sets"] == {books: "on"}
    described = json.loads((first.evidence / "lab" / "sessions-before.json").read_text())
    assert [(row["user"], row["verdict"], row["database"]) for row in described] == [("ops", "end", books)] * 2

    reader = sessions.open(1, "SELECT count(*) FROM orders", database=books)
    second = freeze(books)
    assert (second.code, second.changed) == (0, False), second.out
    assert second.reason == "frozen already, may still write: 1 of ops (perhaps older than the freeze)"
    assert sessions.alive(reader) == 1
    assert freeze(books, entry="verify").code == 0


def test_a_protected_session_is_spared_and_named(freeze: Freeze, books: str, sessions: Sessions) -> None:
    """PostgreSQL keeps no application name as it is that is not plain ASCII."""
    freeze.host = {"postgres_protected_applications": ["löhne*"]}
    spared = [*sessions.open(1, database=books, application="löhne-1"), *sessions.open(1, database=books, user="postgres")]
    ended = sessions.open(1, database=books)
    done = freeze(books)
    assert done.reason == "books frozen, 1 session ended, may still write: 1 of ops (protected), 1 of postgres (superuser)", (
        done.out
    )
    assert (sessions.alive(spared), sessions.alive(ended)) == (2, 0)


def test_sessions_go_on_where_they_are_not_to_be_ended_and_that_is_said(freeze: Freeze, books: str, sessions: Sessions) -> None:
    writer = sessions.open(1, database=books)
    done = freeze(books, end_writers=False)
    assert done.reason == "books frozen, may still write: 1 of ops (not ended, as asked)", done.out
    writer[0].execute(WRITE.encode())
    assert not freeze.may_write(books)


def test_a_database_that_is_frozen_already_loses_only_sessions_that_write(freeze: Freeze, books: str, sessions: Sessions) -> None:
    assert freeze(books).changed
    writer = sessions.open(1, "BEGIN READ WRITE", WRITE, database=books)
    reader = sessions.open(1, "BEGIN", "SELECT count(*) FROM orders", database=books)
    assert freeze(books, entry="verify").code == 2
    done = freeze(books)
    assert done.reason.startswith("frozen already, 1 session ended"), done.out
    assert (sessions.alive(writer), sessions.alive(reader)) == (0, 1)


def test_a_revert_puts_back_that_nothing_was_set_and_a_second_one_changes_nothing(
    freeze: Freeze, books: str, sessions: Sessions
) -> None:
    frozen = freeze(books)
    sessions.open(1, database=books)
    checked = freeze.revert(frozen, check=True)
    assert (checked.code, checked.changed) == (0, True), checked.out
    assert checked.affected == [{"database": books, "put_back": "unset"}]
    assert freeze.stored(books) == "default_transaction_read_only=on"
    done = freeze.revert(frozen)
    assert (done.code, done.changed) == (0, True), done.out
    assert done.reason == "books put back to unset, 1 session may only read until reconnected"
    assert (freeze.stored(books), freeze.may_write(books)) == (None, True)
    assert json.loads((done.evidence / "lab" / "settings-before.json").read_text()) == {books: "on"}
    again = freeze.revert(frozen)
    assert (again.code, again.changed, freeze.stored(books)) == (0, False, None), again.out


def test_a_revert_puts_back_an_earlier_value_of_each_database(freeze: Freeze, books: str, sessions: Sessions) -> None:
    odd = freeze.make("""we"ird $1 :x 'o' \\ ;--""")
    sessions.ask(f"ALTER DATABASE {books} SET default_transaction_read_only = 'False'")
    frozen = freeze(books, odd)
    assert (frozen.code, freeze.may_write(books), freeze.may_write(odd)) == (0, False, False), frozen.out
    assert frozen.record["captured"] == {books: "False", odd: None}
    done = freeze.revert(frozen)
    assert done.code == 0, done.out
    assert (freeze.stored(books), freeze.stored(odd)) == ("default_transaction_read_only=False", None)
    assert (freeze.may_write(books), freeze.may_write(odd)) == (True, True)


def test_a_revert_leaves_what_somebody_else_has_changed_since_unless_it_is_forced(
    freeze: Freeze, books: str, sessions: Sessions
) -> None:
    frozen = freeze(books, freeze.make("ledger"))
    sessions.ask(f"ALTER DATABASE {books} SET default_transaction_read_only = off")
    refused = freeze.revert(frozen)
    assert refused.code == 2
    assert "Somebody else has changed default_transaction_read_only of books since: it is now off, " in refused.out
    assert "this run had set on and found unset." in refused.out
    assert (freeze.stored(books), freeze.may_write("ledger")) == ("default_transaction_read_only=off", False)
    forced = freeze.revert(frozen, force=True)
    assert (forced.code, forced.changed, freeze.stored(books), freeze.may_write("ledger")) == (0, True, None, True), forced.out


def test_a_revert_does_not_touch_a_database_made_anew_since(freeze: Freeze, books: str, sessions: Sessions) -> None:
    frozen = freeze(books, freeze.make("ledger"))
    freeze.make(books)
    sessions.ask(f"ALTER DATABASE {books} SET default_transaction_read_only = on")
    refused = freeze.revert(frozen)
    assert "The database books is not the one that was changed: it was dropped, renamed or made anew since." in refused.out
    assert not freeze.may_write("ledger")
    forced = freeze.revert(frozen, force=True)
    assert forced.reason.startswith("ledger put back to unset, books left alone: not the database that it was"), forced.out
    assert (freeze.may_write("ledger"), freeze.may_write(books)) == (True, False)


def test_a_revert_on_another_server_is_refused_also_by_force(freeze: Freeze, books: str) -> None:
    frozen = freeze(books)
    path = frozen.evidence / "lab" / "revert.json"
    record = frozen.record
    record["on"]["system_identifier"] = "7"
    path.write_text(json.dumps(record))
    refused = freeze.revert(frozen, force=True)
    assert (refused.code, "This is another server than that run changed" in refused.out) == (2, True), refused.out
    assert not freeze.may_write(books)


def test_a_revert_of_a_run_that_captured_nothing_says_so(freeze: Freeze, books: str, tmp_path: Path) -> None:
    done = freeze(entry="revert", run_revert_root=str(tmp_path / "nothing"))
    assert done.code == 2
    assert "Nothing was captured on this host by that run, so there is nothing to put back." in done.out
    unnamed = freeze(entry="revert")
    assert (unnamed.code, "run_revert_root is not set" in unnamed.out) == (2, True), unnamed.out


def test_an_unknown_database_is_refused_and_the_known_ones_are_named(freeze: Freeze, books: str) -> None:
    done = freeze(books, "boks")
    assert done.code == 2
    assert "There is no database 'boks'. There are: books, " in done.out
    assert "template" not in done.out.partition("There are:")[2][:80]
    assert (freeze.stored(books), (done.evidence / "lab").exists()) == (None, False)


@pytest.mark.parametrize(
    ("database", "why"),
    [("postgres", "may not change postgres: it is neither its owner, postgres, nor a superuser"), ("template1", "template")],
)
def test_a_database_of_another_owner_and_a_template_are_refused(freeze: Freeze, books: str, database: str, why: str) -> None:
    done = freeze(books, database)
    assert (done.code, why in done.out) == (2, True), done.out
    assert (freeze.stored(books), freeze.stored(database)) == (None, None)


def test_more_sessions_than_the_limit_are_refused_and_all_go_on(freeze: Freeze, books: str, sessions: Sessions) -> None:
    writers = sessions.open(3, database=books)
    done = freeze(books, max=2)
    assert done.code == 2
    assert "3 sessions would be ended and the limit is 2. Name fewer databases, or raise --max." in done.out
    assert (freeze.stored(books), sessions.alive(writers)) == (None, 3)


def test_a_role_whose_own_setting_goes_before_the_databases_is_named(freeze: Freeze, books: str, sessions: Sessions) -> None:
    sessions.ask('DROP ROLE IF EXISTS "stubborn-1"')
    sessions.ask('CREATE ROLE "stubborn-1" LOGIN')
    sessions.ask(f'ALTER ROLE "stubborn-1" IN DATABASE {books} SET default_transaction_read_only = off')
    try:
        done = freeze(books)
        assert done.code == 2
        command = 'ALTER ROLE "stubborn-1" IN DATABASE books RESET default_transaction_read_only;'
        assert json.dumps(command)[1:-1] in done.out
        assert freeze.stored(books) is None
        freeze.host = {"postgres_protected_users": ["stub*"]}
        assert freeze(books).code == 0
    finally:
        freeze.make(books)
        sessions.ask('DROP ROLE "stubborn-1"')


def test_the_database_that_irctl_connects_to_can_be_frozen_and_put_back(freeze: Freeze, books: str) -> None:
    """Its own sessions then only read by default too."""
    freeze.host = {"postgres_dbname": books}
    frozen = freeze(books)
    assert (frozen.code, freeze.may_write(books)) == (0, False), frozen.out
    assert (freeze.revert(frozen).code, freeze.may_write(books)) == (0, True)


def test_the_owner_of_a_database_cannot_put_traps_in_place_of_what_irctl_asks(
    freeze: Freeze, books: str, sessions: Sessions
) -> None:
    """A superuser asks in a database whose owner chooses where names are looked up first."""
    freeze.host = {"postgres_user": "postgres"}
    for line in (
        "CREATE SCHEMA trap CREATE VIEW pg_settings AS"
        " SELECT name, text 'off' AS setting, text 'database' AS source FROM pg_catalog.pg_settings",
        "CREATE FUNCTION trap.json_build_object(text, text, text, text) RETURNS json LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE 'caught as %', current_user; END $$",
        f"ALTER DATABASE {books} SET search_path = trap, pg_catalog, public",
    ):
        sessions.open(1, line, database=books)
    done = freeze(books)
    assert (done.code, done.reason if done.code == 0 else done.out) == (0, "books frozen, 3 sessions ended")
    assert not freeze.may_write(books)


def test_a_standby_that_is_gone_holds_no_freeze_up(freeze: Freeze, books: str, sessions: Sessions) -> None:
    """Each commit waits for it for ever, and heeds neither a timeout nor a client that goes."""
    for line in ("ALTER SYSTEM SET synchronous_standby_names = 'gone'", "SELECT pg_reload_conf()"):
        sessions.ask(line)
    try:
        assert (freeze(books).code, freeze.stored(books)) == (0, "default_transaction_read_only=on")
    finally:
        for line in ("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"):
            sessions.ask(line)


def test_a_replication_session_that_takes_statements_may_still_write_and_is_named(
    freeze: Freeze, books: str, server: Postgres, sessions: Sessions
) -> None:
    sessions.ask("ALTER ROLE ops REPLICATION")
    replica = psycopg.connect(f"{server.address('ops', books)} replication=database", autocommit=True)
    try:
        done = freeze(books)
        assert done.reason == "books frozen, may still write: 1 of ops (replication, which takes statements too)", done.out
        assert replica.pgconn.exec_(WRITE.encode()).error_message == b""
    finally:
        replica.close()
        sessions.ask("ALTER ROLE ops NOREPLICATION")


def test_where_no_session_can_be_opened_the_effect_is_not_claimed(freeze: Freeze, books: str, sessions: Sessions) -> None:
    sessions.ask(f"REVOKE CONNECT ON DATABASE {books} FROM PUBLIC, ops")
    done = freeze(books)
    assert done.code == 0, done.out
    assert "not seen in a new session, only as stored: books (PostgreSQL refused the connection" in done.reason
    assert freeze.stored(books) == "default_transaction_read_only=on"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("sudo"), reason="only root can become somebody without a password")
def test_the_module_and_what_it_puts_back_can_be_shipped(freeze: Freeze, books: str, sessions: Sessions) -> None:
    writers = sessions.open(1, database=books)
    freeze.host = {"ansible_become": True, "ansible_python_interpreter": sys.executable}
    frozen = freeze(books)
    assert (frozen.code, sessions.alive(writers), freeze.may_write(books)) == (0, 0, False), frozen.out
    done = freeze.revert(frozen)
    assert (done.code, done.changed, freeze.may_write(books)) == (0, True, True), done.out


@pytest.fixture(params=["psycopg", "psql"])
def params(request: pytest.FixtureRequest, server: Postgres, books: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The module's parameters, once where psycopg is, and once where only psql is."""
    if request.param == "psql":
        monkeypatch.setattr(pg_client, "psycopg", None)
        monkeypatch.setenv("PATH", f"{programs() / 'bin'}:{os.environ['PATH']}")
    where = {**host_of(server), "database": [books]}
    return {name: option.get("default") for name, option in pg_writes.ARGUMENTS.items()} | where


def test_both_clients_freeze_and_put_back(params: dict[str, Any], freeze: Freeze, books: str, sessions: Sessions) -> None:
    writers = sessions.open(2, database=books)
    found = pg_writes.run({**params, "state": "listed"}, False)["found"]
    kept = pg_writes.run({**params, "state": "captured", "found": found}, False)["evidence"]
    assert pg_writes.run({**params, "state": "changed", "found": found}, False)["ended"] == 2
    assert pg_writes.run({**params, "state": "proved", "found": found}, False)["msg"] == "seen in new sessions"
    assert (sessions.alive(writers), freeze.may_write(books)) == (0, False)
    back = {**params, "database": [], "record": json.loads(kept["revert.json"])}
    assert pg_writes.run({**back, "state": "changed"}, False)["changed"]
    assert pg_writes.run({**back, "state": "proved"}, False)["msg"] == "seen in new sessions"
    assert freeze.may_write(books)


@databases.needs
def test_what_a_read_only_session_may_write_in_an_old_postgresql_is_said() -> None:
    """PostgreSQL 15 lets it write large objects."""
    defaults = {name: option.get("default") for name, option in pg_writes.ARGUMENTS.items()}
    with databases.russian() as port:
        where = f"host=127.0.0.1 port={port} user=ops dbname="
        with psycopg.connect(where.replace("ops", "postgres") + "postgres", autocommit=True) as session:
            session.execute("CREATE DATABASE books OWNER ops")
        params = {**defaults, "postgres_host": "127.0.0.1", "postgres_port": port, "postgres_user": "ops", "database": ["books"]}
        found = pg_writes.run({**params, "state": "listed"}, False)["found"]
        pg_writes.run({**params, "state": "changed", "found": found}, False)
        proved = pg_writes.run({**params, "state": "proved", "found": found}, False)
        with psycopg.connect(f"{where}books", autocommit=True) as session:
            old = session.info.server_version < 160000
            wrote = False
            with suppress(psycopg.errors.ReadOnlySqlTransaction):
                wrote = bool(session.execute("SELECT lo_from_bytea(0, 'written')").fetchone())
    assert (wrote, "everybody to large objects (PostgreSQL before 16)" in proved["in_short"]) == (old, old)


def test_what_changes_between_the_look_and_the_change_stops_it(
    params: dict[str, Any], freeze: Freeze, books: str, sessions: Sessions
) -> None:
    found = pg_writes.run({**params, "state": "listed"}, False)["found"]
    sessions.ask(f"ALTER DATABASE {books} SET default_transaction_read_only = off")
    for state in ("captured", "changed"):
        with pytest.raises(Failure, match="Somebody else has changed the setting just now"):
            pg_writes.run({**params, "state": state, "found": found}, False)
    late = pg_writes.run({**params, "state": "listed"}, False)["found"]
    writers = sessions.open(3, database=books)
    with pytest.raises(Failure, match="3 sessions would be ended and the limit is 2"):
        pg_writes.run({**params, "state": "changed", "found": late, "max": 2}, False)
    assert (freeze.stored(books), sessions.alive(writers)) == ("default_transaction_read_only=off", 3)


def test_sessions_that_come_all_the_time_do_not_escape(freeze: Freeze, books: str, params: dict[str, Any]) -> None:
    """Clients that connect again and again while the setting is made: none that goes on afterwards may write."""
    script = (
        "import psycopg, sys, time\n"
        "end = time.monotonic() + 6\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        with psycopg.connect(sys.argv[1], autocommit=True) as session:\n"
        "            while time.monotonic() < end:\n"
        f"                session.execute('{WRITE}')\n"
        "                time.sleep(0.01)\n"
        "    except psycopg.Error:\n"
        "        pass\n"
    )
    where = freeze.server.address("ops", books)
    clients = [subprocess.Popen([sys.executable, "-c", script, where]) for _ in range(4)]
    try:
        found = pg_writes.run({**params, "state": "listed"}, False)["found"]
        pg_writes.run({**params, "state": "changed", "found": found}, False)
        since = freeze.sessions.ask("SELECT clock_timestamp()")
    finally:
        for client in clients:
            client.wait(20)
    with psycopg.connect(where) as session:
        row = session.execute("SELECT count(*) FROM orders WHERE at > %s", [since]).fetchone()
    assert row == (0,)


def test_the_fault_writes_until_it_is_frozen_and_goes_by_itself(freeze: Freeze, sessions: Sessions, wait_until: Any) -> None:
    assert freeze(entry="fault", fault_lifetime="5s").code == 0
    writing = "SELECT array_agg(datname ORDER BY datname) FROM pg_stat_activity WHERE application_name = 'irctl-drill'"
    assert sessions.ask(writing) == ["irctl_drill", "irctl_drill_spared"]
    wait_until(lambda: sessions.ask("SELECT count(*) FROM pg_database WHERE datname = 'irctl_drill'") == 0, 20)
