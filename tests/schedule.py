"""How pytest-xdist shares the tests out among its workers: what takes longest first, and as finely as its servers allow.

A file is one piece of work where its tests share something of their own (a fixture of the module's, or test hosts); elsewhere below
tests/integration each test is one. The quick tests go by files.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

ROOT = Path(__file__).resolve().parent.parent

# Pieces that take longest, longest first; what stands before any other must begin before it, or it alone is awaited at the end.
FIRST = (
    "tests/integration/leases/test_leases_on_hosts.py",
    "tests/integration/leases/test_leases_ended_by_hosts.py",
    "tests/integration/edge/test_block_ip_hosts.py",
    "tests/integration/certificates",
    "tests/integration/drills/test_drill_schedule.py",
    "tests/integration/test_molecule.py",
    "tests/integration/test_wheel.py",
    "tests/integration/lab",
    "tests/integration/leases",
    "tests/integration",
    "tests/docs",
    "tests",
)
SHARED = ('scope="module"', "tools.test_hosts", "leases.far")


def rank(nodeid: str) -> int:
    """The place of a test among FIRST."""
    return next(number for number, start in enumerate(FIRST) if nodeid.startswith(start))


@cache
def shares_servers(file: str) -> bool:
    text = (ROOT / file).read_text()
    return any(word in text for word in SHARED)


class Schedule(LoadScopeScheduling):
    """Hands the pieces out in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if "/integration/" not in file or shares_servers(file) else nodeid

    def _reschedule(self, node: WorkerController) -> None:
        """A worker begins a test when it knows the one after it, so more is handed out with one to go, and not sooner."""
        if not self.workqueue or self._pending_of(self.assigned_work[node]) <= 1:
            super()._reschedule(node)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Schedule:
    config.option.loadscopereorder = False
    return Schedule(config, log)
