"""From a parameter's spec to a command-line option, and from what was typed back to Ansible's variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from irctl.catalog import kinds, parameters
from irctl.catalog.definition import Option
from irctl.cli import list_files
from irctl.cli.option_types import Choice, Value


def click_option(option: Option) -> click.Option:
    """Make the click option for one parameter of a remediation."""
    return click.Option(
        [option.flag],
        type=_type(option),
        multiple=option.type == "list",
        default=None,
        required=option.required,
        help=_help(option),
        metavar=_metavar(option),
    )


def _type(option: Option) -> click.ParamType[Any]:
    if option.type == "bool":
        return Value("TEXT", _truth)
    if option.choices and option.type != "list":
        return Choice(option.choices)

    def check(text: str) -> Any:
        return parameters.check(option, text)

    return Value(_metavar(option), list_files.reader(check) if option.type == "list" else check)


_YES, _NO = frozenset(("yes", "true", "on", "1", "y", "t")), frozenset(("no", "false", "off", "0", "n", "f"))


def _truth(text: str) -> bool:
    """Yes or no, in any of the words that click knows for them but the empty one."""
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise ValueError("yes or no is needed")
    return word in _YES


def _metavar(option: Option) -> str:
    if option.kind:
        return str(kinds.load(option.content, option.kind).METAVAR)
    return {"int": "NUMBER"}.get(option.type, "TEXT")


def _help(option: Option) -> str:
    example = option.example[0] if isinstance(option.example, list) else option.example
    lines = [option.description]
    if option.type == "list":
        lines.append("Repeat it for more, or give @FILE with one a line.")
    if option.default not in (None, [], ""):
        lines.append(f"Default: {option.default}.")
    if example is not None:
        lines.append(f"Example: {option.flag} {example}")
    return " ".join(lines)


def variables_of(ctx: click.Context, names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller typed, by Ansible variable: only that goes to Ansible. `names` maps click's names to variables."""
    variables = {}
    for name, variable in names.items():
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            value = values[name]
            variables[variable] = [item for group in value for item in group] if isinstance(value, tuple) else value
    return variables
