"""What a run needs of the process that it is started in: limits and a working folder. What cannot be put right is refused."""

from __future__ import annotations

import os
import resource

from irctl.errors import Invalid

OPEN_FILES = 256  # ten forks, each with its pipes and its sockets
LARGEST_FILE = 64 << 20  # bytes; a record of many hosts, and the evidence of one


def require() -> None:
    """Raises Invalid before anything is done, where a run might stop in the middle for want of it."""
    try:
        os.getcwd()
    except OSError as error:
        raise Invalid(f"the working folder cannot be used ({error.strerror}); change to another. Nothing was run") from None
    _require(resource.RLIMIT_NOFILE, OPEN_FILES, "open files", "ulimit -n")
    _require(resource.RLIMIT_FSIZE, LARGEST_FILE, "bytes in a file", "ulimit -f")


def _require(number: int, needed: int, what: str, command: str) -> None:
    soft, hard = resource.getrlimit(number)
    if _suffices(soft, needed):
        return
    if not _suffices(hard, needed):
        raise Invalid(f"only {hard} {what} are allowed here and a run needs {needed} ({command}). Nothing was run")
    resource.setrlimit(number, (needed, hard))


def _suffices(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
