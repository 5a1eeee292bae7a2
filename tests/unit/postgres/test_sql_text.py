"""Statements as evidence may hold them: no value survives."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sql_text import without_values


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("SELECT * FROM t WHERE a = 'jane'", "SELECT * FROM t WHERE a = …"),
        ("SELECT a, 'it''s jane', b", "SELECT a, …"),
        (r"SELECT E'it\'s jane', b", "SELECT …"),
        ("SELECT $$jane$$, b", "SELECT …"),
        ("SELECT $x$ja$$ne$x$, b", "SELECT …"),
        ("SELECT a /* jane */ FROM t", "SELECT a …"),
        ("SELECT a -- jane\nFROM t", "SELECT a …"),
        ('SELECT "Name" FROM t', 'SELECT "Name" FROM t'),
        ("SELECT a - b / c", "SELECT a - b / c"),
        ("SELECT 42, 1.5e3, 0xff, b2", "SELECT ?, ?, ?, b2"),
        ("SELECT  a\n\tFROM t", "SELECT a FROM t"),
        ("SELECT $1, b", "SELECT $1, b"),
        ("COMMIT", "COMMIT"),
        ("", ""),
    ],
)
def test_a_statement_is_shown_up_to_its_first_string_or_comment_and_numbers_as_question_marks(statement: str, kept: str) -> None:
    assert without_values(statement) == kept


@pytest.mark.parametrize("opening", ["'", "E'", "$$", "$q$", "/* ", "-- ", "E'\\'", "'''"])
def test_a_literal_that_was_cut_off_by_the_server_does_not_survive(opening: str) -> None:
    assert "jane" not in without_values(f"SELECT {opening}jane@example.org")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER ROLE app PASSWORD hunter2",
        "CREATE USER MAPPING FOR app SERVER s OPTIONS (user hunter2)",
        "SELECT secret FROM hunter2",
        "ALTER SUBSCRIPTION s CONNECTION 'host=a password=hunter2'",
        "SELECT set_token(token => hunter2)",
        "alter role app password hunter2",
    ],
)
def test_a_statement_that_speaks_of_secrets_shows_its_first_word_only(statement: str) -> None:
    kept = without_values(statement)
    assert "hunter2" not in kept
    assert kept.startswith(statement.split()[0])
    assert "not shown" in kept


@pytest.mark.parametrize(
    "statement", ["SELECT'hunter2',password FROM t", "/*hunter2*/ ALTER ROLE a PASSWORD 'x'", "'hunter2' password"]
)
def test_a_secret_in_the_first_word_is_not_shown(statement: str) -> None:
    assert "hunter2" not in without_values(statement)


@pytest.mark.parametrize(
    "statement",
    [
        """SELECT "it's" FROM t WHERE a = 'robin'""",
        "SELECT 1 /* a /* b */ it's */ WHERE a = 'robin'",
        r"SELECT a LIKE'100\' AND b = 'robin'",
    ],
    ids=["quoted identifier", "nested comment", "no escape string"],
)
def test_a_quote_that_opens_nothing_does_not_turn_the_rest_inside_out(statement: str) -> None:
    assert "robin" not in without_values(statement)


def test_control_characters_are_gone_and_long_statements_are_cut() -> None:
    assert "\x1b" not in without_values("SELECT \x1b[31ma")
    assert len(without_values("SELECT " + "a, " * 500)) == 200
    assert len(without_values("SELECT " + "a, " * 500, 80)) == 80
