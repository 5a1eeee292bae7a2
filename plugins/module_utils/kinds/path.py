"""A file or folder on a host, from the root on."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "PATH"
check = values.path
