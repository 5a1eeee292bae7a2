"""Lines of progress: each reason is left to the result, and long lists of hosts are short."""

from __future__ import annotations

from irctl.catalog import catalog
from irctl.catalog.content import OURS
from irctl.cli import render
from irctl.cli.progress import Lines
from irctl.orders.order import Order
from irctl.running.results import Step


def lines_of(*notices: tuple[str, object], hosts: tuple[str, ...] = ("a",)) -> list[str]:
    """What is printed for these notices of a run on these hosts."""
    printed: list[str] = []
    lines = Lines(Order(catalog.load("db-connections", [OURS]), hosts, {}), printed.append, lambda phase: None)
    for kind, value in [("hosts", list(hosts)), *notices]:
        lines(kind, value)
    return printed


def test_why_a_host_stopped_is_left_to_the_result() -> None:
    failed = Step("Guard", "a", True, 0.2, "failed", "12 sessions match and the limit is 1.")
    report = Step("Report", "a", True, 0.1, "failed", "12 sessions match and the limit is 1.")
    printed = lines_of(("step", failed), ("step", report))
    assert len(printed) == 2
    assert "a: stopped" in printed[1]
    assert not any("12 sessions" in line for line in printed)
    assert "a: unreachable" in lines_of(("step", Step("Gather", "a", True, 0.2, "unreachable", "no route")))[1]


def test_many_hosts_are_named_in_short() -> None:
    hosts = tuple(f"h{number}" for number in range(30))
    assert "h0, h1, h2, h3, h4 +25 more (30 hosts)" in lines_of(hosts=hosts)[0]
    assert render.names(hosts[:5]) == "h0, h1, h2, h3, h4"
    assert render.names([]) == ""
