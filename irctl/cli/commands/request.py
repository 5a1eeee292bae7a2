"""irctl request NAME: plan it, and ask for the approvals that it needs."""

from __future__ import annotations

from typing import Any

import click

from irctl.catalog import catalog
from irctl.catalog.catalog import Remediation
from irctl.cli import options
from irctl.cli.base import Command, settings_of, wants_json
from irctl.cli.commands.plan import GOOD, asked, request_options, require_requester
from irctl.cli.commands.remediate import Remediations, carry_out, lease_option, order_of, order_options


def _request(found: Remediation, **given: Any) -> int:
    from irctl.approvals import request
    from irctl.cli import render

    ctx = click.get_current_context()
    require_requester(ctx, found)
    order = order_of(ctx, found, given, check=True)
    done = carry_out(ctx, order)
    if done.outcome not in GOOD:
        render.plan(order, done, as_json=wants_json(ctx))
        click.echo(f"warning: nothing was requested: the dry run ended as {done.outcome}", err=True)
        return done.exit_code
    made = asked(ctx, order, done, given)
    request.register(settings_of(ctx), made)
    if wants_json(ctx):
        render.as_object(made.document)
        return 0
    render.plan(order, done, as_json=False)
    needs = made.document["needs"]
    click.echo(f"request   {made.id}\nexpires   {made.document['expires']}\nwaits for {' and '.join(needs) or 'nobody'}")
    for role in needs:
        click.echo(f"          irctl approve {made.id[:12]} --as {role}")
    return 0


class Requests(Remediations):
    """The same names as `remediate`, each only asked for."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        found = catalog.load(cmd_name, settings_of(ctx).contents)
        more = [*request_options(), *lease_option(found), *(options.click_option(option) for option in found.typed)]
        return Command(
            name=found.name,
            callback=lambda **given: _request(found, **given),
            help=f"Ask for: {found.summary}. Resolves the targets and does a dry run; changes nothing.",
            short_help=found.summary,
            epilog=f"Example: irctl request {found.name} {found.about.get('example', '--host prod')}",
            params=[*order_options(), *more],
        )


command = Requests(
    name="request",
    help="Ask for the approvals that a remediation needs: `irctl approvals` shows them to everybody with the same home.",
    epilog="Example: irctl request db-connections --host prod --idle-for 30m",
    subcommand_metavar="NAME [OPTIONS]",
)
