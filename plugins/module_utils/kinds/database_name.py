"""The name of a database or a role; no address and no connection string, in which a password may stand."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "NAME"
check = values.database_name
