"""What two runs have not in common: what was asked for, with which settings, and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

APART = {"run", "started", "seconds", "folder", "schema", "plan_hash", "items", "file", "sha256"}  # of each run its own


@dataclass(frozen=True)
class Difference:
    """One thing that differs; None where a run does not have it. `what` is the way to it, such as hosts.db1.outcome."""

    what: str
    first: Any
    second: Any


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Hold what `facts` made of two runs against each other, in order."""
    one, other = dict(_leaves(first)), dict(_leaves(second))
    names = [*one, *(name for name in other if name not in one)]
    return [Difference(name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)]


def facts(begun: Mapping[str, Any], ended: Mapping[str, Any]) -> dict[str, Any]:
    """What counts of a run, from its run.json and its result.json ({} while it is under way)."""
    plan = begun["plan"]
    return {
        "remediation": begun["remediation"],
        "incident": begun["incident"] or None,
        "check": begun["check"],
        "content": plan["content"],
        "parameters": plan["parameters"],
        "settings": plan["hosts"],
        "outcome": ended.get("outcome", "under way"),
        "hosts": ended.get("hosts", {}),
    }


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if name in APART:
            continue
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, f"{path}{name}.")
        elif inner != {}:
            yield path + name, inner
