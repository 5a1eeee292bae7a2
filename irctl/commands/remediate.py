"""irctl remediate NAME: each remediation of the catalogue as a command, made from its spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from irctl import catalog, options
from irctl.catalog import Remediation
from irctl.commands import Command, Group, root_of, settings_of, wants_json

if TYPE_CHECKING:
    from irctl.flow import Order, Outcome


def order_options() -> list[click.Parameter]:
    """The options that every order takes, whatever is ordered."""
    return [
        options.host_option(),
        click.Option(["--incident"], type=options.Value("ID", options.incident), metavar="ID", envvar="IRCTL_INCIDENT",
                     help="The incident that this belongs to. Example: --incident INC-2026-1121-001"),
        click.Option(["--timeout"], type=options.Value("DURATION", options.timeout), default="10m", metavar="DURATION",
                     help="Stop, and call it indeterminate, after this long. Default: 10m."),
    ]  # fmt: skip


def carry_out(ctx: click.Context, order: Order) -> Outcome:
    """Say what earlier commands left behind, then carry out the order with progress on standard error."""
    from irctl import flow
    from irctl.progress import progress

    settings = settings_of(ctx)
    for sentence in flow.close_killed(settings.home_path):
        click.echo(f"warning: {sentence}", err=True)
    with progress(order, quiet=wants_json(ctx)) as show:
        return flow.carry_out(order, settings, show)


def order_of(ctx: click.Context, found: Remediation, given: dict[str, Any], *, check: bool) -> Order:
    from irctl.flow import Order

    variables = {name_of(option.flag): option.variable for option in found.typed}
    return Order(
        found=found,
        names=tuple(dict.fromkeys(given["hosts"])),
        given=options.typed(ctx, variables, given),
        check=check,
        incident=given["incident"] or "",
        timeout=given["timeout"],
        verbosity=root_of(ctx).get("verbose", 0),
    )


def name_of(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _run(found: Remediation, **given: Any) -> int:
    from irctl import render

    ctx = click.get_current_context()
    order = order_of(ctx, found, given, check=given["check"])
    done = carry_out(ctx, order)
    render.run(order, done, as_json=wants_json(ctx))
    return done.exit_code


class Remediations(Group):
    """The names of the catalogue; only the one that is asked for is read."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(catalog.names(settings_of(ctx).contents))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        found = catalog.load(cmd_name, settings_of(ctx).contents)
        check = click.Option(["--check"], is_flag=True, help="Change nothing; say what would be changed.")
        return Command(
            name=found.name,
            callback=lambda **given: _run(found, **given),
            help=f"{found.summary}.\n\n" + "\n\n".join(found.description),
            short_help=found.summary,
            epilog=f"Example: irctl remediate {found.name} {found.about.get('example', '--host prod')}",
            params=[*order_options(), check, *(options.click_option(option) for option in found.typed)],
        )


command = Remediations(
    name="remediate",
    help="Mend something: look, guard, capture, change, verify, report.",
    epilog="Example: irctl remediate db-connections --host prod --check",
    subcommand_metavar="NAME [OPTIONS]",
)
