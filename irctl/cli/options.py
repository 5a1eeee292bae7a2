"""From a parameter's spec to a command-line option, and from what was typed back to Ansible's variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from irctl.catalog import kinds, parameters
from irctl.catalog.definition import Option
from irctl.cli import completions, list_files
from irctl.cli.option_types import Choice, Value


def click_option(option: Option) -> click.Option:
    """Make the click option for one parameter of a remediation. What is required may stand in the inventory instead."""
    if option.type == "bool":
        return click.Option([f"{option.flag}/{option.negation}"], default=None, help=_help(option))
    return click.Option(
        [option.flag],
        type=_type(option),
        multiple=option.type == "list",
        default=None,
        help=_help(option),
        metavar=_metavar(option),
        shell_complete=completions.list_files if option.type == "list" else None,
    )


def _type(option: Option) -> click.ParamType[Any]:
    if option.choices and option.type != "list":
        return Choice(option.choices)

    def check(text: str) -> Any:
        return parameters.check(option, text)

    return Value(_metavar(option), list_files.reader(check, _entries(option)) if option.type == "list" else check)


def _entries(option: Option) -> list_files.Entries | None:
    """What says which values one text names, where the option's kind has such a function."""
    return getattr(kinds.load(option.content, option.kind), "entries", None) if option.kind else None


def _metavar(option: Option) -> str:
    if option.kind:
        return str(kinds.load(option.content, option.kind).METAVAR)
    if option.choices and option.type != "list":
        return f"[{'|'.join(option.choices)}]"
    return {"int": "NUMBER"}.get(option.type, "TEXT")


def _help(option: Option) -> str:
    lines = [option.description, *(["Required, here or in the inventory."] if option.required else [])]
    if option.type == "list":
        lines.append("Repeat it for more, or give @FILE with one a line.")
    if option.type == "bool":
        lines.append(f"Default: {option.flag if option.default else option.negation}.")
    elif option.default not in (None, [], ""):
        default = option.default if isinstance(option.default, list) else [option.default]
        lines.append(f"Default: {', '.join(map(str, default))}.")
    if option.type != "bool" and (text := option.typed_example):
        lines.append(f"Example: {text}")
    return " ".join(lines)


def variables_of(ctx: click.Context, names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller typed, by Ansible variable: only that goes to Ansible. `names` maps click's names to variables."""
    variables = {}
    for name, variable in names.items():
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            value = values[name]
            variables[variable] = [item for group in value for item in group] if isinstance(value, tuple) else value
    return variables
