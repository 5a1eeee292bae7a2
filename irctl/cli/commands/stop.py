"""irctl stop REASON: every change refuses from now on."""

from __future__ import annotations

import click

from irctl.cli import render
from irctl.cli.base import Command, settings_of, wants_json
from irctl.cli.option_types import Value
from irctl.cli.option_types import reason as checked_reason
from irctl.leases import stops


@click.command(cls=Command, name="stop", epilog="Example: irctl stop 'the storage is being moved'")
@click.argument("reason", type=Value("REASON", checked_reason))
@click.pass_context
def command(ctx: click.Context, reason: str) -> None:
    """Refuse every change from now on, with this REASON, until `irctl resume`. Looking goes on, and leases still end."""
    settings = settings_of(ctx)
    new = stops.stop(settings.home_path, reason, settings.operator)
    sentence = "every change is stopped; to allow them again: irctl resume" if new else "changes were stopped before"
    render.sentence(sentence, {"schema": "irctl/stop/1", "stopped": stops.reason(settings.home_path)}, as_json=wants_json(ctx))
