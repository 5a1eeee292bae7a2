"""What would run: the plan, its hash, and what the dry run found."""

from __future__ import annotations

import json

import click

from irctl.cli import render
from irctl.cli.views import run
from irctl.orders.order import Order, Outcome, envelope


def show(order: Order, outcome: Outcome, *, as_json: bool) -> None:
    """Print the plan of a dry run and its result."""
    if as_json:
        result = envelope(order, outcome)
        render.as_object({**outcome.plan, "plan_hash": outcome.plan_hash, "check_result": result})
        return
    click.echo(f"plan      {outcome.plan_hash}")
    click.echo(f"content   {outcome.plan['content']}")
    for host, settings in outcome.plan["hosts"].items():
        click.echo(f"{host}")
        render.table(["  " + name, json.dumps(value, ensure_ascii=False)] for name, value in sorted(settings.items()))
    run.show(order, outcome, as_json=False)
