"""The address of a service, without user and password."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "URL"
check = values.endpoint
