"""The incident that a command is about: as its argument, its option, its variable, or, confirmed, the one that is open."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from irctl.cli.base import settings_of
from irctl.errors import Invalid, invalid
from irctl.incidents import incidents

_OPTION = "irctl.incident"


def complete_id(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The incidents whose id begins so."""
    return [incident for incident in incidents.listed(settings_of(ctx).home_path) if incident.startswith(incomplete)]


def chosen(ctx: click.Context, given: str | None) -> str:
    """The id of the incident that is meant: as given, by IRCTL_INCIDENT, or, confirmed on a terminal, the one that is open.

    Raises Invalid.
    """
    home = settings_of(ctx).home_path
    names = [("ID", given), ("--incident", ctx.meta.get(_OPTION)), ("IRCTL_INCIDENT", os.environ.get("IRCTL_INCIDENT") or None)]
    for option, name in names:
        if name is not None:
            return incidents.find(home, name, option)
    found = incidents.opened(home)
    if len(found) == 1 and sys.stdin.isatty():
        question = f"{found[0].incident} ({found[0].severity}, {found[0].title}) is open. Is it meant?"
        if click.confirm(question, default=False, err=True):
            return found[0].incident
    are = ", ".join(f"{one.incident} ({one.title[:60]})" for one in found[:5])
    open_now = f"open {'are' if len(found) > 1 else 'is'} {are}" if found else "none is open"
    raise Invalid(f"ID: it must be given, or IRCTL_INCIDENT set; {open_now}")


def split(ctx: click.Context, words: tuple[str, ...], name: str) -> tuple[str, str]:
    """[ID] TEXT as the id of an incident and the text. Raises Invalid."""
    if not words or (len(words) == 1 and incidents.ID.fullmatch(words[0])):
        raise Invalid(f"{name}: it must be given")
    if len(words) > 2:
        raise invalid(name, "one text is needed; put quotes around it", " ".join(words[1:]))
    return chosen(ctx, words[0] if len(words) == 2 else None), words[-1]


def one_incident(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument ID and the option --incident: what `chosen` needs."""
    argument = click.argument("incident", metavar="[ID]", required=False, shell_complete=complete_id)
    return argument(_option(function))


def _option(function: Callable[..., Any]) -> Callable[..., Any]:
    said = "The incident, where no ID is given. Example: --incident INC-2026-1121-001"
    about: dict[str, Any] = {"shell_complete": complete_id, "callback": _remember, "help": said}
    return click.option("--incident", "named", metavar="ID", expose_value=False, **about)(function)


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    ctx.meta[_OPTION] = value


def words_after_id(name: str, complete: Callable[..., list[str]] = complete_id) -> Callable[..., Any]:
    """Add the arguments [ID] NAME and the option --incident."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        return click.argument("words", metavar=f"[ID] {name}", nargs=-1, shell_complete=complete)(_option(function))

    return add
