"""The faults of the database drills: made once, known again, taken away whatever became of them; nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import psycopg
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import building_clients, idle_clients, writing_client
from ansible_collections.irctl.runbooks.plugins.modules import pg_idle_sessions, pg_scratch_index, pg_scratch_writer
from irctl.lab.postgres import Postgres
from tests.conftest import Sessions, host_of

OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = ANY(%s) AND usename = 'ops'"
NAMES = ["irctl-drill-web", "report", "worker", "migration", "pgbouncer"]
THERE = "SELECT count(*) FROM pg_database WHERE datname = 'irctl_drill'"
WRITERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'irctl_drill' AND application_name = 'irctl-drill'"


class Fault:
    """One fault's module, as its action runs it on a server."""

    def __init__(self, module: ModuleType, server: Postgres, program: ModuleType, **given: Any) -> None:
        defaults = {name: about.get("default") for name, about in module.ARGUMENTS.items()}
        where = host_of(server)
        self._module, self._program, self._params = module, str(program.__file__), defaults | where | given

    def __call__(self, state: str, check: bool = False, **given: Any) -> dict[str, Any]:
        done: dict[str, Any] = self._module.run({**self._params, "state": state, **given}, check)
        return done

    def processes(self) -> list[int]:
        """Those that hold or write for it and are not over."""
        found = []
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if self._program in child.cmdline():
                    found.append(child.pid)
        return found


@pytest.fixture
def leak(server: Postgres) -> Iterator[Fault]:
    fault = Fault(pg_idle_sessions, server, idle_clients, fault_idle=3, fault_lifetime="5m", idle_for="1s")
    yield fault
    fault("ended")


@pytest.fixture
def writer(server: Postgres, sessions: Sessions) -> Iterator[Fault]:
    for name in writing_client.DATABASES:
        sessions.ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    yield Fault(pg_scratch_writer, server, writing_client, fault_lifetime="5m")
    for name in writing_client.DATABASES:
        sessions.ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_sessions_are_opened_once_and_only_what_is_missing_is_opened_again(leak: Fault, sessions: Sessions) -> None:
    assert leak("opened", check=True) == {"changed": True, "opened": 0, "msg": "8 sessions would be opened"}
    assert sessions.ask(OURS, NAMES) == 0
    assert leak("opened")["msg"] == "8 sessions opened, 3 of them plainly idle"
    assert leak("opened") == {"changed": False, "opened": 0, "msg": "all 8 sessions are there already"}
    sessions.ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'irctl-drill-web'")
    assert leak("opened")["msg"] == "3 sessions opened, 3 of them plainly idle"
    assert sessions.ask(OURS, NAMES) == 8


def test_the_drills_sessions_end_with_their_client_and_others_of_the_same_names_live(
    leak: Fault, sessions: Sessions, wait_until: Callable[..., Any]
) -> None:
    others = [one for name in NAMES for one in sessions.open(1, application=name)]
    leak("opened")
    assert leak.processes()
    assert leak("ended", check=True)["msg"] == "8 sessions would be ended"
    assert leak("ended") == {"changed": True, "msg": "8 sessions ended"}
    assert sessions.alive(others) == sessions.ask(OURS, NAMES) == len(NAMES)
    assert leak("ended") == {"changed": False, "msg": "none of the drill's sessions is there"}
    wait_until(lambda: not leak.processes())


@pytest.mark.parametrize(
    ("there", "opens"),
    [([], ["a", "a", "b"]), (["a"], ["a", "b"]), (["a", "a", "b"], []), (["b", "c", "c"], ["a", "a"]), (["a", "a", "a"], ["b"])],
)
def test_what_is_missing_is_counted_by_application(there: list[str], opens: list[str]) -> None:
    wanted = [{"application": name} for name in ("a", "a", "b")]
    assert [one["application"] for one in pg_idle_sessions.missing(wanted, there)] == opens


