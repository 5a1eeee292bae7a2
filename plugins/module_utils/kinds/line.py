"""One line of text, such as a word of a command."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values

METAVAR = "TEXT"
check = values.line
