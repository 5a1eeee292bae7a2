"""Programs of the host: run one by its list of words, without a shell, and get what it prints or a Failure that says why not."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, AnyStr

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

# A Ctrl-C of the terminal is for this process, which asks the program to end once: two requests would disturb what it puts back.
GROUP: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"start_new_session": True}
GRACE = 10.0  # seconds from the request to end until the kill
MARK = "IRCTL_GRACE"  # in the environment of a program that is to be asked to end, and of its own children: its grace in seconds
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def output(words: Sequence[str], given: str = "", seconds: float = 30, *, errors: bool = False) -> str:
    """What the program prints; with `errors` also on standard error. Raises Failure where it does not end well, or not in time."""
    name = os.path.basename(words[0])
    surroundings = {**os.environ, "LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:{PATH}"}
    try:
        done = run(words, given, seconds, surroundings)
    except FileNotFoundError:
        raise Failure(f"The host has no program {printable(name)}.") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{printable(name)} did not end in {seconds:.0f} s.") from None
    except OSError as error:
        raise Failure(f"{printable(name)} cannot be started: {error.strerror}.") from None
    if done.returncode:
        raise Failure(f"{printable(name)} says: {_why(done.stderr or done.stdout)}")
    return done.stdout + (done.stderr if errors else "")


def run(
    words: Sequence[str], given: str, seconds: float, surroundings: Mapping[str, str], grace: float = GRACE
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; what it prints stays as it is, carriage returns too.

    Where it takes too long, or this process is told to stop, it is asked to end (SIGTERM) and killed only after `grace` seconds: it
    may have something to put back. Raises OSError where it cannot be started, and TimeoutExpired.
    """
    marked = {**surroundings, MARK: str(grace)}
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(words, env=marked, **pipes, **GROUP) as process:
        try:
            printed, errors = process.communicate(given.encode(), seconds)
        except BaseException:
            end(process, grace)
            raise
    return subprocess.CompletedProcess(words, process.returncode, _decoded(printed), _decoded(errors))


def end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ask a program, which leads a group of its own, to end; kill its group where it does not within so many seconds."""
    process.terminate()
    try:
        process.communicate(timeout=grace)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _decoded(printed: bytes) -> str:
    return printed.decode("utf-8", "replace")


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
    making = 0 if paths.is_folder(path) else os.O_CREAT
    try:
        descriptor = os.open(path, os.O_RDONLY | making | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Failure(f"{path} cannot be held: {error.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
