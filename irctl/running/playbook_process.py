"""The process that runs a playbook: begun while its run is still being made ready, because importing Ansible takes longer."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from irctl.catalog.content import ANSIBLE_CONFIG
from irctl.running.private_folder import CONFIG, PrivateFolder, explained, write

WORDS = "words.json"
ENDED_AFTER = 0.01  # seconds after the end of a process in which pexpect looks whether it has ended; by itself 0.1
_OPTIONS = {"ignore_sighup": True, "encoding": "utf-8", "codec_errors": "replace", "echo": False, "use_poll": True}


@contextmanager
def begun(run: str) -> Iterator[PlaybookProcess]:
    """Make the private folder of a run and begin its process; end both in the end. Raises EvidenceError."""
    process = PlaybookProcess(PrivateFolder(run))
    with process.folder.made():
        try:
            with explained(process.folder.files):
                process.begin()
            yield process
        finally:
            process.end()


class PlaybookProcess:
    """A process with the environment that ansible-runner will give it, which imports Ansible and waits for its command line."""

    def __init__(self, folder: PrivateFolder) -> None:
        self.folder = folder
        self._config = b""
        self._start: dict[str, Any] = {}
        self._child: Any = None

    def begin(self) -> None:
        """Begin it, with the ansible.cfg of this installation. Raises OSError."""
        self._config = ANSIBLE_CONFIG.read_bytes()
        write(self.folder.files / CONFIG, self._config)
        environment = self.folder.environment(os.environ) | _runner_environment(self.folder.files)
        self._begin({"cwd": str(self.folder.files), "env": environment, **_OPTIONS})

    def require_config(self, config: bytes) -> None:
        """Begin anew where the ansible.cfg that was planned with is not the one that the process has read. Raises OSError."""
        if config != self._config:
            self.end()
            (self.folder.files / CONFIG).unlink()
            self._config = config
            write(self.folder.files / CONFIG, config)

    def spawn(self, program: str, words: Sequence[str], **start: Any) -> Any:
        """What ansible-runner calls in place of pexpect.spawn: the process that was begun, if it was begun in the same way."""
        if self._child is None or start != self._start:
            self.end()
            self._begin(start)
        write(self.folder.files / WORDS, json.dumps([program, *words]))
        self._child.sendline()
        return self._child

    def end(self) -> None:
        """End it where it still lives: it was told nothing, or what it had started is ended."""
        if self._child is not None:
            if self._child.isalive():
                self._child.kill(signal.SIGKILL)
            self._child.close(force=True)
            self._child = None

    def _begin(self, start: Mapping[str, Any]) -> None:
        from pexpect import pty_spawn

        self._start = dict(start)
        self._child = pty_spawn.spawn(sys.executable, ["-m", "irctl.running.ansible_start", str(os.getpid())], **start)
        self._child.ptyproc.delayafterclose = ENDED_AFTER


def _runner_environment(private: Path) -> dict[str, str]:
    """What ansible-runner 2.4 adds to the environment. Where another version adds something else, the process is begun anew."""
    found = importlib.util.find_spec("ansible_runner")
    package = Path(found.origin or "").parent if found else Path()
    artifacts = private / "artifacts" / "run"
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(package / "display_callback" / "callback"),
        "ANSIBLE_STDOUT_CALLBACK": "awx_display",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "AWX_ISOLATED_DATA_DIR": str(artifacts),
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(artifacts / "fact_cache"),
        "RUNNER_OMIT_EVENTS": "False",
        "RUNNER_ONLY_FAILED_EVENTS": "False",
    }
