"""The names by which a module itself knows what roles share: edge_nft_set is nft_set in what blocks addresses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def own_names(params: Mapping[str, Any], prefixes: Sequence[str], names: Mapping[str, str]) -> dict[str, Any]:
    """The parameters with one name more: without the prefix of what is shared, or as `names` has it. What is there stays."""
    more = {names.get(name) or _without(name, prefixes): value for name, value in params.items()}
    return {**more, **params}


def _without(name: str, prefixes: Sequence[str]) -> str:
    return next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)
