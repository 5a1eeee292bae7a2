"""irctl diagnose NAME: look, say what was found in plain words, and which command to run next."""

from __future__ import annotations

from typing import Any

import click

from irctl.catalog import catalog
from irctl.catalog.catalog import Remediation
from irctl.cli import options
from irctl.cli.base import Command, Group, settings_of, wants_json
from irctl.cli.commands.remediate import carry_out, order_of, order_options


def _diagnose(found: Remediation, **given: Any) -> int:
    from irctl.cli import render

    ctx = click.get_current_context()
    order = order_of(ctx, found, given, check=False)
    done = carry_out(ctx, order)
    render.diagnosis(order, done, as_json=wants_json(ctx))
    return done.exit_code


class Diagnoses(Group):
    """The diagnoses of the catalogue; only the one that is asked for is read."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(catalog.names(settings_of(ctx).contents, diagnoses=True))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        found = catalog.load(cmd_name, settings_of(ctx).contents, diagnosis=True)
        return Command(
            name=found.name,
            callback=lambda **given: _diagnose(found, **given),
            help=f"{found.summary}.\n\n" + "\n\n".join(found.description),
            short_help=found.summary,
            epilog=f"Example: irctl diagnose {found.name} --host prod",
            params=[*order_options(), *(options.click_option(option) for option in found.typed)],
        )


command = Diagnoses(
    name="diagnose",
    help="Look at something, and say what to do next. Changes nothing.",
    epilog="Example: irctl diagnose postgres --host prod",
    subcommand_metavar="NAME [OPTIONS]",
)
