"""Where a server is: a name, an address, several of them, or the folder of a socket; no URL."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "HOST"
check = values.host
