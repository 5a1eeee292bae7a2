"""The result of a run, for whoever ordered it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import short_list
from irctl.cli import render
from irctl.cli.views import affected
from irctl.orders.order import SUCCEEDED, Order, Outcome, envelope
from irctl.running.results import Host

FEW = 10  # hosts that get a line each; above it those with the same outcome and reason share one


def show(order: Order, outcome: Outcome, *, as_json: bool, quiet: bool = False) -> None:
    """Print a line for each host, then how long it took, where the record is, and whether it can be undone.

    With `quiet` only of what did not succeed.
    """
    if as_json:
        render.as_object(envelope(order, outcome))
        return
    if quiet and outcome.succeeded:
        return
    hosts = {name: host for name, host in outcome.hosts.items() if not (quiet and host.outcome in SUCCEEDED)}
    render.table(_rows(hosts, check=order.check))
    if len(hosts) > FEW:
        click.echo(f"each host: irctl runs {outcome.run}")
    if order.check:
        exactly = {name: host.affected for name, host in outcome.hosts.items() if host.affected}
        click.echo("".join(f"{line}\n" for line in affected.lines(exactly, outcome.folder)), nl=False)
    metadata = order.remediation.about
    final = order.entry_point == "main" and not order.check and not metadata.get("reversible", True)
    undo = " · cannot be undone" if final and outcome.outcome in ("changed", "partial") else ""
    click.echo(f"{outcome.seconds:.1f} s · record: {outcome.folder} (sealed){undo}")
    if outcome.outcome == "indeterminate" and (diagnosis := metadata.get("diagnose")):
        click.echo(f"Its hosts may have been changed. Look: irctl diagnose {diagnosis} --host {order.names[0]}")


def _rows(hosts: Mapping[str, Host], *, check: bool) -> Iterator[list[str]]:
    groups: dict[tuple[str, str, str], list[str]] = {}
    for name, host in hosts.items():
        groups.setdefault((host.outcome, host.reason, "" if len(hosts) > FEW else name), []).append(name)
    for (outcome, reason, _name), names in groups.items():
        yield [short_list(names), render.outcome(outcome, check=check), reason]
