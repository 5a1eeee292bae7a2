"""Why a connection did not come about, from the code of an attempt and whatever libpq says beside it."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.refused_connection import Attempt, explained


@pytest.mark.parametrize(
    ("attempt", "unreachable", "words"),
    [
        (Attempt("53300"), False, "reserved slots: a superuser, or a member of pg_use_reserved_connections"),
        (Attempt("28P01"), False, "PostgreSQL refused the connection"),
        (Attempt("3D000"), False, "PostgreSQL refused the connection"),
        (Attempt("08P01", reached=True), False, "This is the port of a connection pooler"),
        (Attempt("", needs_password=True), False, "name a file of mode 0600 in postgres_passfile"),
        (Attempt("", connected=True), False, "took another one a moment later"),
        (Attempt("57P03", reached=True), True, "PostgreSQL does not answer"),
        (Attempt("", reached=True), True, "Something answers there"),
        (Attempt(""), True, "PostgreSQL does not answer"),
        (None, False, "The connection to PostgreSQL did not come about"),
    ],
)
def test_the_code_decides_and_not_the_words(attempt: Attempt | None, unreachable: bool, words: str) -> None:
    failure = explained("ВАЖНО:  слишком много клиентов, the database system is starting up", attempt)
    assert isinstance(failure, Unreachable) == unreachable
    assert words in str(failure)


def test_the_words_of_a_server_are_one_inert_line() -> None:
    text = str(explained("a\n\x1b[2J" + "x" * 1000, Attempt("")))
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 400
