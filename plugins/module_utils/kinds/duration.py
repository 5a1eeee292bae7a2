"""A duration: a whole number and a unit, such as 10m. Its limits are durations too."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "DURATION"
measure = values.seconds


def check(value: object) -> str:
    """Raises ValueError."""
    values.seconds(value)
    return str(value)
