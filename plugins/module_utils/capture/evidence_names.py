"""Paths of evidence as names that can be kept and as text that can be shown, whatever bytes are in them. Pure."""

from __future__ import annotations

import os
from urllib.parse import quote

LONGEST_PART = 255  # bytes, as most file systems have it
LONGEST = 2000  # bytes; what is before it on the controller has to fit too


def safe(path: str) -> str:
    """An absolute path as one within an archive: what is not plain text in a name is written as %XX."""
    parts = [part for part in path.split("/") if part]
    return "/".join(part if part.isprintable() and "%" not in part else quote(os.fsencode(part)) for part in parts)


def shown(source: str) -> str:
    """A path as text that can be kept and shown."""
    text = os.fsencode(source).decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def is_inside(name: str) -> bool:
    """Whether a name leads to a file below the folder that it is put in, and nowhere else; it may come from a hostile host."""
    parts = name.split("/")
    plain = all(part not in ("", ".", "..") and part.isprintable() for part in parts)
    return plain and fits(name)


def fits(name: str) -> bool:
    return len(os.fsencode(name)) <= LONGEST and all(len(os.fsencode(part)) <= LONGEST_PART for part in name.split("/"))
