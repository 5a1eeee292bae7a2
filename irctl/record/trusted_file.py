"""Whether a file can be believed: only root and the caller may change it, or what leads to it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_LINKS = 40  # as the kernel has it


def who_else_may_change(path: Path) -> str:
    """A sentence about the first thing on the way to a file that somebody else could change or replace, or ''. Raises OSError."""
    waiting = list(reversed(path.absolute().parts[1:]))
    place, links = Path("/"), 0
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            place = place.parent
            continue
        if fault := _fault(place, os.stat(place)):
            return fault
        following = place / part
        if stat.S_ISLNK(os.lstat(following).st_mode):
            links += 1
            if links > MOST_LINKS:
                raise OSError(40, "too many links", str(path))
            target = Path(os.readlink(following))
            place = Path("/") if target.is_absolute() else place
            waiting += reversed([one for one in target.parts if one != "/"])
        else:
            place = following
    return _fault(place, os.stat(place))


def _fault(path: Path, status: os.stat_result) -> str:
    """What is wrong with one folder or file. In a folder such as /tmp nobody can replace what belongs to somebody else."""
    what = "folder" if stat.S_ISDIR(status.st_mode) else "file"
    if status.st_uid not in (0, os.geteuid()):
        return f"the {what} {path} belongs to user {status.st_uid}, who can change it"
    sticky = what == "folder" and status.st_mode & stat.S_ISVTX
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
        return f"others can write to the {what} {path}, so it proves nothing; chmod go-w"
    return ""
