"""Which state of its files nginx was last seen to load: kept beside the list, in a file that no wildcard of an include takes in.

A state is what `nginx -T` prints, and the inode and the time of the last change of each file. States are only ever compared for
equality, so no clock decides: one that was stepped, or a container's own, makes no file loaded that was not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from ansible_collections.irctl.runbooks.plugins.module_utils.edge import whole_file

COMMENT = "# irctl: the state of nginx's files that it was seen to load: "  # does no harm where it is included after all


def state(printed: str, paths: Iterable[str]) -> str:
    """A digest of the configuration as it is now."""
    digest = hashlib.sha256(printed.encode("utf-8", "replace"))
    for path in sorted(set(paths)):
        try:
            status = os.stat(path)
            known = f"{status.st_ino} {status.st_ctime_ns} {status.st_size}"
        except OSError:
            known = "none"
        digest.update(f"\0{path}\0{known}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def note(path: str, loaded: str) -> None:
    """Keep that this state was loaded. Raises Failure."""
    whole_file.replace(_beside(path), f"{COMMENT}{loaded}\n".encode())


def is_noted(path: str, current: str) -> bool:
    """Whether this state was seen to be loaded. Raises Failure."""
    noted = whole_file.read(_beside(path))
    return noted is not None and noted.content.decode("ascii", "replace") == f"{COMMENT}{current}\n"


def _beside(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".irctl-{name}.loaded")
