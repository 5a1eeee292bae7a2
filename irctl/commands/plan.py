"""irctl plan NAME: what a remediation would do, and the hash that names exactly that."""

from __future__ import annotations

from typing import Any

import click

from irctl import catalog, options
from irctl.catalog import Remediation
from irctl.commands import Command, settings_of, wants_json
from irctl.commands.remediate import Remediations, carry_out, order_of, order_options


def _plan(found: Remediation, **given: Any) -> int:
    from irctl import render

    ctx = click.get_current_context()
    order = order_of(ctx, found, given, check=True)
    done = carry_out(ctx, order)
    render.plan(order, done, as_json=wants_json(ctx))
    return done.exit_code


class Plans(Remediations):
    """The same names as `remediate`, each only planned."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        found = catalog.load(cmd_name, settings_of(ctx).contents)
        return Command(
            name=found.name,
            callback=lambda **given: _plan(found, **given),
            help=f"Plan: {found.summary}. Resolves the targets and does a dry run; changes nothing.",
            short_help=found.summary,
            epilog=f"Example: irctl plan {found.name} {found.about.get('example', '--host prod')}",
            params=[*order_options(), *(options.click_option(option) for option in found.typed)],
        )


command = Plans(
    name="plan",
    help="Show what a remediation would do, and the hash that names the plan.",
    epilog="Example: irctl plan db-connections --host prod --idle-for 30m",
    subcommand_metavar="NAME [OPTIONS]",
)
