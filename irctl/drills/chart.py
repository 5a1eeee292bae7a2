"""Where on a chart the times of drills stand: pure geometry, which a template draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from irctl.drills.history import Drill
from irctl.incidents import severity

WIDTH = 420
LEFT, RIGHT, TOP, BOTTOM = 50, 408, 12, 150  # of the field that has a scale
APART = 14  # of two labels
BELOW = 36  # what the dates need
EDGE = 14  # between the field's sides and the first and the last drill
LANE = 171  # where drills stand that measured no time
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 86400)


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Dot:
    """A drill on the chart. `y` is that of its time to mitigate, or of the lane; `detect` that of its time to detect, if any."""

    drill: Drill
    x: float
    y: float
    detect: float | None

    @property
    def kind(self) -> str:
        """Its verdict as the name of a class."""
        return self.drill.verdict.replace(" ", "-") or "under-way"

    @property
    def says(self) -> str:
        """All that it stands for, in words."""
        times = [("detected in", self.drill.detect), ("mended in", self.drill.mitigate)]
        known = [f"{what} {seconds(took)}" for what, took in times if took is not None]
        when = f"{severity.instant(self.drill.started):%Y-%m-%d %H:%M} UTC"
        return ", ".join([when, self.drill.verdict or "under way", *known])


@dataclass(frozen=True)
class Chart:
    """Everything that is drawn. `mitigate` and `detect` are the points of two lines."""

    dots: tuple[Dot, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    mitigate: str
    detect: str
    lane: bool
    lane_at: float
    height: float
    width: int = WIDTH
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM


def chart(held: Sequence[Drill]) -> Chart:
    """The chart of at least one drill."""
    when = [severity.instant(drill.started) for drill in held]
    first, last = _period(min(when), max(when))
    measured = [took for drill in held for took in (drill.detect, drill.mitigate) if took is not None]
    up = _steps(measured)
    place, lane_at = _scale(up), LANE if measured else TOP + 10
    dots = []
    for drill, moment in zip(held, when, strict=True):
        x = _across((moment - first) / (last - first))
        y = lane_at if drill.mitigate is None else place(drill.mitigate)
        dots.append(Dot(drill, x, y, None if drill.detect is None else place(drill.detect)))
    mended = [(dot.x, dot.y) for dot in dots if dot.drill.mitigate is not None]
    seen = [(dot.x, dot.detect) for dot in dots if dot.detect is not None]
    lane = any(dot.drill.mitigate is None for dot in dots)
    ticks = tuple(Tick(place(step), seconds(step)) for step in up if measured)
    across = _days(first, last) if min(when) < max(when) else _days(first, last)[1:2]
    height = (lane_at if lane else BOTTOM) + BELOW
    return Chart(tuple(dots), across, ticks, _line(mended), _line(seen), lane, lane_at, height)


def _period(first: datetime, last: datetime) -> tuple[datetime, datetime]:
    """At least a day, so that a single drill stands in the middle."""
    missing = timedelta(days=1) - (last - first)
    return (first - missing / 2, last + missing / 2) if missing > timedelta() else (first, last)


def _steps(measured: Sequence[float]) -> list[float]:
    """The steps of the scale that hold everything measured: at least two, and no more than can be labelled."""
    least, most = min(measured, default=1.0), max(measured, default=10.0)
    low = max((index for index, step in enumerate(STEPS[:-1]) if step <= least), default=0)
    high = min((index for index, step in enumerate(STEPS) if step >= most and index > low), default=len(STEPS) - 1)
    place, found = _scale([STEPS[low], STEPS[high]]), [STEPS[low]]
    for step in STEPS[low + 1 : high]:
        if min(place(found[-1]) - place(step), place(step) - place(STEPS[high])) >= APART:
            found.append(step)
    return [*found, STEPS[high]]


def _scale(steps: Sequence[float]) -> Callable[[float], float]:
    """From seconds to y, on a logarithmic scale; what lies beyond it stands at its edge."""
    low, high = math.log(steps[0]), math.log(steps[-1])

    def place(took: float) -> float:
        share = (math.log(max(took, steps[0])) - low) / (high - low)
        return round(BOTTOM - (BOTTOM - TOP) * min(share, 1.0), 1)

    return place


def _days(first: datetime, last: datetime) -> tuple[Tick, ...]:
    """Three or four dates, from edge to edge; where all was within some days, with their times."""
    length = last - first
    form = "%-d %b %H:%M" if length < timedelta(days=4) else "%-d %b %Y" if length > timedelta(days=300) else "%-d %b"
    parts = 3 if form == "%-d %b" else 2
    return tuple(Tick(_across(part / parts), f"{first + length * part / parts:{form}}") for part in range(parts + 1))


def _across(share: float) -> float:
    return round(LEFT + EDGE + (RIGHT - LEFT - 2 * EDGE) * share, 1)


def _line(points: Iterable[tuple[float, float]]) -> str:
    """The points of a polyline; '' where there is nothing to join."""
    found = [f"{x},{y}" for x, y in points]
    return " ".join(found) if any(pairwise(found)) else ""


def seconds(took: float | None) -> str:
    """0.4 s, 12 s, 2 min 5 s; a dash for what was not measured."""
    if took is None:
        return "–"
    if took < 59.5:
        return f"{took:.2g} s" if took < 10 else f"{took:.0f} s"
    whole = round(took)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
