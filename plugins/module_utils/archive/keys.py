"""How the objects of an archive are called. Pure.

Below the prefix of the archive lie files/NAME/PATH for each file and manifests/NAME/NUMBER.json for each state of NAME that was
archived whole. Nothing is ever overwritten: content that has changed since goes to files/NAME/PATH~HASH.
"""

from __future__ import annotations

import re

from ansible_collections.irctl.runbooks.plugins.module_utils.kinds import prefix as prefix_kind
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import plain
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

LONGEST = 1024 - 33  # bytes; the rest is for what changed content is told apart by


def check_prefix(prefix: str) -> str:
    """Raises ValueError for a prefix that is not plain names joined by slashes."""
    try:
        return prefix_kind.check(prefix)
    except ValueError as error:
        raise ValueError(f"prefix: {error} (got '{printable(prefix, 80)}')") from None


def name_of_tree(root: str) -> str:
    return f"trees/{plain(root.strip('/'))}"


def file_key(prefix: str, name: str, path: str) -> str:
    return f"{prefix}/files/{name}/{plain(path)}"


def manifest_key(prefix: str, name: str, number: int) -> str:
    return f"{prefix}/manifests/{name}/{number:06}.json"


def manifest_number(prefix: str, name: str, key: str) -> int:
    """The number of a manifest by its key; 0 for what is none of this name's."""
    match = re.fullmatch(rf"{re.escape(f'{prefix}/manifests/{name}/')}([0-9]{{6}})\.json", key, re.ASCII)
    return int(match[1]) if match else 0


def candidates(key: str, sha256: str) -> list[str]:
    """Where content may go, in this order: the later ones for what meets other content under the earlier ones."""
    return [key, f"{key}~{sha256[:16]}", f"{key}~{sha256[:32]}"]


__all__ = ["LONGEST", "candidates", "check_prefix", "file_key", "manifest_key", "manifest_number", "name_of_tree", "plain"]
