"""The full safe cycle (guard, capture, end, verify, sealed record) on one host, against one task that only ends."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import peer
from benchmarks.crowd import Crowd, crowd
from benchmarks.measure import Ratio, Side, in_turns

NAME = "one-host"
SESSIONS = 50


def run(pairs: int) -> Ratio:
    with crowd(max_connections=200) as people:
        theirs = peer.side(people, "ansible-playbook, one postgresql_query task", {"db": "peer"})
        theirs = replace(theirs, prepare=lambda: people.gather(["peer"] * SESSIONS))
        return in_turns(NAME, cycle(people), theirs, target=0.65, pairs=pairs)


def cycle(people: Crowd) -> Side:
    """The remediation of one host, whose sessions are opened anew before each run."""
    return Side(
        f"irctl remediate, {SESSIONS} sessions",
        people.remediation("db", {"db": "ours"}),
        prepare=lambda: people.gather(["ours"] * SESSIONS),
        check=lambda: people.must_be_gone("ours"),
    )
