"""What earlier commands left behind: killed runs, leases that did not end, glass that was broken, and a stop that is still on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from irctl import breakglass, flow, leases, stops


def reminders(home: Path) -> Iterator[str]:
    """A sentence for each thing that somebody has to look after. Seals the records of killed runs."""
    yield from flow.close_killed(home)
    yield from leases.reminders(home)
    yield from breakglass.reminders(home)
    if on := stops.reason(home):
        yield f"every change is stopped since {on['at']} by {on['by']}: {on['reason']}"
