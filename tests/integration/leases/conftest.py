"""A host for the tests of leases that hosts end by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.leases.far import DATABASE, FIVE, Far, ask, make
from tests.servers.hosts import running
from tools.test_hosts.sets import Set


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Set]:
    """One host for one file alone, because it is restarted, its disk is full, and its ssh stops."""
    with running(1, tmp_path_factory.mktemp("own")) as found:
        for database in ("shop", *FIVE):
            ask(found["h1"], f"CREATE DATABASE {database}")
            ask(found["h1"], "CREATE TABLE orders (at timestamptz)", database)
        yield found


@pytest.fixture
def far(own: Set, tmp_path: Path) -> Iterator[Far]:
    far = Far(own, make(own, tmp_path / "far", **DATABASE))
    yield far
    print(far.host.run("journalctl", "--no-pager", "--since=-5min").stdout[-9000:])  # shown where the test failed
    far.clean()
