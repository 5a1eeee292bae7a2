"""What all drills together show: a table, one JSON object, or one page of HTML that stands alone, to be handed to an auditor."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl import __version__
from irctl.drills import chart as drill_chart
from irctl.drills.history import FIXED, Drill, Due
from irctl.errors import EvidenceError, Refused, invalid
from irctl.incidents import severity
from irctl.record import seal

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parent / "templates"
MARK = '<meta name="generator" content="irctl drill report">'
HEAD = 1024  # bytes of a page within which its mark stands
LAST = 20  # drills whose median is told
WORDS = {"": "under way"}


@dataclass(frozen=True)
class Place:
    """One remediation on one host: every drill of the period there, oldest first, and when the next is due."""

    remediation: str
    host: str
    held: tuple[Drill, ...]
    due: Due | None

    @property
    def last(self) -> Drill | None:
        """The last drill there is, also where it is older than the period."""
        return self.held[-1] if self.held else self.due.last if self.due else None

    @property
    def overdue(self) -> bool:
        return bool(self.due and self.due.overdue)

    @property
    def chart(self) -> drill_chart.Chart | None:
        return drill_chart.chart(self.held) if self.held else None


@dataclass(frozen=True)
class Report:
    """The drills of a period, by place, those that need somebody first. `median_*` are of the last drills that measured it."""

    made: datetime
    since: datetime | None
    held: tuple[Drill, ...]
    places: tuple[Place, ...]

    @property
    def fixed(self) -> int:
        return sum(drill.verdict == FIXED for drill in self.held)

    @property
    def judged(self) -> int:
        return sum(drill.verdict != "" for drill in self.held)

    @property
    def overdue(self) -> int:
        return sum(place.overdue for place in self.places)

    def median(self, what: str) -> tuple[float | None, int]:
        """The median of 'detect' or 'mitigate', and of how many drills it is."""
        measured = [seconds for drill in self.held if (seconds := getattr(drill, what)) is not None][-LAST:]
        return (round(statistics.median(measured), 3) if measured else None), len(measured)


def report(held: Sequence[Drill], rows: Iterable[Due], now: datetime, since: timedelta | None = None) -> Report:
    """Put together what was held within `since` of now, and what is due. Pure."""
    start = now - since if since else None
    within = tuple(drill for drill in held if start is None or severity.instant(drill.started) >= start)
    due = {(row.remediation, row.host): row for row in rows}
    there = {(drill.remediation, host) for drill in within for host in drill.hosts}
    places = [_place(name, host, within, due.get((name, host))) for name, host in there | set(due)]
    return Report(now, start, within, tuple(sorted(places, key=_first)))


def _place(name: str, host: str, held: Iterable[Drill], due: Due | None) -> Place:
    return Place(name, host, tuple(drill for drill in held if drill.remediation == name and host in drill.hosts), due)


def _first(place: Place) -> tuple[bool, bool, str, str]:
    failed = place.last is not None and place.last.verdict not in ("", FIXED)
    return not place.overdue, not failed, place.remediation, place.host


def document(found: Report) -> dict[str, Any]:
    """The one JSON object."""
    detect, mitigate = found.median("detect"), found.median("mitigate")
    totals = {"drills": len(found.held), "fixed": found.fixed, "places": len(found.places), "overdue": found.overdue}
    medians = {"median_detect": detect[0], "median_mitigate": mitigate[0], "median_of": LAST}
    head = {"schema": "irctl/drill-report/1", "made": _iso(found.made), "since": _iso(found.since)}
    places = [
        {
            "remediation": place.remediation,
            "host": place.host,
            "last": place.last.started if place.last else None,
            "verdict": place.last.verdict if place.last else None,
            "next_due": _iso(place.due.next_due) if place.due else None,
            "overdue": place.overdue,
        }
        for place in found.places
    ]
    return head | {"totals": totals | medians, "places": places, "drills": [asdict(drill) for drill in found.held]}


def _iso(when: datetime | None) -> str | None:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}" if when else None


def page(found: Report, home: Path) -> str:
    """One page of HTML: no script, nothing loaded from anywhere, and every text from outside inert."""
    style = (TEMPLATES / "drill-report.css").read_text()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    facts = {"report": found, "home": str(home), "version": __version__, "style": style, "style_digest": digest, "mark": MARK}
    return _environment().get_template("drill-report.html.j2").render(facts)


@cache
def _environment() -> Environment:
    import jinja2
    import markupsafe

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
        finalize=lambda value: printable(value, 2000) if type(value) is str else value,
    )
    found.filters |= {"seconds": drill_chart.seconds, "minute": minute, "word": word, "raw": markupsafe.Markup}
    return found


def word(verdict: str) -> str:
    """A verdict as it is shown."""
    return WORDS.get(verdict, verdict)


def minute(when: datetime | str | None) -> str:
    """2026-11-21 02:23, in UTC; a dash for never."""
    if isinstance(when, str):
        when = severity.instant(when)
    return f"{when:%Y-%m-%d %H:%M}" if when else "–"


def write(path: Path, text: str, *, force: bool = False) -> None:
    """Put the page in place, 0600, whole or not at all. Raises Refused where something else is there, Invalid, EvidenceError."""
    if not force:
        _require_ours(path)
    if paths.has_name(beside := f"{path}.new"):
        raise Refused(f"--html: {printable(beside, 80)} is in the way: that is where it is written first")
    try:
        seal.write(path, text.encode())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise invalid("--html", (error.strerror or "cannot be written").lower(), path) from None
    except OSError as error:
        raise EvidenceError(f"{printable(path, 80)} cannot be written: {error.strerror}") from None


def _require_ours(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        raise Refused(
            f"--html: what is there cannot be read, or is a link; --force writes over it (got '{printable(path, 80)}')"
        ) from None
    try:
        ours = stat.S_ISREG(os.fstat(descriptor).st_mode) and MARK.encode() in os.read(descriptor, HEAD)
    finally:
        os.close(descriptor)
    if not ours:
        raise Refused(f"--html: what is there is not a drill report; --force writes over it (got '{printable(path, 80)}')")
