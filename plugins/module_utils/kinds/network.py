"""An IP address or CIDR."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import networks, values

METAVAR = "ADDRESS"


def check(value: object) -> str:
    """Raises ValueError."""
    networks.parse(value)
    return values.text(value)
