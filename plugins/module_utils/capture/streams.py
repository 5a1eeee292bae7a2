"""What a program prints, piece by piece, so that it may be more than fits into memory."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.programs import PATH, pipe
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

PIECE = 1 << 16


class Program:
    """A program under way; it and all that it started end when it is left, or when its time is up. Raises Failure."""

    def __init__(self, words: Sequence[str], seconds: float) -> None:
        self._name, self._seconds, self._late = os.path.basename(words[0]), seconds, False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        surroundings = {**os.environ, "LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:{PATH}"}
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=surroundings,
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            missing = isinstance(error, FileNotFoundError)
            why = f"The host has no program {self._name}." if missing else f"{self._name} cannot be started: {error.strerror}."
            raise Failure(why) from None
        self._timer = threading.Timer(seconds, self._end, [True])
        self._timer.daemon = True

    def _end(self, late: bool) -> None:
        if self._process.poll() is None:
            self._late = late
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def __enter__(self) -> Program:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._timer.cancel()
        self._end(False)
        pipe(self._process.stdout).close()
        self._process.wait()
        self._errors.close()

    def pieces(self, most: int) -> Iterator[bytes]:
        """At most so many bytes of what it prints; after that it is ended. Raises Failure where it does not end well by itself."""
        printed = pipe(self._process.stdout).fileno()
        while most and (piece := os.read(printed, min(PIECE, most))):
            most -= len(piece)
            yield piece
        if not most:
            return
        code = self._process.wait()
        if self._late:
            raise Failure(f"{self._name} did not end in {self._seconds:.0f} s.")
        if code:
            raise Failure(f"{self._name} says: {self._said()}")

    def _said(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read(4096).decode("utf-8", "replace").split("\n")
        return printable(next((line.strip() for line in lines if line.strip()), "nothing"))
