"""Lines of progress: each reason is left to the result, and long lists of hosts are short."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils.values import short_list
from irctl.catalog import catalog
from irctl.catalog.content import OURS
from irctl.cli.progress import Lines
from irctl.orders.order import Order
from irctl.running.results import Step


def lines_of(*notices: tuple[str, object], hosts: tuple[str, ...] = ("a",)) -> list[str]:
    """What is printed for these notices of a run on these hosts."""
    printed: list[str] = []
    lines = Lines(Order(catalog.load("db-connections", [OURS]), hosts, {}), printed.append, lambda phase: None)
    for kind, value in [("hosts", list(hosts)), *notices]:
        lines(kind, value)
    lines.finish()
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
    assert short_list(hosts[:5]) == "h0, h1, h2, h3, h4"
    assert short_list([]) == ""


def test_a_phase_of_several_tasks_is_a_line_again_only_where_there_is_something_to_tell() -> None:
    ok, good = ("ok", "All assertions passed"), "lab: ok"
    first, again, slow, silent, other = (
        ("step", Step("Guard", "lab", True, 0.1, *ok)),
        ("step", Step("Guard", "lab", True, 0.1, *ok)),
        ("step", Step("Guard", "lab", True, 4.0, *ok)),
        ("step", Step("Guard", "lab", True, 0.1, "ok", "")),
        ("step", Step("Guard", "b", True, 0.1, *ok)),
    )
    told = ("step", Step("Guard", "lab", True, 0.1, "ok", "12 sessions match"))
    printed = lines_of(first, again, silent, other, slow, told, ("step", Step("Guard", "lab", True, 0.1, "failed", "no")))
    assert [line.split("s  ", 1)[1] for line in printed[1:]] == [good, "b: ok", good, "lab: 12 sessions match", "lab: stopped"]


def phase(name: str, **statuses: str) -> list[tuple[str, object]]:
    """The notices of a phase that begins and ends so on each of these hosts."""
    return [("step", Step(name)), *(("step", Step(name, host, True, 0.1, status, "why")) for host, status in statuses.items())]


def test_a_phase_of_many_hosts_is_one_line_with_those_that_go_no_further() -> None:
    hosts = tuple(f"h{number:02}" for number in range(30))
    gathered = dict.fromkeys(hosts, "ok") | {"h03": "unreachable"}
    guarded = {host: "ok" for host in hosts if host != "h03"} | dict.fromkeys(hosts[10:20], "failed")
    again = {host: "ok" for host, status in guarded.items() if status == "ok"}
    before = [*phase("Gather", **gathered), *phase("Guard", **guarded), *phase("Guard", **again)]
    printed = lines_of(*before, *phase("Change", **again), *phase("Report", h00="ok"), hosts=hosts)
    assert [line.split("s  ", 1)[1] for line in printed[1:]] == [
        "29 hosts · unreachable: h03",
        "19 hosts · stopped: h10, h11, h12, h13, h14 +5 more",
        "19 hosts",
    ]
    assert not any("why" in line for line in printed), "the result says the reason, once"
