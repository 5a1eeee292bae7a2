"""Commands that are made from the catalogue; only the role that is asked for is read."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import click

from irctl.catalog import catalog
from irctl.catalog.catalog import Remediation
from irctl.cli import options, order_options
from irctl.cli.base import Command, Group, settings_of
from irctl.errors import invalid

TRUTHS = ("yes", "no", "true", "false", "on", "off", "1", "0")


class RoleCommand(Command):
    """A command whose options come from a role. It takes no arguments, so a word after a flag is a mistake that is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = [param for param in self.params if isinstance(param, click.Option) and param.is_flag]
        flags = {flag: " or ".join([*option.opts, *option.secondary_opts]) for option in options for flag in option.opts}
        for word, following in itertools.pairwise([*args, ""]):
            flag, _, value = word.partition("=") if "=" in word else (word, "", following)
            if flag in flags and value.lower() in TRUTHS:
                raise invalid(flag, f"it takes no value; say {flags[flag]}", value)
        return super().parse_args(ctx, args)


class Remediations(Group):
    """A command for each remediation. `run` takes the remediation and the values of its options; it returns the exit code."""

    def __init__(self, name: str, run: Callable[..., int], *, epilog: str, **kwargs: Any) -> None:
        super().__init__(name=name, epilog=epilog, subcommand_metavar="NAME [OPTIONS]", **kwargs)
        self._run = run

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(catalog.names(settings_of(ctx).contents))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from irctl.catalog import summaries

        entries = summaries.summaries(settings_of(ctx).contents)
        widest = max((len(entry.name) for entry in entries), default=0)
        for theme, group in summaries.by_theme(entries).items():
            with formatter.section(theme):
                for entry in group:  # written as it is: to look for a place to break each line takes long where there are 200
                    formatter.write(f"  {entry.name:<{widest}}  {entry.text}\n")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        remediation = catalog.load(cmd_name, settings_of(ctx).contents)
        return RoleCommand(
            name=remediation.name,
            callback=lambda **values: self._run(remediation, **values),
            help=self.text(remediation),
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
