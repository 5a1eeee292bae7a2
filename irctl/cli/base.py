"""What all commands share: the global options, the settings in force, and the classes of commands and groups."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from irctl.cli.help_text import HelpText
from irctl.errors import invalid

if TYPE_CHECKING:
    from pathlib import Path

    from irctl.catalog.config import Settings

GLOBALS = ("inventory", "home", "json", "quiet", "verbose")


def root_of(ctx: click.Context) -> dict[str, Any]:
    """The global options given so far, before or after the verb."""
    root = ctx.find_root()
    if not isinstance(root.obj, dict):
        root.obj = {}
    given: dict[str, Any] = root.obj
    return given


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value == "":
        raise invalid(f"--{param.name}", "must not be empty", "")
    if value not in (None, False, 0) and param.name:
        root_of(ctx)[param.name] = value


def global_options() -> list[click.Parameter]:
    """The options that every command takes, before or after the verb."""
    same: dict[str, Any] = {"expose_value": False, "callback": _remember}
    return [
        click.Option(["--inventory"], metavar="PATH", help="The Ansible inventory: a file or folder.", **same),
        click.Option(["--home"], metavar="DIR", help="Where runs and their records lie.", **same),
        click.Option(["--json"], is_flag=True, help="Print exactly one JSON object.", **same),
        click.Option(["-q", "--quiet"], is_flag=True, help="Of a run, print only what needs a look.", **same),
        click.Option(["-v", "--verbose"], count=True, help="Say more; repeat for still more.", **same),
    ]


class Command(HelpText):
    """A command that also takes the global options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()


class Group(HelpText, click.Group):
    """A group that also takes the global options, before its verb."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            if args[0].startswith("-"):
                raise
            raise UnknownCommand(ctx, args[0]) from None


class UnknownCommand(click.UsageError):
    """A group has no command of this name."""

    def __init__(self, ctx: click.Context, word: str) -> None:
        super().__init__("no such command", ctx)
        self.ctx: click.Context = ctx
        self.word = word


def settings_of(ctx: click.Context) -> Settings:
    """The settings in force for this command. Raises Invalid."""
    from irctl.catalog import config

    return config.load(root_of(ctx), os.environ)


def wants_json(ctx: click.Context) -> bool:
    return bool(root_of(ctx).get("json"))


def is_quiet(ctx: click.Context) -> bool:
    return bool(root_of(ctx).get("quiet"))


def remind(home: Path) -> None:
    """Warn on standard error of what earlier commands left behind and somebody has to look after."""
    from irctl.cli import reminders

    for sentence in reminders.reminders(home):
        click.echo(f"warning: {sentence}", err=True)
