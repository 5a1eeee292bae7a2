"""Which incident a command means: its argument, --incident, IRCTL_INCIDENT or, confirmed on a terminal, the one that is open."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from irctl.cli import completions
from irctl.cli.base import settings_of
from irctl.errors import Invalid, invalid
from irctl.incidents import incidents

_OPTION = "irctl.incident"  # where click's context keeps the value of --incident


def incident_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument ID and the option --incident, for `chosen_id`."""
    argument = click.argument("incident", metavar="[ID]", required=False, shell_complete=completions.incidents)
    return argument(_incident_option(function))


def id_and_text_arguments(name: str, complete: Callable[..., list[str]] = completions.incidents) -> Callable[..., Any]:
    """Add the arguments [ID] NAME and the option --incident, for `chosen_id_and_text`."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        argument = click.argument("words", metavar=f"[ID] {name}", nargs=-1, shell_complete=complete)
        return argument(_incident_option(function))

    return add


def _incident_option(function: Callable[..., Any]) -> Callable[..., Any]:
    sentence = "The incident, where no ID is given. Example: --incident INC-2026-1121-001"
    return click.option("--incident", "named", metavar="ID", expose_value=False, shell_complete=completions.incidents,
                        callback=_remember, help=sentence)(function)  # fmt: skip


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    ctx.meta[_OPTION] = value


def chosen_id(ctx: click.Context, argument: str | None, *, only_looking: bool = False) -> str:
    """The id of the incident that is meant. Raises Invalid where none is, or where no incident has that id.

    `last` is taken where the command is only looking.
    """
    home, variable = settings_of(ctx).home_path, os.environ.get("IRCTL_INCIDENT") or None
    for option, name in [("ID", argument), ("--incident", ctx.meta.get(_OPTION)), ("IRCTL_INCIDENT", variable)]:
        if name == incidents.LAST and only_looking:
            return incidents.newest(home, option)
        if name is not None:
            return incidents.find(home, name, option)
    open_now = incidents.opened(home)
    if len(open_now) == 1 and sys.stdin.isatty():
        question = f"{open_now[0].incident} ({open_now[0].severity}, {open_now[0].title}) is open. Is it meant?"
        if click.confirm(question, default=False, err=True):
            return open_now[0].incident
    names = ", ".join(f"{state.incident} ({state.title[:60]})" for state in open_now[:5])
    open_ones = f"open {'are' if len(open_now) > 1 else 'is'} {names}" if open_now else "none is open"
    raise Invalid(f"ID: it must be given, or IRCTL_INCIDENT set; {open_ones}")


def chosen_id_and_text(ctx: click.Context, words: tuple[str, ...], name: str) -> tuple[str, str]:
    """The incident and the text of `[ID] TEXT`; `name` is what the help calls the text. Raises Invalid."""
    if not words or (len(words) == 1 and incidents.PART_OF_ID.fullmatch(words[0])):
        raise Invalid(f"{name}: it must be given")
    if len(words) > 2:
        raise invalid(name, "one text is needed; put quotes around it", " ".join(words[1:]))
    return chosen_id(ctx, words[0] if len(words) == 2 else None), words[-1]
