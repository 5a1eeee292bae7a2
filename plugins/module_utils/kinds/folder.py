"""A folder whose content is meant, which is never '/'."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "PATH"
check = values.folder
