"""Which names a pattern of an include takes in, as glob(3) has it, which nginx asks. Pure.

Python's fnmatch reads `[^_]` and `[[:alpha:]]` otherwise, and a file that seems to be included nowhere would not be judged.
"""

from __future__ import annotations

import re

_WILD = re.compile(r"[*?\[]")  # without one of these nginx takes the pattern for a name
_BRACKET = re.compile(r"\[([!^]?)(\]?(?:\[:\w+:\]|\\.|[^\]\\])*)\]")
_MEMBER = re.compile(r"\[:(\w+):\]|\\?(.)", re.DOTALL)
_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f", "digit": "0-9", "graph": "!-~",
    "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r" \t-\r", "upper": "A-Z", "xdigit": "0-9A-Fa-f",
}  # fmt: skip


def fits(name: str, pattern: str) -> bool:
    """A wildcard takes in no slash, and no dot at the beginning of a name."""
    if not _WILD.search(pattern):
        return name == pattern
    pairs = list(zip(name.split("/"), pattern.split("/"), strict=False))
    hidden = any(part.startswith(".") and not piece.startswith((".", "\\.")) for part, piece in pairs)
    same_depth = name.count("/") == pattern.count("/")
    return same_depth and not hidden and all(_matches(part, piece) for part, piece in pairs)


def _matches(part: str, pattern: str) -> bool:
    try:
        return bool(re.fullmatch(_expression(pattern), part, re.DOTALL))
    except re.error:  # such as [z-a], which takes in nothing
        return False


def _expression(pattern: str) -> str:
    result, place = "", 0
    while place < len(pattern):
        character, bracket = pattern[place], _BRACKET.match(pattern, place)
        if bracket:
            result += _set(bracket[1], bracket[2])
            place = bracket.end()
            continue
        if character == "\\" and place + 1 < len(pattern):
            place += 1
            result += re.escape(pattern[place])
        else:
            result += {"*": ".*", "?": "."}.get(character) or re.escape(character)
        place += 1
    return result


def _set(inverted: str, members: str) -> str:
    """A set of characters; a hyphen between two of them is a range in both languages."""
    inside = ""
    for match in _MEMBER.finditer(members):
        inside += _CLASSES.get(match[1], "") if match[1] else match[2] if match[0] == "-" else re.escape(match[2])
    return f"[{'^' if inverted else ''}{inside}]"
