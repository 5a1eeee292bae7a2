"""irctl stop REASON: every change refuses from now on."""

from __future__ import annotations

import click

from irctl.cli import options, render
from irctl.cli.base import Command, settings_of, wants_json
from irctl.leases import stops


def reason(text: str) -> str:
    """Check a reason that people will read. Raises ValueError."""
    if not text.strip() or len(text) > 500 or not text.isprintable():
        raise ValueError("1 to 500 printable characters are needed")
    return text.strip()


@click.command(cls=Command, name="stop", epilog="Example: irctl stop 'the storage is being moved'")
@click.argument("reason", type=options.Value("REASON", reason))
@click.pass_context
def command(ctx: click.Context, reason: str) -> None:
    """Refuse every change from now on, with this REASON, until `irctl resume`. Looking goes on, and leases still end."""
    settings = settings_of(ctx)
    new = stops.stop(settings.home_path, reason, settings.operator)
    said = "every change is stopped; to allow them again: irctl resume" if new else "changes were stopped before"
    render.said(said, {"schema": "irctl/stop/1", "stopped": stops.reason(settings.home_path)}, as_json=wants_json(ctx))
