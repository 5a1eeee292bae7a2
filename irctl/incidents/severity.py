"""The severity scales of the source runbooks, and the clocks that an incident of each level starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.errors import invalid

DATA = Path(__file__).resolve().with_name("severity.yml")
AT_ONCE = "at once"


@dataclass(frozen=True)
class Clock:
    """How soon something must be done. `met` names the time that stops it, '' where it is a time to wait out.

    `when` is 'personal-data' where it runs only if personal data may be involved.
    """

    name: str
    says: str
    starts: str
    met: str
    seconds: int
    when: str
    source: str


@dataclass(frozen=True)
class Level:
    """One level of a scale: P1, High."""

    name: str
    word: str
    how: str
    such_as: tuple[str, ...]
    source: str
    clocks: tuple[Clock, ...]

    @property
    def title(self) -> str:
        return f"{self.name} ({self.word})" if self.word else self.name


@dataclass(frozen=True)
class Profile:
    """One scale, from the worst level to the mildest."""

    name: str
    source: str
    levels: tuple[Level, ...]

    def level(self, text: str, option: str = "--severity") -> Level:
        """The level of this name or word, in any letter case, with or without its dash. Raises Invalid."""
        for level in self.levels:
            if _plain(text) in {_plain(level.name), _plain(level.word)} - {""}:
                return level
        known = ", ".join(level.title for level in self.levels)
        raise invalid(option, f"not a severity of {self.name}; known are {known}", text)


@dataclass(frozen=True)
class Reading:
    """What one clock says now; `left` is in seconds, negative where it is overdue, None where it does not run."""

    clock: Clock
    state: str
    due: datetime | None
    left: int | None
    met: datetime | None


def profiles() -> tuple[str, ...]:
    """The names of the scales."""
    return tuple(_data()["profiles"])


def profile(name: str, option: str = "severity_profile") -> Profile:
    """The scale of this name, in any letter case. Raises Invalid."""
    known = {one.casefold(): one for one in profiles()}
    if name.casefold() not in known:
        raise invalid(option, f"not a severity profile; known are {', '.join(known.values())}", name)
    return _profile(known[name.casefold()])


@cache
def _profile(name: str) -> Profile:
    about = _data()["profiles"][name]
    shared, own = _data()["shared"], about.get("clocks", {})
    merged = {clock: {**shared.get(clock, {}), **own.get(clock, {})} for clock in [*shared, *own]}
    levels = [_level(level, told or {}, rank, merged) for rank, (level, told) in enumerate(about["levels"].items(), 1)]
    return Profile(name, about["source"], tuple(levels))


def _level(name: str, about: Mapping[str, Any], rank: int, clocks: Mapping[str, Any]) -> Level:
    own = {"within": about.get("within"), "source": about["source"]}
    told = {clock: {**one, **own} if clock == "acknowledge" else one for clock, one in clocks.items()}
    run = tuple(_clock(clock, one) for clock, one in told.items() if one.get("within") and rank <= one.get("first", rank))
    return Level(name, about.get("word", ""), about.get("how", ""), tuple(about.get("such_as", ())), about["source"], run)


def _clock(name: str, about: Mapping[str, Any]) -> Clock:
    seconds = 0 if about["within"] == AT_ONCE else values.seconds(about["within"])
    return Clock(name, about["says"], about["starts"], about.get("met", ""), seconds, about.get("when", ""), about["source"])


def readings(level: Level, times: Mapping[str, datetime], now: datetime, *, personal_data: bool) -> Iterator[Reading]:
    """What each clock of a level says. `times` holds what has happened so far, by name."""
    for clock in level.clocks:
        started = times.get(clock.starts) if personal_data or clock.when != "personal-data" else None
        if started is None:
            yield Reading(clock, "waiting", None, None, None)
        elif clock.met:
            yield _deadline(clock, started + timedelta(seconds=clock.seconds), times.get(clock.met), now)
        else:
            yield _wait(clock, started + timedelta(seconds=clock.seconds), now)


def _deadline(clock: Clock, due: datetime, met: datetime | None, now: datetime) -> Reading:
    if met is not None:
        return Reading(clock, "met" if met <= due else "late", due, None, met)
    left = int((due - now).total_seconds())
    return Reading(clock, "overdue" if now > due else "running", due, left, None)


def _wait(clock: Clock, due: datetime, now: datetime) -> Reading:
    left = int((due - now).total_seconds())
    return Reading(clock, "running", due, left, None) if left > 0 else Reading(clock, "over", due, None, due)


def instant(text: str) -> datetime:
    """The point in time that a journal's entry names. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]", "", text).casefold()


@cache
def _data() -> dict[str, Any]:
    import yaml

    with DATA.open("rb") as file:
        found: dict[str, Any] = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found
