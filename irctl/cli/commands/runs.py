"""irctl runs: the runs there were, or one of them."""

from __future__ import annotations

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.cli import completions
from irctl.cli.base import Command, remind, settings_of, wants_json
from irctl.cli.option_types import Value
from irctl.cli.views import runs as view
from irctl.record import runs


def _number(text: str) -> int:
    number = values.whole(text)
    if not 1 <= number <= 10_000:
        raise ValueError("at least 1 and at most 10000")
    return number


@click.command(cls=Command, name="runs", epilog="Example: irctl runs --last 5")
@click.argument("run", required=False, shell_complete=completions.runs)
@click.option(
    "--last",
    type=Value("NUMBER", _number),
    default="20",
    help="List at most this many, 1 to 10000, newest first. Default: 20.",
)
@click.pass_context
def command(ctx: click.Context, run: str | None, last: int) -> None:
    """List the runs, newest first, or show RUN (its id, or the start or last six characters of it)."""
    home = settings_of(ctx).home_path
    remind(home)
    if run is not None:
        view.show_one(runs.find(home, run), as_json=wants_json(ctx))
    else:
        view.show(runs.listed(home)[:last], as_json=wants_json(ctx))
