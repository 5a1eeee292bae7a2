"""What keys in a bucket begin with: plain names joined by slashes."""

from __future__ import annotations

import re

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "PREFIX"
_PREFIX = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", re.ASCII)


def check(value: object) -> str:
    """Raises ValueError."""
    if not _PREFIX.fullmatch(values.text(value)) or len(str(value)) > 200:
        raise ValueError("plain names joined by slashes are needed, such as irctl/prod")
    return str(value)
