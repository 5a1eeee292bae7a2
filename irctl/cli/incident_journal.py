"""Writing an entry into an incident's journal, and saying so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from irctl.cli.base import settings_of, wants_json
from irctl.incidents import incidents


def record(ctx: click.Context, incident: str, message: str, entry: dict[str, Any]) -> None:
    """Write an entry by the operator, then tell `message` of the incident. Raises IrctlError."""
    settings = settings_of(ctx)
    incidents.record(settings.home_path, incident, {**entry, "by": settings.operator})
    tell(ctx, incident, message)


def tell(ctx: click.Context, incident: str, message: str) -> None:
    """Print '<incident> <message>', or with --json the incident as it is now."""
    if not wants_json(ctx):
        click.echo(f"{incident} {message}")
        return
    from irctl.cli import render
    from irctl.incidents import reports

    home = settings_of(ctx).home_path
    render.as_object(reports.document(home, incidents.state(home, incident), datetime.now(UTC)))
