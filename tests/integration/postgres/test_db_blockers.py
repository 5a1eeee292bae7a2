"""db-blockers on a real PostgreSQL: whom it cancels, whom it ends, whom it spares and names. HAZARDS D20 and D26."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.modules import pg_blockers, pg_blocking_sessions, pg_idle_sessions
from irctl.lab.postgres import Postgres
from tests.conftest import Done, Irctl, Sessions, host_of, write_inventory

LOCK = "LOCK TABLE queue IN ACCESS EXCLUSIVE MODE"
READ = "SELECT count(*) FROM queue"
ADVISORY = "SELECT pg_advisory_lock(7)"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
STUBBORN = "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"


class Queue:
    """A table that sessions lock and wait for."""

    def __init__(self, irctl: Irctl, sessions: Sessions, wait_until: Callable[..., Any], stack: ExitStack) -> None:
        self._irctl, self.sessions, self._wait_until, self._stack = irctl, sessions, wait_until, stack

    def holder(self, *statements: str, **more: Any) -> psycopg.Connection:
        """A session in a transaction that has locked the table."""
        return self.sessions.open(1, "BEGIN", *(statements or (LOCK,)), **more)[0]

    def does(self, session: psycopg.Connection, statement: str, sign: str) -> None:
        """Have a session carry out a statement that does not end, until the sign shows one more."""
        before = self.sessions.ask(sign)

        def carry_out() -> None:
            with suppress(psycopg.Error):
                session.execute(statement.encode())

        thread = threading.Thread(target=carry_out, daemon=True)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(session.close)
        self._wait_until(lambda: self.sessions.ask(sign) > before)

    def waiter(self, statement: str = READ) -> psycopg.Connection:
        """A session that waits for the table."""
        [session] = self.sessions.open(1, application="reader")
        self.does(session, statement, WAITING)
        self._wait_until(lambda: self.sessions.ask(LONGEST) > 1)
        return session

    def free(self, *words: str) -> Done:
        return self._irctl("remediate", "db-blockers", "--host", "lab", "--json", "--waiting-for", "1s", *words)


PARAMS = {name: spec.get("default") for name, spec in pg_blockers.ARGUMENTS.items()} | {"waiting_for": "1s"}
LONGEST = "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(waitstart)), 0) FROM pg_locks WHERE NOT granted"


@pytest.fixture
def queue(irctl: Irctl, sessions: Sessions, wait_until: Callable[..., Any]) -> Iterator[Queue]:
    sessions.ask("CREATE TABLE IF NOT EXISTS queue (job int); GRANT ALL ON queue TO ops")
    with ExitStack() as stack:
        yield Queue(irctl, sessions, wait_until, stack)
        sessions.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name <> 'test' AND datname <> ''"
        )
    sessions.ask("DROP TABLE queue")


def test_only_the_root_of_a_chain_is_ended_and_the_others_go_on(queue: Queue) -> None:
    root = queue.holder(application="migration")
    innocent = queue.holder("SELECT txid_current()", application="report")
    middle, last = queue.waiter("SELECT * FROM queue FOR UPDATE; SELECT pg_sleep(0)"), queue.waiter()
    looked = queue.free("--check")
    assert (looked.json["outcome"], queue.sessions.alive([root])) == ("changed", 1)
    [affected] = looked.host()["affected"]["items"]
    assert (affected["pid"], affected["application"]) == (root.info.backend_pid, "migration")
    done = queue.free()
    assert done.host()["reason"] == "1 ended, nobody waits for a lock", done.out
    assert (queue.sessions.alive([root]), queue.sessions.alive([innocent, middle, last])) == (0, 3)
    [kept] = [row for row in json.loads(_evidence(done)) if row["pid"] == last.info.backend_pid]
    assert kept["blocked_by"] == [root.info.backend_pid]
    assert queue.free().json["outcome"] == "unchanged"


def test_what_is_at_work_is_cancelled_and_its_session_lives(queue: Queue) -> None:
    root = queue.holder()
    queue.does(root, "SELECT pg_sleep(60)", ASLEEP)
    queue.waiter()
    assert queue.free().host()["reason"] == "1 cancelled, nobody waits for a lock"
    assert queue.sessions.alive([root]) == 1


def test_what_takes_no_cancel_is_ended_after_the_grace_and_not_at_all_without_leave(queue: Queue) -> None:
    root = queue.holder()
    queue.does(root, STUBBORN, ASLEEP)
    queue.waiter()
    kept = queue.free("--no-end", "--grace", "1s")
    assert (kept.code, queue.sessions.alive([root])) == (1, 1)
    assert f"Of the roots that were to be freed some still block others: pid {root.info.backend_pid}." in kept.host()["reason"], (
        kept.out
    )
    done = queue.free("--grace", "1s")
    assert (done.host()["reason"], queue.sessions.alive([root])) == ("1 ended, nobody waits for a lock", 0)


def test_a_copy_from_its_client_is_ended_because_it_takes_no_cancel(queue: Queue) -> None:
    root = queue.holder()
    with suppress(psycopg.Error), root.cursor().copy("COPY queue FROM STDIN"):
        queue.waiter()
        assert queue.free().host()["reason"] == "1 ended, nobody waits for a lock"
    assert queue.sessions.alive([root]) == 0


def _superuser(queue: Queue) -> str:
    queue.holder(user="postgres")
    return "is a superuser's"


def _pooler(queue: Queue) -> str:
    queue.holder(application="pgbouncer-1")
    return "is protected"


def _prepared(queue: Queue) -> str:
    session = queue.holder(LOCK, "PREPARE TRANSACTION 'order 7'")
    session.close()
    return "the prepared transaction order 7 is "


def _leader(queue: Queue) -> str:
    queue.holder(ADVISORY)
    return "holds an advisory lock, which is an application's own arrangement (--advisory)"


def _untracked(queue: Queue) -> str:
    queue.sessions.ask("GRANT SET ON PARAMETER track_activities TO ops")
    queue.sessions.open(1, "SET track_activities = off", "BEGIN", LOCK)
    return "does not say what it does (track_activities is off for it)"


def _ownerless(queue: Queue) -> str:
    queue.sessions.ask("DROP ROLE IF EXISTS gone")
    queue.sessions.ask("CREATE ROLE gone LOGIN PASSWORD 'gone'")
    dsn = queue.sessions.open()[0].info.dsn
    queue.sessions.keep(psycopg.connect(dsn, user="gone", password="gone", autocommit=True)).execute(ADVISORY)
    queue.sessions.ask("DROP ROLE gone")
    return "is of a dropped role, so nobody knows whether it is protected"


@pytest.mark.parametrize("make", [_superuser, _pooler, _prepared, _leader, _untracked, _ownerless])
def test_who_must_not_be_hit_is_named_and_nobody_is_touched(queue: Queue, server: Postgres, make: Callable[[Queue], str]) -> None:
    reason = make(queue)
    waiter = queue.waiter(ADVISORY if make in (_leader, _ownerless) else READ)
    try:
        done = queue.free()
        assert (done.code, done.json["outcome"]) == (5, "refused")
        assert reason in done.host()["reason"]
        assert done.host()["reason"].startswith("Somebody waits, and no session may be ended for it: ")
        assert (queue.sessions.ask(WAITING), queue.sessions.alive([waiter])) == (1, 1)
        with pytest.raises(Failure, match="Somebody waits, and no session"):
            pg_blockers.run({**PARAMS, **host_of(server), "state": "proved"}, False)
        if make is _leader:
            assert queue.free("--advisory").host()["reason"] == "1 ended, nobody waits for a lock"
    finally:
        if make is _prepared:
            queue.sessions.ask("ROLLBACK PREPARED 'order 7'")


def test_who_waits_for_a_lost_synchronous_standby_is_named_and_not_cancelled(queue: Queue) -> None:
    """D20: a cancel would tell the client that its commit was replicated."""
    root = queue.holder("INSERT INTO queue VALUES (1)", LOCK)
    queue.sessions.ask("ALTER SYSTEM SET synchronous_standby_names = 'lost'")
    queue.sessions.ask("SELECT pg_reload_conf()")
    try:
        queue.does(root, "COMMIT", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        queue.waiter()
        done = queue.free()
        assert (done.code, done.json["outcome"]) == (5, "refused")
        assert "waits for a synchronous standby, and cancelling it would hide that" in done.host()["reason"]
        assert queue.sessions.ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == 1
    finally:
        queue.sessions.ask("ALTER SYSTEM RESET synchronous_standby_names")
        queue.sessions.ask("SELECT pg_reload_conf()")


def test_more_roots_than_the_limit_and_others_than_those_asked_for_are_left(queue: Queue) -> None:
    holders = [queue.holder("LOCK TABLE queue IN SHARE MODE", application=name) for name in ("one", "two")]
    queue.waiter("INSERT INTO queue VALUES (1)")
    refused = queue.free("--max", "1")
    assert refused.host()["reason"].startswith("2 roots match and the limit is 1.")
    assert queue.free("--application", "reader").json["outcome"] == "unchanged"
    assert "There is no session with the application name 'three'" in queue.free("--application", "three").host()["reason"]
    assert queue.sessions.alive(holders) == 2


def test_a_session_that_has_gone_on_to_something_else_is_spared(queue: Queue, server: Postgres) -> None:
    root = queue.holder()
    queue.waiter()
    params = {**PARAMS, **host_of(server)}
    listed = pg_blockers.run({**params, "state": "listed"}, False)["matching"]
    pid, started, statement = listed[0].split("/")
    reused = f"{pid}/{int(started) + 1}/{statement}"
    assert pg_blockers.run({**params, "state": "freed", "among": [reused]}, False)["changed"] is False
    root.execute("SELECT 1")
    result = pg_blockers.run({**params, "state": "freed", "among": listed}, False)
    assert (result["changed"], queue.sessions.alive([root])) == (False, 1)


def test_who_cannot_see_the_others_is_refused(tmp_path: Path, queue: Queue, server: Postgres) -> None:
    queue.sessions.ask("DROP ROLE IF EXISTS blind")
    queue.sessions.ask("CREATE ROLE blind LOGIN PASSWORD 'blind'")
    passfile = tmp_path / "passfile"
    passfile.write_text("*:*:*:blind:blind\n")
    passfile.chmod(0o600)
    hosts = {"lab": host_of(server, postgres_user="blind", postgres_passfile=str(passfile))}
    done = Irctl(tmp_path / "blind", write_inventory(tmp_path, hosts))("remediate", "db-blockers", "--host", "lab", "--json")
    assert (done.code, done.json["outcome"]) == (5, "refused")
    assert "GRANT pg_read_all_stats, pg_signal_backend TO blind" in done.host()["reason"]


def test_a_decoy_that_is_gone_is_told(server: Postgres) -> None:
    defaults = {name: spec.get("default") for name, spec in pg_idle_sessions.ARGUMENTS.items()}
    for module, words in (
        (pg_blocking_sessions, "The session report, which holds"),
        (pg_idle_sessions, "gone: report, report, worker"),
    ):
        with pytest.raises(Failure, match=words):
            module.run({**defaults, **PARAMS, **host_of(server), "state": "spared"}, False)


def _evidence(done: Done) -> str:
    return (Path(done.json["folder"]) / "evidence" / "lab" / "blockers-before.json").read_text()
