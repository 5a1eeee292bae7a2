"""What is wrong with the definition of a role: by its schema, and where a parameter would lose its limits or hide an option."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from irctl.catalog import kinds
from irctl.catalog.definition import Definition, Option
from irctl.catalog.unknown_names import nearest
from irctl.errors import Invalid

SCHEMA = Path(__file__).resolve().parents[1] / "record" / "schemas" / "remediation-1.json"
RESERVED = frozenset(  # the options of irctl's own that a command made from a role may have
    [
        "approval",
        "break-glass",
        "check",
        "expires",
        "for",
        "help",
        "home",
        "host",
        "incident",
        "inventory",
        "json",
        "out",
        "plan",
        "quiet",
        "reason",
        "timeout",
        "verbose",
    ]
)


def require(role: Definition) -> None:
    """Raises Invalid with the first thing that is wrong."""
    for problem in problems(role):
        raise Invalid(f"content: {role.source}: {problem}")


def problems(role: Definition) -> Iterator[str]:
    """What is wrong, a sentence each. What only the whole of it shows is looked at once its form is right."""
    wrong = list(_by_schema(role.metadata))
    yield from wrong or _of_parameters(role)


def _by_schema(metadata: Mapping[str, Any]) -> Iterator[str]:
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    for error in sorted(validator.iter_errors(metadata), key=lambda error: list(map(str, error.absolute_path))):
        where = ".".join(map(str, error.absolute_path))
        yield f"{where}: {_worded(error)}" if where else _worded(error)


def _worded(error: Any) -> str:
    """What is wrong at one place, where jsonschema's own words are hard to read in others."""
    if error.validator == "additionalProperties" and error.validator_value is False:
        known = sorted(error.schema["properties"])
        key = min(set(error.instance) - set(known), key=str)
        return f"there is no key {key}.{nearest(str(key), known) or ' Known are ' + ', '.join(known)}"
    if error.validator == "required":
        return f"{error.message.split(' is a required')[0].strip(chr(39))} is missing"
    if error.validator == "enum":
        return f"one of {', '.join(error.validator_value)} is needed (got {error.instance!r})"
    return " ".join(str(error.message).split())[:200]


def _of_parameters(role: Definition) -> Iterator[str]:
    """What would be lost without a word: a kind that is none, a limit that nothing measures, an option that another one hides."""
    try:
        entries = [role.entry_point(name) for name in role.entry_points]
        options = {option.variable: option for entry in entries for option in entry.options}
    except Invalid as error:
        yield str(error).removeprefix("content: ")
        return
    yield from _unknown_entry_points(role)
    for option in options.values():
        yield from (f"{option.variable}: {problem}" for problem in _of_option(option))
    yield from _hidden([option for option in options.values() if option.flag])


def _unknown_entry_points(role: Definition) -> Iterator[str]:
    for short, parameter in role.metadata.get("parameters", {}).items():
        for name in sorted(set(parameter.get("in", [])) - {*role.entry_points}):
            yield f"parameters.{short}: it is for the entry point {name}, which this role does not have"


def _of_option(option: Option) -> Iterator[str]:
    limited = option.minimum is not None or option.maximum is not None
    if option.kind:
        try:
            kind = kinds.load(option.content, option.kind)
        except Invalid as error:
            yield str(error).removeprefix("content: ")
            return
        missing = [name for name in ("METAVAR", "check") if not hasattr(kind, name)]
        yield from (f"the kind {option.kind} has no {name}" for name in missing)
        if limited and not hasattr(kind, "measure"):
            yield f"it has a limit, and the kind {option.kind} has no measure() for one"
    elif limited and option.type != "int":
        yield f"it has a limit, and its type is {option.type}; a limit is for int, or for a kind that has measure()"


def _hidden(options: Iterable[Option]) -> Iterator[str]:
    taken = dict.fromkeys(RESERVED, "irctl's own")
    for option in options:
        for flag in (option.flag, option.negation) if option.type == "bool" else (option.flag,):
            name = flag.removeprefix("--")
            if name in taken:
                yield f"{option.variable}: it would be the option {flag}, which is {taken[name]}; give it another name"
            taken[name] = f"that of {option.variable}"
