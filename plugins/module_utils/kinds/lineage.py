"""The name of one of certbot's certificates, which becomes part of paths."""

from __future__ import annotations

import re

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "NAME"
_LINEAGE = re.compile(r"(?![.-])[A-Za-z0-9*._-]{1,200}", re.ASCII)


def check(value: object) -> str:
    """Raises ValueError."""
    if not _LINEAGE.fullmatch(values.text(value)):
        raise ValueError("the name of one of certbot's certificates is needed, such as shop.example.com")
    return str(value)
