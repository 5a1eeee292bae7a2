"""Which of the servers that share an address nginx chooses for a name, as its documentation orders server_name. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Sharing(NamedTuple):
    """A server of an address: its number, the words of its server_name, and those of its listen."""

    number: int
    names: Sequence[str]
    listen: Sequence[str]


def selected(name: str, servers: Sequence[Sharing]) -> int | None:
    """The number of the server that a client is led to who asks for the name; None where that is not known.

    The exact name, the longest *.x, the longest x.*, the first regular expression, the default server: the first of equals.
    """
    words = [(word.lower(), one.number) for one in servers for text in one.names for word in _expanded(text)]
    for matching in (
        [one for one in words if one[0] == name],
        [one for one in words if one[0].startswith("*.") and name.endswith(one[0][1:])],
        [one for one in words if one[0].endswith(".*") and name.startswith(one[0][:-1])],
    ):
        if matching:
            return max(matching, key=lambda one: len(one[0]))[1]
    patterns = [(text[1:], one.number) for one in servers for text in one.names if text.startswith("~")]
    for pattern, number in patterns:
        matches = _matches(pattern, name)
        if matches is not False:
            return number if matches else None
    return default(servers)


def default(servers: Sequence[Sharing]) -> int | None:
    """The number of the server that answers whoever asks for no name that is known."""
    chosen = [one for one in servers if {"default_server", "default"} & set(one.listen)]
    return next((one.number for one in [*chosen, *servers]), None)


def _expanded(text: str) -> list[str]:
    text = text if text.startswith("~") else text.rstrip(".")
    return [text[1:], f"*{text}"] if text.startswith(".") else [text]


def _matches(pattern: str, name: str) -> bool | None:
    """Whether a regular expression of PCRE matches; None where Python's does not take it."""
    try:
        return re.search(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern), name, re.IGNORECASE | re.ASCII) is not None
    except (re.error, RecursionError):
        return None
