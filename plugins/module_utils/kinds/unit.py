"""The name of a unit of systemd, or a pattern of such names."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "UNIT"
check = values.unit
