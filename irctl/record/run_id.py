"""What a run is called."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime


def new_id(title: str) -> str:
    """An id such as 20261121T022311Z-db-connections-7f3a01, of a run of `db-connections`."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{title.replace(' ', '-')}-{secrets.token_hex(3)}"
