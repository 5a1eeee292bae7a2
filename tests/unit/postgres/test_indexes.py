"""What an index is called, and which table is too large: the rules, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import indexes
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.probe import percentile

PARAMS: dict[str, Any] = {
    "schema": "public",
    "table": "orders",
    "column": ["customer"],
    "method": "btree",
    "name": None,
    "max_gib": 1,
}


def state(**changes: Any) -> dict[str, Any]:
    member = {
        "oid": 7,
        "parent": None,
        "level": 0,
        "schema": "public",
        "name": "orders",
        "kind": "r",
        "may_build": True,
        "bytes": 0,
    }
    return {
        "server": {"version": "18", "role": "ops", "in_recovery": False},
        "database": {"oid": 5, "name": "shop"},
        "table": {"oid": 7, "kind": "r", "persistence": "p"},
        "columns": ["customer"],
        "members": [member],
        "indexes": [],
        "detached": [],
        "of_the_name": 7,
        "namesakes": [],
        "at_work": [],
        "oldest": None,
        **changes,
    }


def test_it_is_called_as_postgresql_would_call_it_in_at_most_63_bytes() -> None:
    assert indexes.name_of(PARAMS) == "orders_customer_idx"
    name = indexes.name_of({**PARAMS, "column": ["ö" * 40]})
    assert name.startswith("orders_öö")
    assert name.endswith("_idx")
    assert 61 <= len(name.encode()) <= 63


def test_a_table_above_the_limit_a_standby_and_a_long_name_for_partitions_are_refused() -> None:
    assert indexes.refusals(state(), PARAMS) == []
    large = {**state()["members"][0], "bytes": 3 << 30}
    assert indexes.refusals(state(members=[large]), PARAMS) == [
        "public.orders had 3.0 GiB when it was last analyzed and the limit is 1 GiB (--max-gib)."
    ]
    standby = {**state()["server"], "in_recovery": True}
    assert "standby" in indexes.refusals(state(server=standby), PARAMS)[0]
    part = {**large, "oid": 123456, "parent": 7, "level": 1, "bytes": 0}
    [sentence] = indexes.refusals(state(members=[*state()["members"], part]), {**PARAMS, "name": "n" * 60})
    assert sentence == f"The name {'n' * 60} is too long by 5 bytes for the indexes of the partitions (--name)."


def test_where_a_prepared_transaction_holds_the_table_it_is_said_so() -> None:
    assert "pid of a prepared transaction" in indexes.refusals(state(at_work=[None]), PARAMS)[0]


@pytest.mark.parametrize(("numbers", "percent", "expected"), [([1.0], 99, 1.0), (list(range(1, 101)), 99, 99), ([3, 1, 2], 50, 2)])
def test_a_percentile_is_one_of_the_numbers(numbers: list[float], percent: int, expected: float) -> None:
    assert percentile(numbers, percent) == expected
