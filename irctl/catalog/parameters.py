"""Whether a value fits a parameter: what the spec and its limits say, for what was typed and for what an inventory holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog import kinds
from irctl.catalog.definition import Option
from irctl.errors import Invalid, invalid


def check(option: Option, value: object) -> Any:
    """Return one value of the option as Ansible shall have it. Raises ValueError with the why."""
    from ansible_collections.irctl.runbooks.plugins.module_utils.capture import masks  # its many patterns take long to compile

    if isinstance(value, str) and masks.by_rule(value) != value:
        raise ValueError("a password seems to stand in it, and values are shown and kept in records")
    if option.kind:
        kind = kinds.load(option.content, option.kind)
        checked = kind.check(value)
        return _within(checked, option, kind.measure) if hasattr(kind, "measure") else checked
    if option.type == "int":
        return _within(values.whole(value), option, values.whole)
    if option.type == "bool":
        return _truth(value)
    if option.choices and value not in option.choices:
        raise ValueError(f"one of {', '.join(option.choices)} is needed")
    return values.text(value)


def _within(value: Any, option: Option, measure: Callable[[Any], int]) -> Any:
    if option.minimum is not None and measure(value) < measure(option.minimum):
        raise ValueError(f"at least {option.minimum}")
    if option.maximum is not None and measure(value) > measure(option.maximum):
        raise ValueError(f"at most {option.maximum}")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false is needed")
    return value


def check_inventory(options: tuple[Option, ...], hosts: Mapping[str, Mapping[str, Any]]) -> None:
    """Check what an inventory says of each host; a template is left to Ansible. Raises Invalid for the first that does not fit."""
    known = {option.variable: option for option in options}
    for host, settings in hosts.items():
        for variable, value in ((name, value) for name, value in settings.items() if name in known):
            try:
                _check_setting(known[variable], value)
            except ValueError as error:
                raise _wrong(host, variable, error, value) from None


def _check_setting(option: Option, value: object) -> None:
    if value in (None, "") or (isinstance(value, str) and "{{" in value):
        return
    if option.type != "list":
        check(option, value)
        return
    if not isinstance(value, list):
        raise ValueError("a list is needed")
    for item in value:
        _check_setting(Option(**{**vars(option), "type": option.elements}), item)


def _wrong(host: str, variable: str, error: ValueError, value: object) -> Invalid:
    return invalid(f"inventory: {variable} of {host}", str(error), value)
