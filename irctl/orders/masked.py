"""What a plan shows of a value of the inventory in which a secret stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import masks
from irctl.running.fingerprints import fingerprint


def masked(name: str, value: Any) -> Any:
    """The value of a variable, each text without the secrets that stand in it, as in a command line; a fingerprint is beside it."""
    if isinstance(value, Mapping):
        return {key: masked(str(key), one) for key, one in value.items()}
    if isinstance(value, list):
        return [masked(name, one) for one in value]
    if isinstance(value, str) and (rest := masks.by_rule(value)) != value:
        return f"{rest}, where *** is a secret; the fingerprint of all of it is {fingerprint(name, value)}"
    return value
