"""Two controllers with a home each, and one database: what changes it excludes the other there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import client
from irctl.lab.postgres import Postgres
from tests.conftest import Irctl, Sessions, host_of, write_inventory


def settings_of(host: dict[str, Any]) -> dict[str, Any]:
    """What the role hands to its modules."""
    return {"postgres_dbname": "postgres"} | {name: value for name, value in host.items() if name.startswith("postgres_")}


def test_while_another_controller_changes_something_nothing_is_changed(
    tmp_path: Path, server: Postgres, sessions: Sessions
) -> None:
    opened = sessions.open(2, application="two")
    sessions.grow_old()
    host = host_of(server, db_connections_application=["two"])
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, {"lab": host}))
    with client.connect(settings_of(host)) as other:
        other.hold()
        busy = irctl("remediate", "db-connections", "--host", "lab", "--json")
        assert "Another irctl is changing something" in busy.host()["reason"], busy.out
        assert (busy.code, sessions.alive(opened)) == (1, 2)
    done = irctl("remediate", "db-connections", "--host", "lab", "--json")
    assert (done.code, sessions.alive(opened)) == (0, 0), done.out


def test_the_lock_goes_with_its_connection(server: Postgres) -> None:
    settings = settings_of(host_of(server))
    for _ in range(3):
        with client.connect(settings) as one:
            one.hold()
    with client.connect(settings) as first, client.connect(settings) as second:
        first.hold()
        with pytest.raises(Failure, match="Another irctl is changing something"):
            second.hold()
