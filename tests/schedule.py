"""How pytest-xdist shares the tests out among its workers: what takes longest first, and as finely as its servers allow.

Below tests/integration each test is a piece of work of its own, but those of a file that share something which is made once for it,
such as a server or test hosts, are one together. The quick tests go by files.
"""

from __future__ import annotations

import ast
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
    "tests/integration/edge",
    "tests/integration/certificates",
    "tests/integration/incidents/test_pack_killed.py",
    "tests/integration/incidents",
    "tests/integration/drills/test_drill_schedule.py",
    "tests/integration/running/test_hosts.py",
    "tests/integration/running/test_ssh_host.py",
    "tests/integration/test_gates.py",
    "tests/integration/test_molecule.py",
    "tests/integration/test_wheel.py",
    "tests/integration/lab",
    "tests/integration/leases",
    "tests/integration",
    "tests/docs",
    "tests",
)
COSTLY = {"hosts"}  # fixtures of the session that only one worker should have to make for a file


def rank(nodeid: str) -> int:
    """The place of a test among FIRST."""
    return next(number for number, start in enumerate(FIRST) if nodeid.startswith(start))


@cache
def together(file: str) -> frozenset[str]:
    """The tests of a file that share what is made once for it: a fixture of the module's, or one of the COSTLY ones."""
    path = ROOT / file
    above = [folder / "conftest.py" for folder in path.parents if folder.is_relative_to(ROOT / "tests")]
    functions = [function for one in (path, *above) if one.exists() for function in _functions(one)]
    shared = COSTLY | {function.name for function in functions if "scope='module'" in map(ast.unparse, _keywords(function))}
    for _ in functions:  # what uses them, and what uses that
        shared |= {function.name for function in functions if shared & {argument.arg for argument in function.args.args}}
    return frozenset(shared)


def _functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]


def _keywords(function: ast.FunctionDef) -> list[ast.keyword]:
    return [keyword for one in function.decorator_list if isinstance(one, ast.Call) for keyword in one.keywords]


class Schedule(LoadScopeScheduling):
    """Hands the pieces out in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        alone = "/integration/" in file and test.partition("[")[0] not in together(file)
        return nodeid if alone else file

    def _reschedule(self, node: WorkerController) -> None:
        """A worker begins a test when it knows the one after it, so more is handed out with one to go, and not sooner."""
        if not self.workqueue or self._pending_of(self.assigned_work[node]) <= 1:
            super()._reschedule(node)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Schedule:
    config.option.loadscopereorder = False
    return Schedule(config, log)
