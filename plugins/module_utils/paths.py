"""What is at a path. What cannot be looked at is an error, never 'not there'.

Path.exists() and its like answer False to every OSError from Python 3.14 on, os.path's always did: a guard that asks them is
passed where nobody could look.
"""

from __future__ import annotations

import os
import stat
from typing import Any, TypeAlias

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure

Path: TypeAlias = "str | os.PathLike[str]"


class Unseen(Failure, OSError):
    """Nobody can say what is at a path."""

    def __str__(self) -> str:
        return f"{str(self.filename)[:200]!r} cannot be looked at: {self.strerror}"


def status(path: Path, *, follow: bool = True) -> os.stat_result | None:
    """What is there, links followed or not; None where nothing is. Raises Unseen."""
    try:
        return os.stat(path) if follow else os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unseen(error.errno, error.strerror, os.fspath(path)) from None


def exists(path: Path) -> bool:
    """Whether a file, a folder or anything else is there; a link to nothing is nothing. Raises Unseen, as all that follow."""
    return status(path) is not None


def has_name(path: Path) -> bool:
    """Whether anything has this name, be it a link to nothing."""
    return status(path, follow=False) is not None


def is_file(path: Path) -> bool:
    return _is(stat.S_ISREG, status(path))


def is_folder(path: Path) -> bool:
    return _is(stat.S_ISDIR, status(path))


def is_link(path: Path) -> bool:
    return _is(stat.S_ISLNK, status(path, follow=False))


def _is(kind: Any, found: os.stat_result | None) -> bool:
    return found is not None and bool(kind(found.st_mode))
