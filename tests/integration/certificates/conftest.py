"""The site of a real certificate: a CA, nginx and certbot, all on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import acme
from tests.servers.acme import Site


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One CA and one nginx for all, because an account at a CA and a first certificate take their time."""
    with acme.running(tmp_path_factory.mktemp("acme") / "site") as found:
        yield found


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """The site as it was at first, and served so."""
    yield running
    running.reset()
