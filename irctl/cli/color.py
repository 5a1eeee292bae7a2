"""Whether to colour what is printed."""

from __future__ import annotations

import os


def setting() -> bool | None:
    """Click's setting: False where NO_COLOR is set or the terminal has none (TERM=dumb), else None: by whether it is a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None
