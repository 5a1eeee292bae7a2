"""What a value on the command line may be, beside the values that a remediation's own spec describes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.errors import invalid

_PLAIN = re.compile(r"[A-Za-z0-9_.:%-]+", re.ASCII)
HOST_OR_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}", re.ASCII)


class Value(click.ParamType[Any]):
    """A type whose check returns the value or raises ValueError with the reason.

    The error may carry the part of the value that is wrong as its attribute `got`.
    """

    def __init__(self, name: str, check: Callable[[str], Any]) -> None:
        self.name, self._check = name, check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._check(value)
        except ValueError as error:
            raise invalid(flag_of(param), str(error), getattr(error, "got", value)) from None


class Choice(click.Choice[str]):
    """One of a few words. A wrong one is refused like every other value, however long it is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in self.choices:
            raise invalid(flag_of(param), f"one of {', '.join(self.choices)} is needed", value)
        return super().convert(value, param, ctx)


def flag_of(param: click.Parameter | None) -> str:
    """The name by which a user knows a parameter: --option, or ARGUMENT."""
    if param is None:
        return "value"
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return param.metavar if param.metavar and param.metavar.isupper() else (param.name or "").upper()


def host_or_group(text: str) -> str:
    """Check the name of a host or group. Patterns are refused: nothing ever means every host. Raises ValueError."""
    if text.lower() in ("all", "ungrouped"):
        raise ValueError("nothing ever means every host; name hosts or groups")
    if not HOST_OR_GROUP.fullmatch(text) and not _is_ipv6(text):
        raise ValueError("the plain name of one host or group is needed, no pattern; repeat --host for more")
    return text


def _is_ipv6(text: str) -> bool:
    import ipaddress

    try:
        return ipaddress.IPv6Address(text).version == 6 and bool(_PLAIN.fullmatch(text))
    except ValueError:
        return False


def incident_id(text: str) -> str:
    """Check the id of an incident, or the end of one. Raises ValueError."""
    from irctl.incidents import incidents

    incidents.require_form(text)
    return text


def role(text: str) -> str:
    """Check the name of an approver's role. Raises ValueError."""
    from irctl.approvals import people

    if not people.ROLE.fullmatch(text):
        raise ValueError("the name of a role is needed, such as incident-commander")
    return text


def reason(text: str) -> str:
    """Check a reason that people will read; returns it without spaces around it. Raises ValueError."""
    if not text.strip() or len(text) > 500 or not text.isprintable():
        raise ValueError("1 to 500 printable characters are needed")
    return text.strip()


def weighty_reason(text: str) -> str:
    """Check a reason that has to convince somebody. Raises ValueError."""
    if not 10 <= len(text.strip()) <= 500 or not text.isprintable():
        raise ValueError("10 to 500 printable characters are needed: people will have to judge it")
    return text.strip()


def duration(least: str, most: str = "") -> Callable[[str], int]:
    """The check of a duration between two others, such as '5m' and '24h'. It returns seconds and raises ValueError."""
    limits = f"at least {least} and at most {most}" if most else f"at least {least}"

    def check(text: str) -> int:
        seconds = values.seconds(text)
        if seconds < values.seconds(least) or (most and seconds > values.seconds(most)):
            raise ValueError(limits)
        return seconds

    return check


timeout = duration("5s", "24h")
