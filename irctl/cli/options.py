"""From a parameter's spec to a command-line option: types, limits, defaults, help and an example."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog import parameters
from irctl.catalog.catalog import Option
from irctl.errors import Invalid, invalid

TARGET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}", re.ASCII)
LARGEST_LIST = 1 << 20  # bytes of an @file
STDIN = "@-"


class Value(click.ParamType[Any]):
    """A parameter type whose check raises ValueError with the why."""

    def __init__(self, name: str, check: Callable[[str], Any]) -> None:
        self.name, self._check = name, check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._check(value)
        except ValueError as error:
            raise invalid(flag_of(param), str(error), getattr(error, "got", value)) from None


class Choice(click.Choice[str]):
    """One of a few words, refused like every other value, however long it is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in self.choices:
            raise invalid(flag_of(param), f"one of {', '.join(self.choices)} is needed", value)
        return super().convert(value, param, ctx)


class BadLine(ValueError):
    """A line of @FILE that is refused; `got` is what stands there."""

    def __init__(self, number: int, why: ValueError, got: str) -> None:
        super().__init__(f"line {number}: {why}")
        self.got = got


def flag_of(param: click.Parameter | None) -> str:
    """The name a user knows a parameter by: --option, or ARGUMENT."""
    if param is None:
        return "value"
    return max(param.opts, key=len) if isinstance(param, click.Option) else (param.metavar or param.name or "").upper()


def target(text: str) -> str:
    """Check the name of a host or group. Patterns are refused: nothing ever means 'all'."""
    if text.lower() in ("all", "ungrouped"):
        raise ValueError("nothing ever means every host; name hosts or groups")
    if not TARGET.fullmatch(text):
        raise ValueError("the plain name of one host or group is needed, no pattern; repeat --host for more")
    return text


def incident(text: str) -> str:
    from irctl.incidents import incidents

    if not incidents.ID.fullmatch(text):
        raise ValueError("an incident's id is needed, such as INC-2026-1121-001")
    return text


def lease_of(limit: str) -> Callable[[str], int]:
    """The check of --for, where the change may last as long as limit says."""

    def check(text: str) -> int:
        length = values.seconds(text)
        if not 1 <= length <= values.seconds(limit):
            raise ValueError(f"at least 1s and at most {limit}")
        return length

    return check


def timeout(text: str) -> int:
    length = values.seconds(text)
    if not 5 <= length <= 86400:
        raise ValueError("at least 5s and at most 24h")
    return length


def click_option(option: Option) -> click.Option:
    """Make the click option for one parameter of a remediation."""
    many = option.type == "list"
    kind: click.ParamType[Any] = (
        Choice(option.choices) if option.choices else Value(_metavar(option), lambda text: parameters.check(option, text))
    )
    if many:
        kind = Value(_metavar(option), _many(lambda text: parameters.check(option, text)))
    return click.Option(
        [option.flag],
        type=Value("TEXT", _truth) if option.type == "bool" else kind,
        multiple=many,
        default=None,
        required=option.required,
        help=_help(option),
        metavar=_metavar(option),
    )


_YES, _NO = frozenset(("yes", "true", "on", "1", "y", "t")), frozenset(("no", "false", "off", "0", "n", "f"))


def _truth(text: str) -> bool:
    """Yes or no, in any of the words that click knows for them but the empty one."""
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise ValueError("yes or no is needed")
    return word in _YES


def _metavar(option: Option) -> str:
    return _METAVARS.get(option.kind) or {"int": "NUMBER"}.get(option.type, "TEXT")


_METAVARS = {
    "duration": "DURATION",
    "name": "NAME",
    "unit": "UNIT",
    "lineage": "NAME",
    "path": "PATH",
    "folder": "PATH",
    "root": "PATH",
    "network": "ADDRESS",
    "host": "HOST",
    "endpoint": "URL",
    "bucket": "BUCKET",
    "prefix": "PREFIX",
    "sha256": "SHA256",
}


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


def _many(check: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def read(text: str) -> list[Any]:
        if not text.startswith("@"):
            return [check(text)]
        found, source = [], "standard input" if text == STDIN else "the file"
        for number, line in enumerate(_lines(text, source), 1):
            try:
                found += [check(line.strip())] if line.strip() and not line.startswith("#") else []
            except ValueError as error:
                raise BadLine(number, error, line.strip()) from None
        if not found:
            raise ValueError(f"{source} names nothing")
        return found

    return read


def _lines(text: str, source: str) -> list[str]:
    """The lines of @FILE, or of standard input for @-. Raises ValueError."""
    path = Path(text[1:])
    try:
        if text == STDIN:
            content = sys.stdin.buffer.read(LARGEST_LIST + 1)
        elif path.is_file() and path.stat().st_size <= LARGEST_LIST:
            content = path.read_bytes()
        else:
            raise ValueError("not a regular file of at most 1 MiB" if os.path.lexists(path) else "there is no such file")
        if len(content) > LARGEST_LIST:
            raise ValueError("at most 1 MiB")
        return content.decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{source} cannot be read") from None


def typed(ctx: click.Context, options: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller typed, by Ansible variable; `options` maps a click name to its variable. Only that goes to Ansible."""
    said = {}
    for name, variable in options.items():
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            value = given[name]
            said[variable] = [item for group in value for item in group] if isinstance(value, tuple) else value
    return said


def host_option() -> click.Option:
    return click.Option(
        ["--host", "hosts"],
        type=Value("HOST", target),
        multiple=True,
        required=True,
        metavar="HOST",
        shell_complete=complete_host,
        help="A host or group of the inventory. Repeat it for more. Example: --host prod",
    )


def complete_host(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The hosts and groups of a static YAML inventory that begin so; nothing where it is not one."""
    import yaml

    from irctl.cli.base import settings_of

    try:
        path = settings_of(ctx).inventory_path()
        files = sorted(path.glob("*.yml")) if path.is_dir() else [path]
        trees = [yaml.safe_load(file.read_text()) for file in files]
    except (Invalid, OSError, yaml.YAMLError, UnicodeDecodeError):
        return []
    return sorted({name for tree in trees for name in _inventory_names(tree) if name.startswith(incomplete)})


def _inventory_names(tree: Any) -> list[str]:
    if not isinstance(tree, dict):
        return []
    found = []
    for name, group in tree.items():
        found.append(str(name))
        if isinstance(group, dict):
            found += [str(host) for host in group.get("hosts") or {}]
            found += _inventory_names(group.get("children"))
    return [name for name in found if name not in ("all", "ungrouped")]
