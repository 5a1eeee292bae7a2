"""Which lifecycle rules of a bucket end objects, and when. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree

DAY = 86400
LEAST = 365 * DAY  # seconds that an object must stay where nothing retains it


@dataclass(frozen=True)
class Rule:
    """A rule that ends what begins with a prefix: so many days after it was made, or at a time (seconds since 1970)."""

    name: str
    prefix: str
    days: float | None = None
    at: float | None = None

    def end_of(self, key: str, made: float) -> float | None:
        """When an object that was made then ends by this rule, at the earliest; None for never."""
        if not key.startswith(self.prefix):
            return None
        return made + self.days * DAY if self.days is not None else self.at


def parse(document: bytes) -> list[Rule] | None:
    """The rules in force that end objects; None where this is no lifecycle configuration, or one that cannot be judged."""
    try:
        root = ElementTree.fromstring(document)
    except ElementTree.ParseError:
        return None
    if _tag(root) != "LifecycleConfiguration":
        return None
    rules: list[Rule] = []
    for element in root.iter():
        if _tag(element) == "Rule" and _text(element, "Status") != "Disabled":
            try:
                rules += _ending(element)
            except ValueError:
                return None
    return rules


def _ending(rule: ElementTree.Element) -> Iterable[Rule]:
    """Our objects have no tags, so that a rule for tags is for others."""
    expiration = rule.find("{*}Expiration")
    if expiration is None or any(_tag(element) == "Tag" for element in rule.iter()):
        return
    prefix = next((element.text or "" for element in rule.iter() if _tag(element) == "Prefix"), "")
    name, days, date = _text(rule, "ID") or "without a name", _text(expiration, "Days"), _text(expiration, "Date")
    if days:
        yield Rule(name, prefix, days=float(days))
    elif date:
        yield Rule(name, prefix, at=datetime.fromisoformat(re.sub(r"T24:", "T23:", date)).timestamp())


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ElementTree.Element, name: str) -> str:
    return (element.findtext(f"{{*}}{name}") or "").strip()


def too_early(rules: Iterable[Rule], key: str, made: float, until: float, now: float) -> Rule | None:
    """The rule that ends an object before its retention (`until`, 0 for none), or before it was here for a year; None for none."""
    needed = until if until > now else made + LEAST
    for rule in rules:
        end = rule.end_of(key, made)
        if end is not None and end < needed:
            return rule
    return None
