"""irctl resume: changes are allowed again."""

from __future__ import annotations

import click

from irctl.cli import render
from irctl.cli.base import Command, settings_of, wants_json
from irctl.leases import stops


@click.command(cls=Command, name="resume", epilog="Example: irctl resume")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Allow changes again, after `irctl stop`."""
    settings = settings_of(ctx)
    sentence = "changes are allowed again" if stops.resume(settings.home_path, settings.operator) else "changes were not stopped"
    render.sentence(sentence, {"schema": "irctl/stop/1", "stopped": None}, as_json=wants_json(ctx))
