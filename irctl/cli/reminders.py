"""What earlier commands left behind: killed runs, leases that did not end, drills that were cut short, and broken glass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from irctl.approvals import countersigning
from irctl.drills import history
from irctl.leases import register
from irctl.orders import killed_runs


def reminders(home: Path) -> Iterator[str]:
    """A sentence for each thing that somebody has to look after. Seals the records of killed runs."""
    yield from killed_runs.close(home)
    yield from register.reminders(home)
    yield from history.reminders(home)
    yield from countersigning.reminders(home)
