"""What earlier commands left behind: killed runs, leases that did not end, and glass that was broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from irctl import breakglass, flow, leases


def reminders(home: Path) -> Iterator[str]:
    """A sentence for each thing that somebody has to look after. Seals the records of killed runs."""
    yield from flow.close_killed(home)
    yield from leases.reminders(home)
    yield from breakglass.reminders(home)
