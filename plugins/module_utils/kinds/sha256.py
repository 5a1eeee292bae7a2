"""A sha256 in hex."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "SHA256"
check = values.sha256
