"""irctl catalog: what there is, or all about one."""

from __future__ import annotations

import click

from irctl.catalog import catalog
from irctl.cli import render
from irctl.cli.base import Command, settings_of, wants_json


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in catalog.names(settings_of(ctx).contents) if name.startswith(incomplete)]


@click.command(cls=Command, name="catalog", epilog="Example: irctl catalog db-connections")
@click.argument("name", required=False, shell_complete=_complete)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """List what can be mended and looked at, or tell all about the remediation NAME."""
    contents = settings_of(ctx).contents
    if name:
        render.about(catalog.load(name, contents), as_json=wants_json(ctx))
        return
    found = [catalog.load(known, contents) for known in catalog.names(contents)]
    looks = [catalog.load(known, contents, diagnosis=True) for known in catalog.names(contents, diagnoses=True)]
    render.catalog(found, looks, as_json=wants_json(ctx))
