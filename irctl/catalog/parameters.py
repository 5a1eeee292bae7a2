"""Whether a value fits a parameter: what the spec and its limits say, for what was typed and for what an inventory holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog.catalog import Option
from irctl.errors import Invalid, invalid


def check(option: Option, value: object) -> Any:
    """Return one value of the option as Ansible shall have it. Raises ValueError with the why."""
    if option.kind == "duration":
        _within(values.seconds(value), option, values.seconds)
        return value
    if option.type == "int":
        return _within(values.whole(value), option, values.whole)
    if option.type == "bool":
        return _truth(value)
    if option.choices and value not in option.choices:
        raise ValueError(f"one of {', '.join(option.choices)} is needed")
    return _KINDS.get(option.kind, _text)(value)


def _within(number: int, option: Option, read: Any) -> int:
    if option.minimum is not None and number < read(option.minimum):
        raise ValueError(f"at least {option.minimum}")
    if option.maximum is not None and number > read(option.maximum):
        raise ValueError(f"at most {option.maximum}")
    return number


def _network(value: object) -> str:
    from ansible_collections.irctl.runbooks.plugins.module_utils import networks

    networks.parse(value)
    return _text(value)


def _bucket(value: object) -> str:
    from ansible_collections.irctl.runbooks.plugins.module_utils.archive import s3_requests

    with _said_by_a_module():
        s3_requests.place(_text(value), "us-east-1", None)
    return _text(value)


def _prefix(value: object) -> str:
    from ansible_collections.irctl.runbooks.plugins.module_utils.archive import manifest

    with _said_by_a_module():
        return manifest.check_prefix(_text(value))


def _root(value: object) -> str:
    from ansible_collections.irctl.runbooks.plugins.module_utils.capture import selection

    with _said_by_a_module():
        selection.rules([_text(value)], [])
    return _text(value)


def _lineage(value: object) -> str:
    from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import x509

    try:
        return x509.check_name(_text(value))
    except ValueError:
        raise ValueError("the name of one of certbot's certificates is needed, such as shop.example.com") from None


@contextmanager
def _said_by_a_module() -> Iterator[None]:
    """A module says `name: why (got '...')`; the name and the value are said by whoever asks here."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).partition(": ")[2].rpartition(" (got ")[0] or str(error)) from None


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false is needed")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("text is needed")
    return value


_KINDS: Mapping[str, Callable[[object], str]] = {
    "name": values.name,
    "unit": values.unit,
    "lineage": _lineage,
    "path": values.path,
    "folder": values.folder,
    "root": _root,
    "network": _network,
    "host": values.host,
    "endpoint": values.endpoint,
    "bucket": _bucket,
    "prefix": _prefix,
    "sha256": values.sha256,
}
KINDS = frozenset((*_KINDS, "duration"))


def check_inventory(options: tuple[Option, ...], hosts: Mapping[str, Mapping[str, Any]]) -> None:
    """Check what an inventory says of each host; a template is left to Ansible. Raises Invalid for the first that does not fit."""
    known = {option.variable: option for option in options}
    for host, settings in hosts.items():
        for variable, value in settings.items():
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
