"""irctl diagnose NAME: look, say what was found in plain words, and which command to run next."""

from __future__ import annotations

from typing import Any

import click

from irctl.catalog import catalog
from irctl.catalog.catalog import Remediation
from irctl.cli import options, order_options
from irctl.cli.base import Group, settings_of, wants_json
from irctl.cli.orders import carry_out, typed_order
from irctl.cli.remediation_groups import RoleCommand


class _Diagnoses(Group):
    """A command for each diagnosis of the catalogue; only the role that is asked for is read."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(catalog.names(settings_of(ctx).contents, diagnoses=True))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from irctl.catalog import summaries

        with formatter.section("Diagnoses"):
            entries = summaries.summaries(settings_of(ctx).contents, diagnoses=True)
            formatter.write_dl([(entry.name, entry.text) for entry in entries])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        diagnosis = catalog.load(cmd_name, settings_of(ctx).contents, diagnosis=True)
        return RoleCommand(
            name=diagnosis.name,
            callback=lambda **values: _diagnose(diagnosis, **values),
            help=f"{diagnosis.summary}.\n\n" + "\n\n".join(diagnosis.description),
            epilog=f"Example: irctl diagnose {diagnosis.name} --host prod",
            params=[*order_options.target_options(), *map(options.click_option, diagnosis.typed)],
        )


def _diagnose(diagnosis: Remediation, **values: Any) -> int:
    from irctl.cli.views import diagnosis as view

    ctx = click.get_current_context()
    order = typed_order(ctx, diagnosis, values, check=False)
    outcome = carry_out(ctx, order)
    view.show(order, outcome, as_json=wants_json(ctx))
    return outcome.exit_code


command = _Diagnoses(
    name="diagnose",
    help="Look at something, and say what to do next. Changes nothing.",
    epilog="Example: irctl diagnose postgres --host prod",
    subcommand_metavar="NAME [OPTIONS]",
)
