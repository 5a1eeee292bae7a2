"""Whether a key is still as it was, and what of it is kept."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.redis import key_records
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.key_records import KeyRecord

BEFORE = KeyRecord(b"ratelimit:1", "string", b"117", 1_000_000)


@pytest.mark.parametrize(
    ("now", "unlike"),
    [
        (BEFORE, False),
        (BEFORE._replace(expires=1_000_040), False),  # computed from PTTL and TIME
        (BEFORE._replace(expires=1_060_000), True),
        (BEFORE._replace(value=b"1"), True),
        (BEFORE._replace(kind="zset", value=None), True),
        (BEFORE._replace(expires=-1), True),
    ],
)
def test_a_key_that_was_written_again_has_another_value_or_expiry(now: KeyRecord, unlike: bool) -> None:
    assert key_records.unlike(BEFORE.mark, now.mark) is unlike


def test_numbers_are_kept_as_they_are_and_other_values_without_secrets() -> None:
    kept = [BEFORE, BEFORE._replace(value=b"-1.5"), BEFORE._replace(value=b"password=hunter2hunter2"), BEFORE._replace(value=None)]
    rows = key_records.rows(kept, now=400_000)
    assert [row["value"] for row in rows[:2]] == ["117", "-1.5"]
    assert "hunter2" not in rows[2]["value"]
    assert (rows[3]["value"], rows[0]["expires_seconds"]) == (None, 600)
