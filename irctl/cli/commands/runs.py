"""irctl runs: the runs there were, or one of them."""

from __future__ import annotations

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.cli import options, render
from irctl.cli.base import Command, remind, settings_of, wants_json
from irctl.record import runs


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [folder.run for folder in runs.listed(settings_of(ctx).home_path) if folder.run.startswith(incomplete)]


def _number(text: str) -> int:
    number = values.whole(text)
    if not 1 <= number <= 10_000:
        raise ValueError("at least 1 and at most 10000")
    return number


@click.command(cls=Command, name="runs", epilog="Example: irctl runs --last 5")
@click.argument("run", required=False, shell_complete=complete_run)
@click.option(
    "--last",
    type=options.Value("NUMBER", _number),
    default="20",
    help="List at most this many, 1 to 10000, newest first. Default: 20.",
)
@click.pass_context
def command(ctx: click.Context, run: str | None, last: int) -> None:
    """List the runs, newest first, or show RUN (its id, or the start or last six characters of it)."""
    home = settings_of(ctx).home_path
    remind(home)
    if run is not None:
        render.one_run(runs.find(home, run), as_json=wants_json(ctx))
    else:
        render.runs(runs.listed(home)[:last], as_json=wants_json(ctx))
