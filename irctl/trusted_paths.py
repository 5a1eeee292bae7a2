"""Whether what lies at a path can be believed: who may change it, or replace it on the way there, links followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from irctl.errors import invalid

MOST_LINKS = 40  # as the kernel has it


def way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every folder and link that is passed on the way to a path, and at last what is there. Raises OSError."""
    waiting = list(reversed(path.absolute().parts[1:]))
    place, links = Path("/"), 0
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            place = place.parent
            continue
        yield place, os.stat(place)
        following = place / part
        status = os.lstat(following)
        if stat.S_ISLNK(status.st_mode):
            yield following, status
            links += 1
            if links > MOST_LINKS:
                raise OSError(40, "too many links", str(path))
            target = Path(os.readlink(following))
            place = Path("/") if target.is_absolute() else place
            waiting += reversed([name for name in target.parts if name != "/"])
        else:
            place = following
    yield place, os.stat(place)


def who_else_may_change(path: Path) -> str:
    """A sentence about the first thing on the way that others than root and the caller could change, or ''. Raises OSError."""
    return next(filter(None, (_fault(place, status) for place, status in way(path))), "")


def require_not_everybodys(setting: str, path: Path) -> None:
    """Raises Invalid where everybody may write to what is there, or to a folder on the way. What is not there is nobody's."""
    try:
        for place, status in way(path):
            _require_not_everybodys(setting, place, status)
    except OSError:
        return


def require_file_not_everybodys(setting: str, path: Path) -> None:
    """The same for one file of a folder that is not everybody's. Raises Invalid, OSError."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        require_not_everybodys(setting, path)
    else:
        _require_not_everybodys(setting, path, status)


def require_folder_not_everybodys(setting: str, path: Path) -> None:
    """The same for a folder in which every file counts: not even one such as /tmp will do, to which everybody may add."""
    require_not_everybodys(setting, path)
    with suppress(OSError):
        if os.stat(path).st_mode & stat.S_IWOTH:
            raise invalid(setting, "everybody may add to this folder, so it cannot be trusted; chmod o-w", path)


def require_beside_not_everybodys(setting: str, path: Path, names: Iterable[str]) -> None:
    """The same for the folders of these names beside a file, which are used with it, wherever links lead. Raises Invalid.

    Where everybody may add to the folder of the file, they belong to root, to the caller or to whom the file belongs.
    """
    owners = {0, os.geteuid(), os.stat(path).st_uid}
    for beside in (path.parent / name for name in names):
        with suppress(OSError):
            status = os.lstat(beside)
            if status.st_uid not in owners and os.stat(path.parent).st_mode & stat.S_IWOTH:
                raise invalid(setting, f"it belongs to user {status.st_uid}, as everybody may add to its folder", beside)
            require_tree_not_everybodys(setting, beside)


def require_tree_not_everybodys(setting: str, root: Path) -> None:
    """The same for all that is below a folder too, through links. Raises Invalid."""
    require_not_everybodys(setting, root)
    seen: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            below.clear()
            continue
        seen.add(real)
        require_folder_not_everybodys(setting, Path(folder))
        for path in (Path(folder) / name for name in (*below, *names)):
            require_file_not_everybodys(setting, path)


def _require_not_everybodys(setting: str, path: Path, status: os.stat_result) -> None:
    if status.st_mode & stat.S_IWOTH and not stat.S_ISLNK(status.st_mode) and not _is_sticky(status):
        raise invalid(setting, "writable by everybody, so it cannot be trusted; chmod o-w", path)


def _fault(path: Path, status: os.stat_result) -> str:
    """What is wrong with one folder, link or file."""
    what = "folder" if stat.S_ISDIR(status.st_mode) else "link" if stat.S_ISLNK(status.st_mode) else "file"
    if status.st_uid not in (0, os.geteuid()):
        return f"the {what} {path} belongs to user {status.st_uid}, who can change it"
    if what != "link" and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not _is_sticky(status):
        return f"others can write to the {what} {path}, so it proves nothing; chmod go-w"
    return ""


def _is_sticky(status: os.stat_result) -> bool:
    """In a folder such as /tmp nobody can replace what belongs to somebody else."""
    return stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)
