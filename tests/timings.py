"""What each area of the tests took, printed at the end: the seconds of its tests, and the processor time of all that they ran.

IRCTL_TEST_TIMINGS names a file for the same numbers of each test, to compare two states of the tree.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Cost:
    """Of a test or an area."""

    tests: int = 0
    seconds: float = 0.0
    processor: float = 0.0

    def add(self, report: pytest.TestReport) -> None:
        self.tests += report.when == "call"
        self.seconds += report.duration
        self.processor += getattr(report, "processor", 0.0)


def area(nodeid: str) -> str:
    """`leases` for what lies in tests/unit/leases and in tests/integration/leases; the file's name outside of the rooms."""
    kind, *rest = Path(nodeid.partition("::")[0]).parts[1:]
    if kind not in ("unit", "integration"):
        return kind
    return rest[0].removeprefix("test_").removesuffix(".py")


class Timings:
    """Notes the processor time of each phase where the test runs, and adds them up where the reports come together."""

    def __init__(self) -> None:
        self._before = processor()
        self._costs: defaultdict[str, Cost] = defaultdict(Cost)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[None]:
        report: Any = yield
        now = processor()
        report.processor, self._before = now - self._before, now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._costs[report.nodeid].add(report)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        areas: defaultdict[str, Cost] = defaultdict(Cost)
        for nodeid, cost in self._costs.items():
            for name in (area(nodeid), "all"):
                areas[name].tests += cost.tests
                areas[name].seconds += cost.seconds
                areas[name].processor += cost.processor
        terminalreporter.section("seconds of each area")
        terminalreporter.write_line(f"{'area':<14}{'tests':>7}{'seconds':>9}{'processor':>11}")
        for name, cost in sorted(areas.items(), key=lambda pair: -pair[1].seconds):
            terminalreporter.write_line(f"{name:<14}{cost.tests:>7}{cost.seconds:>9.1f}{cost.processor:>11.1f}")
        if path := os.environ.get("IRCTL_TEST_TIMINGS"):
            Path(path).write_text(json.dumps({nodeid: asdict(cost) for nodeid, cost in self._costs.items()}, indent=1))


_elsewhere = 0.0


def add(seconds: float) -> None:
    """Processor time of a process that this one started by way of another."""
    global _elsewhere
    _elsewhere += seconds


def processor() -> float:
    """Of this process and all that it waited for."""
    return sum(os.times()[:4]) + _elsewhere


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Timings(), "irctl-timings")
