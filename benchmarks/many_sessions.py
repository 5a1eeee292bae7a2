"""A thousand sessions against ten: the time of a run must not grow with what it ends."""

from __future__ import annotations

from benchmarks.crowd import Crowd, crowd
from benchmarks.measure import Ratio, Side, in_turns

NAME = "many-sessions"


def run(pairs: int) -> Ratio:
    with crowd(max_connections=1100) as people:
        return in_turns(NAME, _side(people, 1000), _side(people, 10), target=1.3, pairs=pairs)


def _side(people: Crowd, number: int) -> Side:
    return Side(
        f"irctl remediate, {number} sessions",
        people.remediation("db", {"db": "ours"}, "--max", "2000"),
        prepare=lambda: people.gather(["ours"] * number),
        check=lambda: people.must_be_gone("ours"),
    )
