"""Where on a chart the times of drills stand: pure geometry, which a template draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeAlias

from irctl.drills.history import Drill
from irctl.incidents import severity

TOP, BOTTOM = 12, 150  # of the field that has a scale
APART = 14  # of two labels
BELOW = 36  # what the dates need
EDGE = 4.0  # hundredths of the field between its sides and the first and the last drill
DRILLS_APART = 0.035  # of the field between two drills, where all of them fit
DATES_APART = 0.3  # of the field between two dates
LANE = 171  # where drills stand that measured no time
KINDS = ("fixed", "not-fixed", "worse", "hit-the-wrong-thing", "nothing-to-do", "unknown", "under-way")
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 86400)

Segment: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


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
    def known(self) -> str:
        """The verdict whose mark it gets; a word that is none gets that of a drill under way."""
        return self.kind if self.kind in KINDS else "under-way"

    @property
    def says(self) -> str:
        """All that it stands for, in words."""
        times = [("detected in", self.drill.detect), ("mended in", self.drill.mitigate)]
        known = [f"{what} {seconds(took)}" for what, took in times if took is not None]
        when = f"{severity.instant(self.drill.started):%Y-%m-%d %H:%M} UTC"
        return ", ".join([when, self.drill.verdict or "under way", *known])


@dataclass(frozen=True)
class Chart:
    """Everything that is drawn: heights in pixels, places across in hundredths of the field, which is as wide as there is room.

    `mitigate` and `detect` are lines, as pairs of neighbours of their points (x, y).
    """

    dots: tuple[Dot, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    mitigate: tuple[Segment, ...]
    detect: tuple[Segment, ...]
    lane: bool
    lane_at: float
    height: float


def chart(held: Sequence[Drill]) -> Chart:
    """The chart of at least one drill."""
    drills = sorted(held, key=lambda drill: severity.instant(drill.started))
    measured = [took for drill in drills for took in (drill.detect, drill.mitigate) if took is not None]
    up = _steps(measured)
    place, lane_at = _scale(up), LANE if measured else TOP + 10
    dots = []
    for drill, x in zip(drills, _across([severity.instant(drill.started) for drill in drills]), strict=True):
        y = lane_at if drill.mitigate is None else place(drill.mitigate)
        dots.append(Dot(drill, x, y, None if drill.detect is None else place(drill.detect)))
    mended = [(dot.x, dot.y) for dot in dots if dot.drill.mitigate is not None]
    seen = [(dot.x, dot.detect) for dot in dots if dot.detect is not None]
    lane = any(dot.drill.mitigate is None for dot in dots)
    ticks = tuple(Tick(place(step), seconds(step)) for step in up if measured)
    height = (lane_at if lane else BOTTOM) + BELOW
    return Chart(tuple(dots), _dates(dots), ticks, tuple(pairwise(mended)), tuple(pairwise(seen)), lane, lane_at, height)


def _across(when: Sequence[datetime]) -> list[float]:
    """Where drills stand across: by their time, in order, and never so close that one hides another where that can be."""
    number, length = len(when), when[-1] - when[0]
    if number == 1:
        return [50.0]
    apart = min(DRILLS_APART, 1 / (number - 1))
    shares = [(moment - when[0]) / length if length else 0.0 for moment in when]
    for index in range(1, number):
        shares[index] = max(shares[index], shares[index - 1] + apart)
    shares[-1] = 1.0
    for index in range(number - 2, -1, -1):
        shares[index] = min(shares[index], shares[index + 1] - apart)
    return [round(EDGE + (100 - 2 * EDGE) * share, 2) for share in shares]


def _dates(dots: Sequence[Dot]) -> tuple[Tick, ...]:
    """The date of the first drill, of the last one, and of some between that have room; within some days, with their times."""
    moments = [severity.instant(dot.drill.started) for dot in dots]
    length = moments[-1] - moments[0]
    form = "%-d %b %H:%M" if length < timedelta(days=4) else "%-d %b %Y" if length > timedelta(days=300) else "%-d %b"
    dates = [Tick(dot.x, f"{moment:{form}}") for dot, moment in zip(dots, moments, strict=True)]
    room, found = DATES_APART * 100, dates[:1]
    for date in dates[1:-1]:
        if date.at - found[-1].at >= room and dates[-1].at - date.at >= room and date.label != found[-1].label:
            found.append(date)
    return (*found, *(dates[-1:] if dates[-1].label != found[-1].label else []))


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


def seconds(took: float | None) -> str:
    """0.4 s, 12 s, 2 min 5 s; a dash for what was not measured."""
    if took is None:
        return "–"
    if took < 59.5:
        return f"{took:.2g} s" if took < 10 else f"{took:.0f} s"
    whole = round(took)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
