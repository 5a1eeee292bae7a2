"""An IP address or CIDR."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import address_lines, networks, values

METAVAR = "ADDRESS"


def check(value: object) -> str:
    """Raises ValueError."""
    networks.parse(value)
    return values.text(value)


def entries(text: str) -> list[str]:
    """The values that one text names, typed or a line of a file. Raises ValueError."""
    return address_lines.entries(text)
