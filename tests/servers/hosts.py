"""Hosts with systemd, ssh, nginx, nftables and PostgreSQL for tests: the fixture `hosts`. See docs/test-hosts.md."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Irctl, write_inventory
from tools.test_hosts import podman, sets
from tools.test_hosts.podman import Unable
from tools.test_hosts.sets import Set


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Set]:
    """Two hosts, h1 and h2, for the whole session of this worker."""
    with running(2, tmp_path_factory.mktemp("hosts")) as found:
        yield found


@contextmanager
def running(number: int, folder: Path) -> Iterator[Set]:
    """So many hosts, from h1 on. Skips where this machine cannot have any, and says why."""
    if why := podman.missing():
        pytest.skip(why)
    try:
        podman.build()
    except Unable as error:
        pytest.skip(str(error))
    found = sets.up(number, folder, os.getpid())
    try:
        yield found
    finally:
        sets.down(found)


def irctl_for(hosts: Set, folder: Path, **more: Any) -> Irctl:
    """The command, with an inventory of these hosts below folder; other variables of each may be given."""
    reached = {host.name: {**hosts.reach(host.name), **more} for host in hosts.hosts}
    return Irctl(folder / "home", write_inventory(folder, reached))
