"""db-connections on a real PostgreSQL: what it ends, what it spares, what it refuses. HAZARDS D1 to D4."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from irctl.lab.postgres import Postgres, programs
from tests.conftest import Irctl, Sessions, host_of, write_inventory


def test_idle_sessions_end_and_a_second_run_finds_nothing_to_end(irctl: Irctl, sessions: Sessions) -> None:
    idle = sessions.open(6)
    sessions.grow_old()
    young = sessions.open(2)
    with sessions.in_use(young):
        first = irctl.mend()
    assert (first.code, first.json["outcome"]) == (0, "changed")
    assert first.host()["reason"].startswith("6 sessions ended")
    assert (sessions.alive(idle), sessions.alive(young)) == (0, 2)
    assert irctl.mend("--idle-for", "1h").json["outcome"] == "unchanged"


def test_what_must_not_be_hit_is_spared(irctl: Irctl, server: Postgres, sessions: Sessions) -> None:
    """D1: superusers, LISTEN, advisory locks, poolers, transactions, sessions at work, an idle walsender."""
    spared = [
        *sessions.open(1, user="postgres"),
        *sessions.open(1, "SELECT 1; LISTEN jobs"),
        *sessions.open(1, 'LISTEN"jobs"'),
        *sessions.open(1, "SELECT pg_advisory_lock(42)"),
        *sessions.open(1, application="pgbouncer-1"),
        *sessions.open(1, "BEGIN", "SELECT txid_current()"),
    ]
    archiver = f"{server.address('postgres')} application_name=archiver"
    receive = [programs() / "bin" / "pg_receivewal", "-d", archiver, "-D", ".", "--no-loop"]
    walsender = subprocess.Popen(receive, cwd=irctl.home.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    [working], idle = sessions.open(1), sessions.open(3)
    try:
        with sessions.at_work(working):
            sessions.grow_old()
            done = irctl.mend()
            assert done.json["outcome"] == "changed"
            assert sessions.alive(idle) == 0
            assert sessions.alive([*spared, working]) == 7
            assert sessions.ask("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'archiver'") == 1
    finally:
        walsender.kill()
    before = json.loads((Path(done.json["folder"]) / "evidence" / "lab" / "sessions-before.json").read_text())
    assert {row["verdict"] for row in before} == {"end", "superuser", "listening", "advisory lock", "protected"}


def test_an_idle_transaction_ends_only_when_asked_for(irctl: Irctl, sessions: Sessions) -> None:
    holder = sessions.open(1, "BEGIN", "SELECT txid_current()")
    sessions.grow_old()
    assert irctl.mend().json["outcome"] == "unchanged"
    assert sessions.alive(holder) == 1
    assert irctl.mend("--idle-in-transaction-for", "5s").host()["reason"].startswith("1 session ended")
    assert sessions.alive(holder) == 0


def test_another_team_s_sessions_are_not_touched(irctl: Irctl, sessions: Sessions) -> None:
    mine = sessions.open(2, database="shop", application="web")
    others = [*sessions.open(2, application="api"), *sessions.open(2, database="shop", application="worker")]
    sessions.grow_old()
    done = irctl.mend("--database", "shop", "--application", "web", "--user", "ops")
    assert done.host()["changed"] is True
    assert (sessions.alive(mine), sessions.alive(others)) == (0, 4)
    again = irctl.mend("--database", "shop", "--application", "web", "--user", "ops")
    assert again.json["outcome"] == "unchanged"  # nobody is called so any more, and the record knows who was
    typed = irctl.mend("--database", "nosuch", "--user", "Ops", "--application", "wbe")
    assert (typed.code, typed.json["outcome"]) == (5, "refused")
    reason = typed.host()["reason"]
    assert "There is no database 'nosuch'. There are: " in reason
    assert "There is no role 'Ops'. There are: ops, " in reason
    assert "There is no session with the application name 'wbe'. There are: " in reason
    assert sessions.alive(others) == 4
    assert irctl.mend("--user", "idle_role").code == 5
    sessions.ask("CREATE ROLE idle_role")
    assert irctl.mend("--user", "idle_role").json["outcome"] == "unchanged"
    sessions.ask("DROP ROLE idle_role")


def test_sessions_that_cannot_be_judged_are_never_nothing_to_end(irctl: Irctl, sessions: Sessions) -> None:
    """track_activities is off for one role, and another was dropped: neither may be taken for at work or for a superuser."""
    for role in ("untracked", "dropped"):
        sessions.ask(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
    sessions.ask("ALTER ROLE untracked SET track_activities = off")
    unjudged = [session for role in ("untracked", "dropped") for session in sessions.open(user=role, password=role)]
    try:
        sessions.ask("DROP ROLE dropped")
        idle = sessions.open(1)
        sessions.grow_old()
        done = irctl.mend()
        assert done.json["outcome"] == "changed"
        assert "not judged: 1 whose state is not tracked, 1 of dropped roles" in done.host()["reason"]
        assert (sessions.alive(idle), sessions.alive(unjudged)) == (0, 2)
        again = irctl.mend()
        assert (again.code, again.json["outcome"]) == (5, "refused")
        assert "track_activities is off there" in again.host()["reason"]
        assert "the role was dropped" in again.host()["reason"]
    finally:
        for session in unjudged:
            session.close()
        sessions.ask("DROP ROLE untracked")


def test_protected_users_of_the_inventory_are_spared(tmp_path: Path, server: Postgres, sessions: Sessions) -> None:
    hosts = {"lab": host_of(server, postgres_protected_users=["o?s"])}
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, hosts))
    idle = sessions.open(2)
    sessions.grow_old()
    assert irctl.mend().json["outcome"] == "unchanged"
    assert sessions.alive(idle) == 2


def test_a_dry_run_says_what_would_end_and_changes_nothing(irctl: Irctl, sessions: Sessions) -> None:
    idle = sessions.open(3, application="web\x1b[2J")
    sessions.open(1, "SELECT 1; LISTEN jobs")
    sessions.grow_old()
    done = irctl.mend("--check")
    assert (done.code, done.json["outcome"], done.json["check"]) == (0, "changed", True)
    assert done.host()["reason"].startswith("3 sessions would be ended")
    affected, pids = done.host()["affected"], {session.info.backend_pid for session in idle}
    assert {item["pid"] for item in affected["items"]} == pids, "the very sessions, and none that is spared"
    whole = (Path(done.json["folder"]) / affected["file"]).read_text().splitlines()
    assert [json.loads(line) for line in whole] == affected["items"]
    assert "\x1b" not in done.out + "".join(whole)
    shown = irctl("remediate", "db-connections", "--host", "lab", "--check").out.splitlines()
    assert shown[1].split() == ["PID", "USER", "DATABASE", "APPLICATION", "CLIENT", "IDLE"]
    assert {int(line.split()[0]) for line in shown[2:5]} == pids
    assert sessions.alive(idle) == 3
    assert irctl.mend().host()["reason"].startswith("3 sessions ended")


def test_more_sessions_than_the_limit_are_refused_and_all_live(irctl: Irctl, sessions: Sessions) -> None:
    idle = sessions.open(4)
    sessions.grow_old()
    done = irctl.mend("--max", "3")
    assert (done.code, done.json["outcome"]) == (5, "refused")
    assert done.host()["reason"] == "4 sessions match and the limit is 3. Narrow with --database or --user, or raise --max."
    assert sessions.alive(idle) == 4


SEE, END = "pg_read_all_stats", "pg_signal_backend"


@pytest.mark.parametrize(("grant", "missing"), [("", f"{SEE}, {END}"), (END, SEE), (SEE, END)])
def test_a_role_that_cannot_see_or_end_is_refused(
    grant: str, missing: str, tmp_path: Path, server: Postgres, sessions: Sessions
) -> None:
    """D3: never 'ok, 0 ended'."""
    sessions.ask("DROP ROLE IF EXISTS blind")
    sessions.ask("CREATE ROLE blind LOGIN PASSWORD 'blind' " + (f"IN ROLE {grant}" if grant else ""))
    passfile = tmp_path / "passfile"
    passfile.write_text("*:*:*:blind:blind\n")
    passfile.chmod(0o600)
    hosts = {"lab": host_of(server, postgres_user="blind", postgres_passfile=str(passfile))}
    idle = sessions.open(1)
    sessions.grow_old()
    done = Irctl(tmp_path / "home", write_inventory(tmp_path, hosts)).mend()
    assert (done.code, done.json["outcome"]) == (5, "refused")
    assert f"GRANT {missing} TO blind" in done.host()["reason"]
    assert sessions.alive(idle) == 1


def test_a_session_that_wakes_up_after_it_was_listed_is_spared(server: Postgres, sessions: Sessions) -> None:
    """D2: the killing statement judges again, by pid and start, state and age."""
    from ansible_collections.irctl.runbooks.plugins.modules import pg_sessions

    asleep, woken = sessions.open(2)
    sessions.grow_old()
    defaults = {name: spec.get("default") for name, spec in pg_sessions.ARGUMENTS.items()}
    params = {**defaults, **host_of(server), "idle_for": "5s"}
    listed = pg_sessions.run({**params, "state": "listed"}, False)["matching"]
    woken.execute("SELECT 1")
    reused = [f"{one[:-1]}{(int(one[-1]) + 1) % 10}" for one in listed]
    assert pg_sessions.run({**params, "state": "ended", "among": reused}, False)["changed"] is False
    result = pg_sessions.run({**params, "state": "ended", "among": listed}, False)
    assert (result["ended"], sessions.alive([asleep]), sessions.alive([woken])) == (1, 0, 1)
    assert "1 spared that were in use again or gone" in result["msg"]


def test_under_a_hostile_load_no_running_query_is_hit(irctl: Irctl, sessions: Sessions) -> None:
    """D2: clients at work all the time lose nothing."""
    busy, stop, lost = sessions.open(8), threading.Event(), []

    def work(session: psycopg.Connection) -> None:
        try:
            while not stop.wait(0.01):
                session.execute("SELECT pg_sleep(0.005)")
        except psycopg.Error as error:
            lost.append(error)

    threads = [threading.Thread(target=work, args=(session,)) for session in busy]
    for thread in threads:
        thread.start()
    idle = sessions.open(5)
    sessions.grow_old()
    done = irctl.mend()
    stop.set()
    for thread in threads:
        thread.join()
    assert done.host()["reason"].startswith("5 sessions ended")
    assert (lost, sessions.alive(idle)) == ([], 0)


def test_it_works_when_every_ordinary_slot_is_taken(tmp_path: Path) -> None:
    """D4: by a reserved slot where the role may use one, and in a clear sentence where it may not."""
    full = Postgres(tmp_path / "full")
    full.start({"max_connections": "10", "reserved_connections": "0", "superuser_reserved_connections": "3"})
    try:
        with ExitStack() as stack:
            sessions = Sessions(full, stack)
            taken = sessions.open(7)
            sessions.grow_old()
            barred = Irctl(tmp_path / "home", write_inventory(tmp_path, {"lab": host_of(full)})).mend()
            assert (barred.code, barred.json["outcome"]) == (1, "failed")
            assert "Every connection slot that this role may use is taken" in barred.host()["reason"]
            assert "Nothing was changed." in barred.host()["reason"]
            hosts = {"lab": host_of(full, postgres_user="postgres")}
            done = Irctl(tmp_path / "home", write_inventory(tmp_path, hosts)).mend()
            assert done.host()["reason"].startswith("7 sessions ended")
            assert sessions.alive(taken) == 0
    finally:
        full.stop()


def test_a_server_that_does_not_answer_is_unreachable(tmp_path: Path, server: Postgres) -> None:
    """The other host has an address of IPv6 for a name."""
    fine = "2001:db8::7"
    hosts = {"lab": host_of(server, postgres_port=1), fine: host_of(server)}
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, hosts, both=["lab", fine]))
    alone = irctl.mend()
    assert (alone.code, alone.json["outcome"]) == (4, "unreachable")
    assert "does not answer" in alone.host()["reason"]
    both = irctl.mend(host="both")
    assert (both.code, both.json["outcome"]) == (3, "partial")
    assert both.host(fine)["outcome"] == "unchanged"
    assert irctl.mend(host=fine).json["outcome"] == "unchanged"


def test_a_password_file_that_others_can_read_is_not_used(tmp_path: Path, server: Postgres) -> None:
    passfile = tmp_path / "passfile"
    passfile.write_text(server.passfile.read_text())
    passfile.chmod(0o644)
    hosts = {"lab": host_of(server, postgres_passfile=str(passfile))}
    done = Irctl(tmp_path / "home", write_inventory(tmp_path, hosts)).mend()
    assert done.code == 1
    assert "is open to others (mode 0644); make it 0600." in done.host()["reason"]