def test_a_client_that_writes_is_started_once_and_goes_with_its_database(
    writer: Fault, sessions: Sessions, wait_until: Callable[..., Any]
) -> None:
    assert writer("made", check=True)["msg"] == "a client would write to the database irctl_drill"
    assert sessions.ask(THERE) == 0
    assert writer("made")["changed"] is True
    assert writer("made")["msg"] == "a client writes to the database irctl_drill already"
    assert len(writer.processes()) == 1
    assert writer("removed", check=True)["msg"] == "the database irctl_drill would be dropped"
    assert sessions.ask(THERE) == 1
    assert writer("removed")["msg"] == "the database irctl_drill dropped"
    assert writer("removed") == {"database": "irctl_drill", "changed": False, "msg": "there is no database irctl_drill"}
    wait_until(lambda: not writer.processes())
    assert sessions.ask(THERE) == 0


def test_a_frozen_database_is_dropped_too_and_a_new_one_has_only_its_own_client(
    writer: Fault, sessions: Sessions, wait_until: Callable[..., Any]
) -> None:
    writer("made")
    [old] = writer.processes()
    sessions.ask("ALTER DATABASE irctl_drill SET default_transaction_read_only = on")
    sessions.ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'irctl_drill'")
    writer("removed")
    assert writer("made")["changed"] is True
    wait_until(lambda: old not in writer.processes())
    assert (len(writer.processes()), sessions.ask(WRITERS)) == (1, 1)


def test_a_database_of_that_name_that_no_drill_made_is_neither_written_to_nor_dropped(
    writer: Fault, server: Postgres, sessions: Sessions
) -> None:
    sessions.ask("CREATE DATABASE irctl_drill OWNER ops")
    with psycopg.connect(server.address("ops", "irctl_drill"), autocommit=True) as session:
        session.execute("CREATE TABLE precious (n int)")
    for state in ("made", "removed"):
        with pytest.raises(Failure, match="there is a database irctl_drill that no drill made"):
            writer(state)
    with psycopg.connect(server.address("ops", "irctl_drill"), autocommit=True) as session:
        found = session.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchall()
    assert found == [("precious",)]
    assert writer.processes() == []


def test_a_database_whose_drill_ended_before_its_table_was_made_is_taken_up_and_dropped(writer: Fault, sessions: Sessions) -> None:
    sessions.ask("CREATE DATABASE irctl_drill OWNER ops")
    assert writer("made")["changed"] is True
    writer("removed")
    sessions.ask("CREATE DATABASE irctl_drill OWNER ops")
    assert writer("removed")["changed"] is True
    assert sessions.ask(THERE) == 0


def test_the_programs_of_the_faults_need_nothing_of_the_collection() -> None:
    for module in (building_clients, idle_clients, writing_client):
        assert "ansible_collections" not in Path(str(module.__file__)).read_text(), "they are run by their paths"


def test_rows_that_come_no_more_into_the_other_database_are_missed(
    writer: Fault, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer("made")
    assert writer("spared")["msg"] == "rows go on coming into irctl_drill_spared"
    sessions.ask("ALTER DATABASE irctl_drill_spared SET default_transaction_read_only = on")
    sessions.ask("SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = 'irctl_drill_spared'")
    monkeypatch.setattr(pg_scratch_writer, "ROW_SECONDS", 1.0)
    with pytest.raises(Failure, match="No row came into irctl_drill_spared"):
        writer("spared")


def test_where_the_other_database_cannot_be_looked_at_nobody_says_that_it_was_hit(writer: Fault) -> None:
    with pytest.raises(Undecided, match="cannot be told"):
        writer("spared")


def test_an_index_that_somebody_was_building_is_missed_when_its_build_was_ended(server: Postgres, sessions: Sessions) -> None:
    fault = Fault(pg_scratch_index, server, building_clients, fault_lifetime="5m")
    try:
        with pytest.raises(Undecided):
            fault("spared")
        assert fault("made")["changed"] is True
        assert fault("made")["changed"] is False
        assert fault("spared")["msg"] == "the build of orders_customer_idx_ccnew goes on"
        building = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
        sessions.ask(building)
        with pytest.raises((Failure, Undecided)):
            fault("spared")
    finally:
        fault("removed")
    assert sessions.ask("SELECT count(*) FROM pg_database WHERE datname = 'irctl_drill_index'") == 0
