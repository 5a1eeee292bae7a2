"""The name of a thing on a server: 1 to 63 bytes, as PostgreSQL has it."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "NAME"
check = values.name
