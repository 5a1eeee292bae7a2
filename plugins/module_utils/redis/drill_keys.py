"""The keys that a drill writes: what is to be removed, and what only looks nearly alike. Pure."""

from __future__ import annotations

import re

OWN = b"irctl-drill-"  # how the rest of each name begins
_CHOICE = re.compile(rb"\[\^?([^\]])[^\]]*\]")


def faults(prefix: bytes, number: int) -> list[bytes]:
    """The names that begin with the prefix."""
    return [prefix + OWN + str(one).encode() for one in range(number)]


def decoys(prefix: bytes) -> list[bytes]:
    """Names that begin with nearly the prefix: a letter more, within a word, in other letters, or what it matches as a pattern."""
    nearly = [prefix[:-1] + b"x" + prefix[-1:], b"x" + prefix, prefix.swapcase(), prefix[:-1] + b"-", as_pattern(prefix)]
    return [one + OWN + b"decoy" for one in dict.fromkeys(nearly) if not one.startswith(prefix)]


def as_pattern(prefix: bytes) -> bytes:
    """Something that the prefix would match if it were a pattern; the prefix itself where no letter of it is special."""
    chosen = _CHOICE.sub(rb"\1", prefix)
    return chosen.replace(b"*", b"any").replace(b"?", b"x").replace(b"\\", b"")
