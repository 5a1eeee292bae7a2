"""Groups of commands that are made from the catalogue; only the role that is asked for is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from irctl.catalog import catalog
from irctl.catalog.catalog import Remediation
from irctl.cli import options, order_options
from irctl.cli.base import Command, Group, settings_of


class Remediations(Group):
    """A command for each remediation. `run` takes the remediation and the values of its options; it returns the exit code."""

    def __init__(self, name: str, run: Callable[..., int], *, epilog: str, **kwargs: Any) -> None:
        super().__init__(name=name, epilog=epilog, subcommand_metavar="NAME [OPTIONS]", **kwargs)
        self._run = run

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(catalog.names(settings_of(ctx).contents))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        remediation = catalog.load(cmd_name, settings_of(ctx).contents)
        return Command(
            name=remediation.name,
            callback=lambda **values: self._run(remediation, **values),
            help=self.text(remediation),
            short_help=remediation.summary,
            epilog=f"Example: irctl {self.name} {remediation.name} {remediation.about.get('example', '--host prod')}",
            params=[
                *order_options.target_options(),
                *self.further_options(remediation),
                *order_options.lease_options(remediation),
                *map(options.click_option, remediation.typed),
            ],
        )

    def text(self, remediation: Remediation) -> str:
        """The help of a remediation's command, without its options."""
        return f"{remediation.summary}.\n\n" + "\n\n".join(remediation.description)

    def further_options(self, remediation: Remediation) -> list[click.Parameter]:
        """The options of each command beside its targets, --for and the remediation's own."""
        return []
