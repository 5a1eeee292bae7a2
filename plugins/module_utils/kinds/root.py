"""A folder of logs, never all that there is and none that the kernel makes up."""

from __future__ import annotations

import os

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "PATH"
NEVER = ("/proc", "/sys", "/dev")


def check(value: object) -> str:
    """Raises ValueError."""
    whole = "/" + os.path.normpath(values.path(value)).lstrip("/")
    if whole == "/" or any(whole == folder or whole.startswith(f"{folder}/") for folder in NEVER):
        raise ValueError("a folder of logs is needed, such as /var/log")
    return str(value)
