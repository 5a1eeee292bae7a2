"""Fetch the snapshot that a module made on its target, check it against the module's hashes, and leave nothing of it there."""

from __future__ import annotations

import os
import resource
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import snapshots
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import EvidenceLost


def take(action: ActionBase, snapshot: dict[str, Any], folder: str) -> None:
    """Fetch, take apart, compare; whatever happens nothing of it stays on the target. Raises AnsibleActionFail."""
    if not folder:
        raise AnsibleActionFail("Evidence cannot be kept: run_evidence_folder is not set")
    fetched, remote = os.path.join(folder, ".snapshot"), os.path.dirname(snapshot["path"])
    if not os.path.basename(remote).startswith(snapshots.PREFIX):
        raise AnsibleActionFail("Evidence cannot be kept: what the host names is no snapshot")
    try:
        _require_room(folder, snapshot["bytes"])
        with _no_larger_than(snapshot["bytes"]):
            action._connection.fetch_file(snapshot["path"], fetched)
        snapshots.unpack(fetched, snapshot["files"], folder)
    except (OSError, EvidenceLost, AnsibleError) as error:
        raise AnsibleActionFail(f"Evidence cannot be kept: {error}") from None
    finally:
        with suppress(OSError):
            os.unlink(fetched)
        action._low_level_execute_command(f"rm -rf {shlex.quote(remote)}")


def _require_room(folder: str, size: int) -> None:
    """Twice, because it is taken apart beside itself."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    disk = os.statvfs(folder)
    if 2 * size + snapshots.ROOM > disk.f_bavail * disk.f_frsize:
        raise EvidenceLost(f"it takes {2 * size} bytes here for a while, and {disk.f_bavail * disk.f_frsize} are free")


@contextmanager
def _no_larger_than(size: int) -> Iterator[None]:
    """The program that fetches must not fill the disk, should the file have become another one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + (1 << 20), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
