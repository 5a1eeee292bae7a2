"""What only the processes of one run may read: its files, its ssh sockets, and the environment that leads to them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog.content import COLLECTIONS
from irctl.errors import EvidenceError
from irctl.record import locks

# What Ansible may see of the caller's environment. Everything else could name foreign code or hold a secret.
ENVIRONMENT = ("HOME", "LOGNAME", "PATH", "SSH_AUTH_SOCK", "TZ", "USER")
CONFIG = "ansible.cfg"
ALIVE = "alive"  # locked for as long as the run's process lives
SWEEP_AFTER = 60.0  # seconds


@dataclass(frozen=True)
class PrivateFolder:
    """The folders of the run of this id; both are gone when it ends."""

    run: str

    @property
    def files(self) -> Path:
        return Path(tempfile.gettempdir()) / f"irctl-{self.run}"

    @property
    def sockets(self) -> Path:
        """A socket's path has at most 108 bytes, whatever TMPDIR says.

        Each run has ssh masters of its own, because one that another run opened would carry this one past the check of the
        host's key.
        """
        return Path("/tmp") / f"irctl-ssh-{self.run[-6:]}"

    def environment(self, callers: Mapping[str, str]) -> dict[str, str]:
        """The environment of the run's processes, from that of the caller."""
        return {name: callers[name] for name in ENVIRONMENT if name in callers} | {
            "ANSIBLE_CONFIG": str(self.files / CONFIG),
            # The first that has a collection counts.
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([str(self.files), str(COLLECTIONS.parent)]),
            "ANSIBLE_HOME": str(self.files / "home"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.sockets),
            "LC_ALL": "C.UTF-8",  # Ansible takes no other encoding, and not every locale that ssh hands on is installed
        }

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the folders, and remove them in the end. Raises EvidenceError where they cannot be made."""
        alive = None
        try:
            with explained(self.files):
                self.files.mkdir(mode=0o700)
                self.sockets.mkdir(mode=0o700)
                alive = locks.hold(self.files / ALIVE)
            yield
        finally:
            self.remove()
            locks.release([alive] if alive is not None else [])

    def remove(self) -> None:
        """Remove both, of a run that is over."""
        for folder in (self.files, self.sockets):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Raises EvidenceError in place of the OSError of a file in a private folder."""
    try:
        yield
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be written: {error.strerror}; nothing was run") from None


def write(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write a file that is not there yet. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sweep() -> None:
    """Remove what runs left behind that were killed before their record began; a folder just being made is let be."""
    from irctl.record.seal import RUN_ID

    for path in Path(tempfile.gettempdir()).glob("irctl-*Z-*"):
        with suppress(OSError, EvidenceError):
            status, run = path.lstat(), path.name.removeprefix("irctl-")
            ours = paths.is_folder(path) and status.st_uid == os.geteuid() and RUN_ID.fullmatch(run)
            if ours and time.time() - status.st_mtime > SWEEP_AFTER and (held := locks.hold(path / ALIVE)) is not None:
                PrivateFolder(run).remove()
                locks.release([held])
