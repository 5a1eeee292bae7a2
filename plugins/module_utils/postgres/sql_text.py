"""Statements as they may be kept: without the values in them. Pure."""

from __future__ import annotations

import re

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

_SECRET = re.compile(r"pass|secret|token|credential|user\s+mapping|connection|key", re.IGNORECASE)
_UNQUOTED = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)
_WORD = re.compile(r"[A-Za-z]{1,20}")
# Words, plain quoted names, parameters and operators, up to the first string or comment. From there on nothing is shown,
# because to pair quotes without the server's own parser is to guess, and a wrong guess shows what it should hide.
_PLAIN = re.compile(r"""(?:[A-Za-z_][\w$]*(?!['&])|"\w+"|\$\d+|\d[\w.]*|\s+|-(?!-)|/(?!\*)|[^\w\s"'$/-])*""", re.ASCII)
_NUMBER = re.compile(r"(?<![\w$\"])\d[\w.]*", re.ASCII)


def identifier(name: str) -> str:
    """A name as it stands in a command that a person is to paste."""
    text = printable(name)
    return text if _UNQUOTED.fullmatch(text) else '"{}"'.format(text.replace('"', '""'))


def without_values(statement: str, most: int = 200) -> str:
    """Return the statement up to its first string or comment, numbers as '?'; only its first word where it speaks of secrets."""
    if _SECRET.search(statement):
        word = _WORD.match(statement.lstrip())
        return f"{word[0] if word else ''} … (not shown: it may hold a secret)".lstrip()
    plain = _PLAIN.match(statement)
    shown = plain[0] if plain else ""
    return printable(" ".join(_NUMBER.sub("?", shown).split()) + ("" if shown == statement else " …"), most)
