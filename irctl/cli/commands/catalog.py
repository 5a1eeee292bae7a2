"""irctl catalog: what there is, or all about one."""

from __future__ import annotations

import click

from irctl.catalog import catalog
from irctl.cli import completions
from irctl.cli.base import Command, settings_of, wants_json
from irctl.cli.views import catalog as view


@click.command(cls=Command, name="catalog", epilog="Example: irctl catalog db-connections")
@click.argument("name", required=False, shell_complete=completions.remediations)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """List what can be mended and looked at, or tell all about the remediation NAME."""
    contents = settings_of(ctx).contents
    if name:
        view.show_entry(catalog.load(name, contents), as_json=wants_json(ctx))
        return
    remediations = [catalog.load(known, contents) for known in catalog.names(contents)]
    diagnoses = [catalog.load(known, contents, diagnosis=True) for known in catalog.names(contents, diagnoses=True)]
    view.show(remediations, diagnoses, as_json=wants_json(ctx))
