"""Statements as they may be kept: without the values in them. Pure."""

from __future__ import annotations

import re

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

_SECRET = re.compile(r"\b(password|secret|token|user\s+mapping|connection|key)\b", re.IGNORECASE)
_LITERALS = re.compile(
    r"""
      /\*.*?(\*/|$)                              # comments may quote anything
    | --[^\n]*
    | \$(?P<tag>\w*)\$.*?(\$(?P=tag)\$|$)        # dollar quotes, closed or cut off
    | [eE]'(\\.|''|[^'\\])*('|\\?$)
    | '(''|[^'])*('|$)
    | (?<![\w$"])[-+]?\d[\w.]*
    """,
    re.VERBOSE | re.DOTALL,
)


def without_values(statement: str, most: int = 200) -> str:
    """Return the statement with every literal as '?', or only its first word where it speaks of secrets."""
    if _SECRET.search(statement):
        return f"{printable(statement.split(None, 1)[0], 20)} … (not shown: it may hold a secret)"
    return printable(" ".join(_LITERALS.sub("?", statement).split()), most)
