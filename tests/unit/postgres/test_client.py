"""What libpq says about a connection that did not come about, in our words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import client


@pytest.mark.parametrize(
    "said",
    [
        "FATAL:  sorry, too many clients already",
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
    ],
)
def test_a_full_server_says_who_still_gets_in(said: str) -> None:
    failure = client.explained(said)
    assert not isinstance(failure, Unreachable)
    assert "reserved slots: a superuser, or a member of pg_use_reserved_connections" in str(failure)


def test_a_refused_login_is_a_failure_and_not_an_unreachable_server() -> None:
    failure = client.explained('connection failed: FATAL:  password authentication failed for user "ops"')
    assert not isinstance(failure, Unreachable)
    assert "refused the connection" in str(failure)


def test_a_missing_password_is_not_a_server_that_does_not_answer() -> None:
    failure = client.explained('connection to server at "127.0.0.1", port 5432 failed: fe_sendauth: no password supplied')
    assert not isinstance(failure, Unreachable)
    assert str(failure).startswith(
        "PostgreSQL asks for a password and there is none: name a file of mode 0600 in postgres_passfile"
    )


@pytest.mark.parametrize(
    "said",
    [
        "could not connect to server: Connection refused",
        "timeout expired",
        "FATAL:  the database system is starting up",
        "FATAL:  the database system is shutting down",
        "",
    ],
)
def test_a_server_that_does_not_answer_is_unreachable(said: str) -> None:
    assert isinstance(client.explained(said), Unreachable)


def test_the_words_of_a_server_are_one_inert_line() -> None:
    said = str(client.explained("a\n\x1b[2J" + "x" * 1000))
    assert "\n" not in said
    assert "\x1b" not in said
    assert len(said) < 400


def test_a_password_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pass"
    path.write_text("")
    path.chmod(0o644)
    with pytest.raises(Failure, match=r"open to others .mode 0644.; make it 0600"):
        client.connect({"postgres_passfile": str(path)})


def test_a_password_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="nosuch cannot be read: No such file"):
        client.connect({"postgres_passfile": str(tmp_path / "nosuch")})
