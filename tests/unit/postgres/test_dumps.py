"""Reading a dump through: its rows, its end, and what it lacks. Pure."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import dumps

LINES = [
    b"SELECT 1;\n",
    b'COPY public."Odd ""one""" (a, b) FROM stdin;\n',
    b"1\tCOPY public.orders (n) FROM stdin;\n",
    b"2\t-- PostgreSQL database dump complete\n",
    b"\\.\n",
    b"COPY sales.bare  FROM stdin;\n",
    b"\n",
    b"\\.\n",
    b"-- PostgreSQL database dump complete\n",
    b"\\unrestrict x\n",
]


def test_rows_are_counted_by_table_whatever_stands_in_them() -> None:
    assert dumps.rows(LINES) == ({'public.Odd "one"': 2, "sales.bare": 1}, True)
    assert dumps.rows(LINES[:-2]) == ({'public.Odd "one"': 2, "sales.bare": 1}, False)


def test_one_that_ends_within_rows_is_none() -> None:
    with pytest.raises(Failure, match=r'ends within the rows of public\.Odd "one"'):
        dumps.rows(LINES[:4])


def test_what_it_lacks_is_named() -> None:
    assert dumps.differences({"a.b": 1}, {"a.b": 1}) == []
    assert dumps.differences({"a.b": 1}, {"a.b": 2, "c.d": 3}) == [
        "a.b had 2 rows and the dump has 1.",
        "c.d had 3 rows and the dump has no such table.",
    ]
