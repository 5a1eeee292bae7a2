"""What earlier commands left behind: killed runs, leases that did not end, drills that were cut short, and broken glass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from irctl import breakglass, drills, flow, leases


def reminders(home: Path) -> Iterator[str]:
    """A sentence for each thing that somebody has to look after. Seals the records of killed runs."""
    yield from flow.close_killed(home)
    yield from leases.reminders(home)
    yield from drills.reminders(home)
    yield from breakglass.reminders(home)
