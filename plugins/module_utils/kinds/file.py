"""A file or folder as its host knows it; ~ may begin it."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "PATH"
check = values.file
