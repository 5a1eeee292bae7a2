"""A small file that is read whole, and replaced as a whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure

LARGEST = 16 << 20  # bytes


class Content(NamedTuple):
    """A file as it was, with its times of access and change in nanoseconds."""

    content: bytes
    times: tuple[int, int]


def read(path: str) -> Content | None:
    """The file as it is; None where there is none. Raises Failure."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > LARGEST:
        raise Failure(f"{path} has more than {LARGEST} bytes.")
    return Content(content, (status.st_atime_ns, status.st_mtime_ns))


def replace(path: str, content: bytes, times: tuple[int, int] | None = None) -> None:
    """Put a whole new file in the place of the old one. Raises Failure, and then the old one is there."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".irctl-", dir=os.path.dirname(path))
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                _as_before(path, file.fileno())
                file.flush()
                os.fsync(file.fileno())
            if times:
                os.utime(name, ns=times)
            os.rename(name, path)
        except BaseException:
            os.unlink(name)
            raise
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}.") from None


def _as_before(path: str, descriptor: int) -> None:
    """Owner and mode of the file that is replaced; all may read a new one, because ModSecurity does as the user of the workers."""
    os.fchmod(descriptor, 0o644)
    with suppress(FileNotFoundError, PermissionError):
        status = os.stat(path)
        os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
