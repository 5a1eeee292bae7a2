"""The account of AWS that tests of block-ip share, and what may be done to it while they ask it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from tests.integration.edge.aws import Aws
from tests.integration.edge.namespaces import NO_NFT, Net
from tests.integration.edge.nginx import Nginx
from tests.servers import cloud, processes


@pytest.fixture(scope="module")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    folder = tmp_path_factory.mktemp("moto")
    recording = folder / "recording"
    try:
        yield Aws(cloud.start(folder, MOTO_ENABLE_RECORDING="1", MOTO_RECORDER_FILEPATH=str(recording)), recording)
    finally:
        processes.stop(folder)


@pytest.fixture
def edge(moto_server: Aws, tmp_path: Path) -> Aws:
    moto_server.begin(tmp_path)
    return moto_server


@pytest.fixture
def tamper(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[..., Any]], None]:
    """Do something whenever an operation such as 'wafv2.UpdateIPSet' is about to be called; what it returns is the answer."""
    watched: dict[str, Callable[..., Any]] = {}
    make = clients.client

    def client(*words: Any, **named: Any) -> Any:
        made = make(*words, **named)
        for operation, act in watched.items():
            made.meta.events.register(f"before-call.{operation}", lambda act=act, **_: act())
        return made

    monkeypatch.setattr(clients, "client", client)
    return watched.__setitem__


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    server = Nginx(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    if NO_NFT:
        pytest.skip(NO_NFT)
    made = Net(tmp_path, f"irctl{os.getpid()}-")
    with made.stack:
        made.make()
        yield made
