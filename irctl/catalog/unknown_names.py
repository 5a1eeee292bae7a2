"""What to say of a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.irctl.runbooks.plugins.module_utils.values import escaped


def quoted(name: str) -> str:
    return f"'{escaped(name, 80)}'"


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean x?' where something known is near, else ''."""
    import difflib

    near = difflib.get_close_matches(name, list(known), 1)
    return f" Did you mean {near[0]}?" if near else ""
