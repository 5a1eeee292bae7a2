"""Programs of the host: run one by its list of words, without a shell, and get what it prints or a Failure that says why not."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, AnyStr

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def output(words: Sequence[str], given: str = "", seconds: float = 30, *, errors: bool = False) -> str:
    """What the program prints; with `errors` also on standard error. Raises Failure where it does not end well, or not in time."""
    name = os.path.basename(words[0])
    surroundings = {**os.environ, "LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:{PATH}"}
    try:
        done = subprocess.run(
            words, input=given, capture_output=True, text=True, errors="replace", timeout=seconds, env=surroundings, check=False
        )
    except FileNotFoundError:
        raise Failure(f"The host has no program {printable(name)}.") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{printable(name)} did not end in {seconds:.0f} s.") from None
    except OSError as error:
        raise Failure(f"{printable(name)} cannot be started: {error.strerror}.") from None
    if done.returncode:
        raise Failure(f"{printable(name)} says: {_why(done.stderr or done.stdout)}")
    return done.stdout + (done.stderr if errors else "")


def _why(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return printable(next((line for line in lines if "Error" in line or "[emerg]" in line), lines[0] if lines else "nothing"))


def pipe(stream: IO[AnyStr] | None) -> IO[AnyStr]:
    """The stream of a process that was started with PIPE for it."""
    if stream is None:
        raise ValueError("the process was started without a pipe here")
    return stream


@contextmanager
def alone(path: str) -> Iterator[None]:
    """Hold off other runs of irctl on this host that hold the same file or folder."""
    making = 0 if os.path.isdir(path) else os.O_CREAT
    try:
        descriptor = os.open(path, os.O_RDONLY | making | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Failure(f"{path} cannot be held: {error.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
