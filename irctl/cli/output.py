"""Standard output and error: where they are closed, full or read by nobody, that decides nothing about what is done."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from irctl.errors import FAILED
from irctl.running import signals


class _Tolerant(io.FileIO):
    """A file that goes on as if everything was written, once something could not be."""

    lost: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return len(content) if self.lost else super().write(content)
        except OSError as error:
            self.lost = error
            return len(content)


class _Inert(io.TextIOWrapper):
    """Writes no character that changes the direction of writing or does not show; styles and line ends are irctl's own."""

    def write(self, text: str) -> int:
        from ansible_collections.irctl.runbooks.plugins.module_utils.values import shown

        super().write(text if text.isascii() else shown(text, but="\x1b\n\r\t\b\x07"))
        return len(text)


def prepare() -> None:
    """Put something in the place of what is closed, and bear with what cannot be written."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    sys.stdin = sys.stdin or io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout, sys.stderr = _tolerant(sys.stdout, 1), _tolerant(sys.stderr, 2)


def _tolerant(stream: TextIO | None, number: int) -> TextIO:
    if stream is not None and (type(stream) is not io.TextIOWrapper or isinstance(_raw(stream), _Tolerant)):
        return stream  # a test's, or done before
    encoding, errors = (stream.encoding, stream.errors) if stream else ("utf-8", "strict")
    buffered = io.BufferedWriter(_Tolerant(number, "w", closefd=False))
    forgiving = "backslashreplace" if errors == "strict" else errors
    return _Inert(buffered, encoding, forgiving, line_buffering=number == 2 or buffered.isatty())


def _raw(stream: TextIO) -> Any:
    return getattr(getattr(stream, "buffer", None), "raw", None)


def tell(message: str, outcome: str, code: int, given: Sequence[str]) -> int:
    """One line on standard error, and with --json the object that says the same; the code."""
    if "_IRCTL_COMPLETE" in os.environ:  # a shell asks for completions; it can do nothing with complaints
        return code
    print(f"error: {message}", file=sys.stderr, flush=True)
    if "--json" in given:
        import json

        from irctl.cli.error_objects import error_object

        print(json.dumps(error_object(message, outcome, code, given)), flush=True)
    return code


def settle(code: int) -> int:
    """Flush standard output and return the exit code: FAILED where output was lost, but a run's own code stands.

    A reader that reads no further, such as `head`, loses nothing.
    """
    sys.stdout.flush()
    lost: OSError | None = getattr(_raw(sys.stdout), "lost", None)
    if lost is None or (lost.errno == errno.EPIPE and not signals.ran()):
        return code
    message = f"standard output could not be written: {lost.strerror}; what was done stands"
    print(f"{'warning' if signals.ran() else 'error'}: {message}", file=sys.stderr, flush=True)
    return code if signals.ran() else code or FAILED
