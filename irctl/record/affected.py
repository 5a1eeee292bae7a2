"""What exactly a run is to change on a host, as its Capture wrote it down: how many, the first of them, and the file."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.affected import FILE, value_of
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.errors import EvidenceError
from irctl.record.runs import Folder, folder_of_host

FIRST = 100  # items of each host that a result holds itself
LONGEST = 200  # characters of a value there


def read(folder: Folder, host: str) -> dict[str, Any] | None:
    """`count`, the first `items`, and the `file` of all below the run's folder with its `sha256`; None where none was kept.

    Raises EvidenceError where the file is not what Capture writes.
    """
    path = folder.evidence / folder_of_host(host) / FILE
    if not paths.is_file(path):
        return None
    count, items, digest = 0, list[dict[str, Any]](), hashlib.sha256()
    try:
        with path.open("rb") as file:
            for line in file:
                items += [_item(line)] if count < FIRST else []
                count += 1
                digest.update(line)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise EvidenceError(f"{path} cannot be read: {error}") from None
    return {"count": count, "items": items, "file": str(path.relative_to(folder.path)), "sha256": digest.hexdigest()}


def _item(line: bytes) -> dict[str, Any]:
    return {printable(column, 40): value_of(value, LONGEST) for column, value in json.loads(line).items()}
