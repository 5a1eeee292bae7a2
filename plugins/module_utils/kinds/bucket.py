"""The name of a bucket of S3."""

from __future__ import annotations

import re

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "BUCKET"
_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


def check(value: object) -> str:
    """Raises ValueError for a name that no bucket has."""
    if not _BUCKET.fullmatch(values.text(value)):
        raise ValueError("3 to 63 lower-case letters, digits, dots and hyphens are needed")
    return str(value)
