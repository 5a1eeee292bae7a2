"""Connections that do not come about: judged by SQLSTATE in whatever language, and a pooler is told from PostgreSQL."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import client
from irctl.lab.postgres import Postgres, programs
from tests.conftest import Sessions, host_of
from tests.servers import databases

SLOTS = 3


@pytest.fixture(scope="module")
def russian() -> Iterator[int]:
    """The port of a server that speaks Russian, with three slots beside those of superusers."""
    with databases.russian(max_connections=str(SLOTS + 3), superuser_reserved_connections="3") as port:
        yield port


@pytest.fixture(params=["psycopg", "psql"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to ask."""
    if request.param == "psql":
        monkeypatch.setattr(client, "psycopg", None)
    return str(request.param)


def refusal(port: int, **more: Any) -> Failure:
    settings = {"host": "127.0.0.1", "port": port, "user": "ops", "dbname": "postgres"} | more
    with pytest.raises(Failure) as raised:
        client.connect({f"postgres_{name}": value for name, value in settings.items()})
    return raised.value


@databases.needs
def test_a_full_server_is_known_in_any_language(russian: int, driver: str) -> None:
    with ExitStack() as sessions:
        for _ in range(SLOTS):
            sessions.enter_context(psycopg.connect(f"host=127.0.0.1 port={russian} user=ops dbname=postgres"))
        error = refusal(russian)
    assert not isinstance(error, Unreachable)
    assert str(error).startswith("Every connection slot that this role may use is taken")
    assert "слоты подключений зарезервированы" in str(error)


@databases.needs
def test_a_refusal_is_no_silence_in_any_language(russian: int, driver: str) -> None:
    for more in ({"user": "nobody-there"}, {"dbname": "nosuch"}):
        error = refusal(russian, **more)
        assert not isinstance(error, Unreachable)
        assert str(error).startswith("PostgreSQL refused the connection")
        assert "не существует" in str(error)


@databases.needs
def test_a_pooler_is_not_taken_for_a_server_that_happens_to_have_the_time_limit_of_irctl(driver: str) -> None:
    same = databases.russian(statement_timeout=client.STATEMENT_TIMEOUT)
    with same as server, databases.pgbouncer(server, "ignore_startup_parameters = options") as port:
        assert str(refusal(port)).startswith("This is the port of a connection pooler")


@databases.needs
@pytest.mark.parametrize("setting", ["", "ignore_startup_parameters = options"])
def test_the_port_of_a_pooler_is_called_so(setting: str, russian: int, driver: str) -> None:
    with databases.pgbouncer(russian, setting) as port:
        error = refusal(port)
    assert str(error).startswith("This is the port of a connection pooler; name PostgreSQL's own host and port in the inventory")


def test_a_pooler_that_takes_every_option_is_known_by_its_process(server: Postgres) -> None:
    sound = {"pid": 7, "timeout": client.STATEMENT_TIMEOUT, "search_path": client.SEARCH_PATH}
    client.require_postgres(sound, 7)
    client.require_postgres(sound, None)
    with pytest.raises(Failure, match="port of a connection pooler"):
        client.require_postgres(sound, -178985526)


def test_no_setting_of_a_role_or_a_database_changes_what_irctl_asks(server: Postgres, sessions: Sessions) -> None:
    """Statements are not compiled, names are those of PostgreSQL alone, and no commit waits for a standby."""
    for line in ("SET jit = on", "SET search_path = public", "SET synchronous_commit = remote_apply"):
        sessions.ask(f"ALTER ROLE ops IN DATABASE postgres {line}")
    try:
        with client.connect(host_of(server, postgres_dbname="postgres")) as session:
            asked = "SELECT json_agg(current_setting(name)) FROM unnest(ARRAY['jit', 'search_path', 'synchronous_commit']) name"
            assert session.ask(f"{asked} WHERE $1 <> ''", {}) == ["off", "pg_catalog", "local"]
    finally:
        sessions.ask("ALTER ROLE ops IN DATABASE postgres RESET ALL")


def test_no_time_limit_of_idle_sessions_ends_irctls_own(server: Postgres, sessions: Sessions) -> None:
    sessions.ask("ALTER ROLE ops SET idle_session_timeout = '50ms'")
    try:
        with client.connect(host_of(server, postgres_dbname="postgres")) as session:
            time.sleep(0.3)
            assert session.ask("SELECT 1 WHERE $1::text <> ''", {}) == 1
    finally:
        sessions.ask("ALTER ROLE ops RESET idle_session_timeout")


def test_a_session_that_is_lost_is_no_refusal(server: Postgres, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what its last statement did, so a change ends as indeterminate. PostgreSQL's own refusal is one."""
    monkeypatch.setenv("PATH", f"{programs() / 'bin'}:/usr/bin:/bin")
    where = host_of(server, postgres_dbname="postgres")
    with client.connect(where) as session, pytest.raises(Failure, match="division by zero") as refused:
        session.execute("SELECT 1 / 0")
    assert not isinstance(refused.value, Unreachable)
    with client.connect(where) as session, pytest.raises(Unreachable, match="The connection to PostgreSQL was lost"):
        session.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_password_that_is_missing_is_asked_for(server: Postgres, driver: str) -> None:
    error = refusal(server.port)
    assert not isinstance(error, Unreachable)
    assert str(error).startswith("PostgreSQL asks for a password and there is none")


def test_what_answers_and_is_no_postgresql_is_not_said_to_be_silent(driver: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closing = threading.Thread(target=_close_each, args=(listener,), daemon=True)
        closing.start()
        error = refusal(listener.getsockname()[1])
    assert isinstance(error, Unreachable)
    assert str(error).startswith("Something answers there, and no connection to PostgreSQL came about")


def _close_each(listener: socket.socket) -> None:
    try:
        while True:
            connection = listener.accept()[0]
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()
    except OSError:
        return


def test_nothing_that_answers_is_unreachable(driver: str) -> None:
    error = refusal(1)
    assert isinstance(error, Unreachable)
    assert "does not answer" in str(error)
