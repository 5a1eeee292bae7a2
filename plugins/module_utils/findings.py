"""What was seen of a place that blocks: gaps, which are facts, and doubts, which a person may settle. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

SHOWN = 3  # of the sentences of one kind


class Doubt(NamedTuple):
    """What cannot be judged: because of which directive or rule, where it stands, and why that matters."""

    what: str
    place: str
    why: str

    def __str__(self) -> str:
        return f"This cannot be judged, because of '{self.what}' in {self.place}: {self.why}."


@dataclass(frozen=True)
class Findings:
    """Sentences that say where the list does not hold, and doubts whether it does."""

    gaps: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    def __add__(self, other: Findings) -> Findings:
        """All of both, each doubt once."""
        return Findings(self.gaps + other.gaps, tuple(dict.fromkeys(self.doubts + other.doubts)))


def unsettled(doubts: Iterable[Doubt], vouched: Collection[str]) -> list[Doubt]:
    """Those whose place nobody has vouched for."""
    return [one for one in doubts if one.place not in vouched]


def sentences(doubts: Iterable[Doubt], setting: str) -> list[str]:
    """Each doubt as a sentence, the rest counted, and in which setting a person settles them."""
    texts = [str(one) for one in doubts]
    if not texts:
        return []
    rest = [f"So in {len(texts) - SHOWN} more places."] if len(texts) > SHOWN else []
    return [*texts[:SHOWN], *rest, f"Where it is known to be safe, name the place in {setting}."]
