"""The lab's AWS: a moto server as a process of its own, on loopback, with keys that are worth nothing anywhere else."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.errors import IrctlError
from irctl.lab import INSTALL, moto
from irctl.record.folders import make_folder, private

if TYPE_CHECKING:
    import psutil

NEEDED = ("moto", "flask", "flask_cors", "py_partiql_parser")
LACKING = f"The lab has no AWS, for lack of moto; install it with: {INSTALL}"
NOBODY = "http://127.0.0.1:1"  # named where there is no server, so that nothing ever goes to the real AWS
PROFILE = "irctl-lab"
KEYS = f"[{PROFILE}]\naws_access_key_id = irctl-lab\naws_secret_access_key = irctl-lab\n"
WAIT = 60.0  # seconds


def installed() -> bool:
    """Whether the packages that the server needs are there."""
    return all(importlib.util.find_spec(name) for name in NEEDED)


@dataclass(frozen=True)
class Aws:
    """One moto server below a folder; all that is in it is gone when it ends."""

    folder: Path

    @property
    def url(self) -> str:
        """Its address; NOBODY where it is not up."""
        path = self.folder / moto.URL
        return path.read_text() if paths.exists(path) else NOBODY

    @property
    def credentials(self) -> Path:
        return self.folder / "credentials"

    @property
    def config(self) -> Path:
        """An empty file, so that nothing of the caller's own configuration is read."""
        return self.folder / "config"

    def running(self) -> bool:
        return self._process() is not None and self.url != NOBODY

    def prepare(self) -> None:
        """Make its folder and the files that lead to it, and to nothing else."""
        make_folder(self.folder)
        for path, text in ((self.credentials, KEYS), (self.config, "")):
            with open(path, "w", opener=private) as file:
                file.write(text)

    def start(self) -> None:
        """Begin to start it; `wait` returns when it answers. Nothing of the caller's surroundings goes along, no key above all."""
        self._kill()
        (self.folder / moto.URL).unlink(missing_ok=True)
        with open(self.folder / "log", "wb", opener=private) as log:
            process = subprocess.Popen(
                [sys.executable, "-P", moto.__file__, str(self.folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
                umask=0o077,
            )  # fmt: skip
        try:
            with open(self.folder / moto.PID, "w", opener=private) as file:
                file.write(str(process.pid))
        except OSError:  # nobody would find it again
            process.kill()
            process.wait()
            raise
        while process.poll() is None and self._process() is None:
            time.sleep(0.001)  # the kernel has let go of the parent a moment before the process can be told by its words

    def wait(self) -> None:
        """Wait until it answers and its account is furnished; it is stopped if that fails. Raises IrctlError with what it said."""
        until = time.monotonic() + WAIT
        try:
            while not self.running():
                if self._process() is None or time.monotonic() > until:
                    raise IrctlError(f"the lab's AWS did not start: {self._said()}")
                time.sleep(0.02)
        except BaseException:
            self._kill()
            raise

    def _said(self) -> str:
        lines = (self.folder / "log").read_text(errors="replace").split()
        return " ".join(lines)[-300:] or "it said nothing"

    def stop(self) -> None:
        """Stop it at once and remove what it kept."""
        self._kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kill(self) -> None:
        if process := self._process():
            process.kill()

    def _process(self) -> psutil.Process | None:
        """Its process; None where it has ended, or another one has that number by now."""
        import psutil

        try:
            process = psutil.Process(int((self.folder / moto.PID).read_text()))
            return process if str(self.folder) in process.cmdline() else None
        except (OSError, ValueError, psutil.Error):
            return None
