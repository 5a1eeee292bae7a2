"""What people type about an incident, checked."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from irctl.errors import Invalid, invalid
from irctl.incidents.state import STATUSES

PLACES = ("status-page", "chat", "e-mail", "in-app", "social-media", "direct", "stakeholders", "authority")
MOST = 2000  # characters of a text that a person gives

FORM = {  # the assessment form, spywatcher:67-84
    "urgency": {
        "state": ("ongoing", "stopped"),
        "trend": ("worse", "stable", "improving"),
        "user_impact": ("high", "medium", "low"),
    },
    "classification": {"type": ("security", "outage", "data", "performance"), "root_cause": ("known", "unknown")},
}


def text(option: str, given: str, *, lines: bool = False) -> str:
    """Check a text that a person gives: some, not too much, and no character that is not meant to be read. Raises Invalid."""
    typed = given.strip()
    if not typed:
        raise invalid(option, "must not be empty", given)
    if len(typed) > MOST:
        raise invalid(option, f"at most {MOST} characters, and these are {len(typed)}", given)
    if any(_unreadable(letter) for letter in typed if not (lines and letter in "\n\t")):
        raise invalid(option, "control characters are refused" + ("" if lines else ", and so are line ends"), given)
    return typed


def _unreadable(letter: str) -> bool:
    """Controls, halves of characters, line separators, and what turns the direction of writing."""
    turns = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return letter in turns or unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")


def status_of(given: str) -> str:
    """A status in any letter case. Raises Invalid."""
    for status in STATUSES:
        if status.casefold() == given.casefold():
            return status
    raise invalid("STATUS", f"one of {', '.join(STATUSES)} is needed", given)


def assessment(given: Mapping[str, str]) -> dict[str, str]:
    """The impact as the form has it, from what was typed for each of its parts. Raises Invalid."""
    impact: dict[str, str] = {}
    for name, typed in given.items():
        option = f"--{name.replace('_', '-')}"
        impact |= _ticked(option, typed, FORM[name]) if name in FORM else {name: text(option, typed)}
    if not impact:
        raise Invalid("impact: something must be said, such as --users 500 --data none")
    return impact


def _ticked(option: str, typed: str, form: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    ticked: dict[str, str] = {}
    for word in (part.strip().casefold() for part in typed.split(",")):
        [box] = [box for box, known in form.items() if word in known] or [""]
        if not box:
            known = "; ".join(f"{box.replace('_', ' ')} {'|'.join(words)}" for box, words in form.items())
            raise invalid(option, f"words of {known} are needed, joined by commas", typed)
        if box in ticked:
            raise invalid(option, f"{ticked[box]} and {word} are both {box.replace('_', ' ')}", typed)
        ticked[box] = word
    return ticked
