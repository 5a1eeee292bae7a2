"""What is checked before a connection is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import client


def test_a_password_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pass"
    path.write_text("")
    path.chmod(0o644)
    with pytest.raises(Failure, match=r"open to others .mode 0644.; make it 0600"):
        client.connect({"postgres_passfile": str(path)})


def test_a_password_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="nosuch cannot be read: No such file"):
        client.connect({"postgres_passfile": str(tmp_path / "nosuch")})


@pytest.mark.parametrize("setting", ["postgres_dbname", "postgres_user"])
@pytest.mark.parametrize("value", ["postgresql://ops:hunter2@db1/shop", "host=db1 password=hunter2"])
def test_a_connection_string_is_no_name_and_is_not_said_again(setting: str, value: str) -> None:
    with pytest.raises(Failure, match=f"{setting}: a plain name is needed") as caught:
        client.connect({setting: value})
    assert "hunter2" not in str(caught.value)


def test_a_long_build_has_no_time_limit_of_its_transactions_either() -> None:
    """PostgreSQL 17 and later end the session itself at transaction_timeout."""
    assert [statement for statement in client._unlimited(1) if "transaction_timeout" in statement and "'0'" in statement]
