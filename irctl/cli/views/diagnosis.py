"""The findings of a diagnosis, each in plain words with the command to run next."""

from __future__ import annotations

import click

from irctl.cli import render
from irctl.orders.order import Order, Outcome, envelope
from irctl.running.results import Host


def show(order: Order, outcome: Outcome, *, as_json: bool) -> None:
    """Print what was found on each host."""
    if as_json:
        render.as_object({**envelope(order, outcome), "schema": "irctl/diagnosis/1"})
        return
    for name, host in outcome.hosts.items():
        click.echo(f"{name}  {_headline(host)}")
        for finding in host.findings:
            mark = {"problem": click.style("!", fg="red"), "notice": click.style("·", fg="yellow")}.get(finding["level"], " ")
            click.echo(f"  {mark} {finding['says']}")
            if finding.get("next"):
                click.echo(f"      next: {finding['next'].replace('{host}', name)}")
    click.echo(f"{outcome.seconds:.1f} s · record: {outcome.folder} (sealed)")


def _headline(host: Host) -> str:
    return click.style(host.reason, bold=True) if host.findings else f"{render.outcome(host.outcome)}  {host.reason}"
