"""A Redis of Debian for the whole session, emptied for each test, and the command with host `lab` leading to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.modules import redis_keys
from tests.conftest import Irctl, write_inventory
from tests.servers.redis_servers import RedisServer, redis_server

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def cache(shared_redis: RedisServer) -> RedisServer:
    client = shared_redis.client()
    client.flushall()
    client.config_resetstat()
    return shared_redis


@pytest.fixture
def command(tmp_path: Path, cache: RedisServer) -> Irctl:
    return Irctl(tmp_path / "home", write_inventory(tmp_path, {"lab": cache.variables}))


def arguments(server: RedisServer, **more: Any) -> dict[str, Any]:
    """All that the module redis_keys takes, for this server."""
    defaults = {name: spec.get("default") for name, spec in redis_keys.ARGUMENTS.items()}
    reach = {name: value for name, value in server.variables.items() if name in defaults}
    return defaults | reach | more


def listed(server: RedisServer, **more: Any) -> dict[str, Any]:
    return redis_keys.run(arguments(server, **more), False)


def cleared(server: RedisServer, **more: Any) -> dict[str, Any]:
    """All phases of a run; what its last one returned, with the number of keys that were removed."""
    before = listed(server, **more)
    assert not before["refusals"], before
    evidence = redis_keys.run(arguments(server, state="described", selection=before["selection"], **more), False)
    removed = redis_keys.run(arguments(server, state="removed", selection=evidence["selection"], **more), False)
    return {"removed": removed["removed"], **listed(server, selection=evidence["selection"], **more)}
