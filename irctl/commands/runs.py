"""irctl runs: the runs there were, or one of them."""

from __future__ import annotations

import click

from irctl import flow, render, runs
from irctl.commands import Command, settings_of, wants_json


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [folder.run for folder in runs.listed(settings_of(ctx).home_path) if folder.run.startswith(incomplete)]


@click.command(cls=Command, name="runs", epilog="Example: irctl runs --last 5")
@click.argument("run", required=False, shell_complete=_complete)
@click.option("--last", type=click.IntRange(1, 10000), default=20, help="List at most this many, newest first. Default: 20.")
@click.pass_context
def command(ctx: click.Context, run: str | None, last: int) -> None:
    """List the runs, newest first, or show RUN (its id, or the start or last six characters of it)."""
    home = settings_of(ctx).home_path
    for sentence in flow.close_killed(home):
        click.echo(f"warning: {sentence}", err=True)
    if run:
        render.one_run(runs.find(home, run), as_json=wants_json(ctx))
    else:
        render.runs(runs.listed(home)[:last], as_json=wants_json(ctx))
