"""The result of a run, as whoever ordered it reads it."""

from __future__ import annotations

import pytest

from irctl.catalog import catalog
from irctl.catalog.content import OURS
from irctl.cli.views import run
from irctl.orders.order import Order, Outcome
from irctl.running.results import Host

Output = pytest.CaptureFixture[str]
WHY = "12 sessions match and the limit is 1."


def shown(capsys: Output, hosts: dict[str, Host], *, quiet: bool = False, outcome: str = "partial") -> list[str]:
    order = Order(catalog.load("db-connections", [OURS]), ("prod",), {})
    run.show(order, Outcome(outcome, 3, hosts, run="RUN", folder="/X"), as_json=False, quiet=quiet)
    return capsys.readouterr().out.splitlines()


def test_of_many_hosts_those_with_the_same_result_share_a_line(capsys: Output) -> None:
    hosts = {f"h{number:02}": Host("refused", reason=WHY) for number in range(29)} | {"zz": Host("changed", True, "2 ended")}
    lines = shown(capsys, hosts)
    assert lines[0].split() == ["h00,", "h01,", "h02,", "h03,", "h04", "+24", "more", "refused", *WHY.split()]
    assert lines[1].split() == ["zz", "changed", "2", "ended"]
    assert lines[2] == "each host: irctl runs RUN"
    assert sum(WHY in line for line in lines) == 1


def test_of_a_few_hosts_each_has_its_line(capsys: Output) -> None:
    lines = shown(capsys, {f"h{number}": Host("refused", reason=WHY) for number in range(run.FEW)})
    assert [line.split()[0] for line in lines[: run.FEW]] == [f"h{number}" for number in range(run.FEW)]
    assert not any(line.startswith("each host") for line in lines)


def test_quiet_leaves_out_what_succeeded(capsys: Output) -> None:
    hosts = {"good": Host("changed", True, "2 ended"), "bad": Host("refused", reason=WHY)}
    assert [line.split()[0] for line in shown(capsys, hosts, quiet=True)] == ["bad", "0.0"]
    assert shown(capsys, {"good": hosts["good"]}, quiet=True, outcome="changed") == []
