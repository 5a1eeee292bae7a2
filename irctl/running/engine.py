"""Run one playbook through ansible-runner: a fresh private folder, a minimal environment, values as data, a stated end."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog.content import COLLECTIONS
from irctl.catalog.snapshot import CONFIG, Snapshot
from irctl.errors import INDETERMINATE, EvidenceError, IrctlError
from irctl.record import locks
from irctl.record.seal import RUN_ID
from irctl.running import signals
from irctl.running.processes import adopt_orphans, kill_children, prepare

# What Ansible may see of the caller's environment. Everything else could name foreign code or hold a secret.
ENVIRONMENT = ("HOME", "LOGNAME", "PATH", "SSH_AUTH_SOCK", "TZ", "USER")
ALIVE = "alive"  # locked for as long as the run's process lives
SWEEP_AFTER = 60.0  # seconds
NO_RETRIES = {  # a command whose connection was lost may have had its effect: whatever the inventory says, it is not sent again
    "ansible_ssh_retries": 0,
    "ansible_psrp_reconnection_retries": 0,
    "ansible_aws_ssm_retries": 0,
}

Event = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One playbook to run: what the caller typed, and nothing else, becomes variables."""

    run: str
    playbook: str
    content: Snapshot
    inventory: Path
    names: tuple[str, ...]
    variables: tuple[str, ...]
    modules: tuple[str, ...]
    given: Mapping[str, Any]
    vault_identities: tuple[str, ...] = ()
    check: bool = False
    timeout: int = 600
    verbosity: int = 0


@dataclass
class End:
    """How the process ended: its return code, why it was cut short if it was, its messages outside of any event, the reports."""

    code: int = 1
    interrupted: str = ""
    messages: list[str] = field(default_factory=list)
    reports: dict[str, Any] = field(default_factory=dict)


class NotBegun(IrctlError):
    """It was stopped, or ran out of time, before anything was run."""

    outcome, exit_code = "indeterminate", INDETERMINATE


def carry_out(job: Job, gate: Callable[[dict[str, Any]], None], watch: Callable[[Event], None]) -> End:
    """Run the job. `gate` sees the resolved hosts and raises IrctlError to stop before anything is done; `watch` sees each event.

    SIGINT, SIGTERM, SIGHUP and the time limit kill every process of the run at once; End.interrupted then says which.
    Raises NotBegun where that came before the gate let the run through.
    """
    end = End()
    with _cut_short_by_signals(end, job.timeout):
        return _in_folders(end, job, gate, watch)


def _in_folders(end: End, job: Job, gate: Callable[[dict[str, Any]], None], watch: Callable[[Event], None]) -> End:
    private, sockets = folders(job.run)
    alive = None
    try:
        try:
            private.mkdir(mode=0o700)
            sockets.mkdir(mode=0o700)
            alive = locks.hold(private / ALIVE)
            _prepare(private, job)
        except OSError as error:
            raise EvidenceError(f"{private} cannot be written: {error.strerror}; nothing was run") from None
        _run(end, private, job, gate, watch)
        with suppress(FileNotFoundError, ValueError):
            end.reports = json.loads((private / "reports.json").read_bytes())
        return end
    finally:
        for folder in (private, sockets):
            shutil.rmtree(folder, ignore_errors=True)
        locks.release([alive] if alive is not None else [])


def sweep() -> None:
    """Remove what runs left behind that were killed before their record began; a folder just being made is let be."""
    for private in Path(tempfile.gettempdir()).glob("irctl-*Z-*"):
        with suppress(OSError, EvidenceError):
            about, run = private.lstat(), private.name.removeprefix("irctl-")
            ours = paths.is_folder(private) and about.st_uid == os.geteuid() and RUN_ID.fullmatch(run)
            if ours and time.time() - about.st_mtime > SWEEP_AFTER and (held := locks.hold(private / ALIVE)) is not None:
                for folder in folders(run):
                    shutil.rmtree(folder, ignore_errors=True)
                locks.release([held])


def folders(run: str) -> tuple[Path, Path]:
    """Where the run of this id keeps what only its processes may read, and its ssh sockets; both are gone when it ends.

    A socket's path has at most 108 bytes, whatever TMPDIR says. Each run has masters of its own, because a master that
    another run opened would carry this one past the check of the host's key.
    """
    return Path(tempfile.gettempdir()) / f"irctl-{run}", Path("/tmp") / f"irctl-ssh-{run[-6:]}"


def unsafe(value: Any) -> Any:
    """Mark every string in value, so that Ansible takes it as data and never as a template."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    return [unsafe(item) for item in value] if isinstance(value, list | tuple) else value


def _prepare(private: Path, job: Job) -> None:
    (private / "env").mkdir(mode=0o700)
    group = f"irctl_targets_{job.run[-6:]}"  # a name, where those of hosts might be patterns
    ours = {"irctl_target": group, "irctl_report_file": str(private / "reports.json")}
    variables = {**ours, **job.given, **NO_RETRIES}
    _write(private / "env" / "extravars", json.dumps({name: unsafe(value) for name, value in variables.items()}))
    question = {"names": job.names, "variables": job.variables, "modules": job.modules, "timeout": job.timeout, "group": group}
    _write(private / "job.json", json.dumps({"parent": os.getpid(), **question}))
    python = shlex.quote(sys.executable)
    _write(private / "ansible-playbook", f'#!/bin/sh\nexec {python} -m irctl.running.playbook "$@"\n', 0o700)
    for fifo in ("gate.request", "gate.reply"):
        os.mkfifo(private / fifo, 0o600)
    job.content.write(private)


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _run(end: End, private: Path, job: Job, gate: Callable[[dict[str, Any]], None], watch: Callable[[Event], None]) -> None:
    import ansible_runner

    keeper = _Gatekeeper(end, private, gate)

    def handle(event: Event) -> bool:
        if event["event"] in ("verbose", "error", "warning"):
            end.messages += [line for line in event.get("stdout", "").splitlines() if line.strip()]
        try:
            watch(event)
        except OSError as error:  # which ansible-runner takes for its own, and goes on without the event
            raise RuntimeError(str(error)) from error
        return False  # the record keeps its own, smaller account

    adopt_orphans()
    with _minimal_environment(*folders(job.run)), keeper:
        try:
            runner = ansible_runner.interface.init_runner(
                private_data_dir=str(private),
                artifact_dir=str(private / "artifacts"),
                ident="run",
                binary=str(private / "ansible-playbook"),
                cmdline=shlex.join(_words(job)),
                inventory=str(job.inventory),
                event_handler=handle,
                cancel_callback=lambda: False,  # else ansible-runner takes the signals for itself
                quiet=True,
                suppress_env_files=True,
                suppress_output_file=True,
            )
            _insist_on_written_events(runner)
            _close_at_once()
            if not end.interrupted:  # from here on a signal finds processes to kill, or the gate finds the signal
                end.code = runner.run()[1]
        except ansible_runner.AnsibleRunnerException as error:
            kill_children()
            end.interrupted = end.interrupted or f"an event was not what ansible-runner wrote, and may be forged: {error}"
        except Exception as error:  # whatever it is, a run that was begun is judged and sealed
            kill_children()
            end.interrupted = end.interrupted or f"irctl could not follow it: {type(error).__name__}: {printable(error, 200)}"
    if keeper.stopped:
        raise keeper.stopped
    if end.interrupted and not keeper.passed:
        raise _not_begun(end)


def _words(job: Job) -> list[str]:
    """The command line of ansible-playbook, where the files of passwords are named and no password stands."""
    vaults = [word for identity in job.vault_identities for word in ("--vault-id", identity)]
    verbosity = ["-" + "v" * job.verbosity] if job.verbosity else []
    return [job.playbook, *(["--check"] if job.check else []), *vaults, *verbosity]


def _not_begun(end: End) -> NotBegun:
    return NotBegun(f"{end.interrupted}; nothing was run")


def _insist_on_written_events(runner: Any) -> None:
    """Refuse events that only stand in the output: a target can forge those (check_job_event_data). Plain lines are no events."""
    take = runner.event_callback

    def insist(event: Event) -> None:
        runner.config.check_job_event_data = event.get("event") != "verbose"
        take(event)

    runner.event_callback = insist


def _close_at_once() -> None:
    """Let pexpect, by which ansible-runner starts its process, look 0.01 s after the end of it whether it has ended, not 0.1 s."""
    import pexpect.pty_spawn

    def spawn(*words: Any, **how: Any) -> Any:
        child = pexpect.pty_spawn.spawn(*words, **how)
        child.ptyproc.delayafterclose = 0.01
        return child

    pexpect.spawn = spawn


@contextmanager
def _minimal_environment(private: Path, sockets: Path) -> Iterator[None]:
    """ansible-runner hands on, and writes down, the environment it finds; so let it find little."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update({name: before[name] for name in ENVIRONMENT if name in before})
    os.environ.update(
        ANSIBLE_CONFIG=str(private / CONFIG),
        ANSIBLE_COLLECTIONS_PATH=os.pathsep.join([str(private), str(COLLECTIONS.parent)]),  # the first that has a collection counts
        ANSIBLE_HOME=str(private / "home"),
        ANSIBLE_HOST_KEY_CHECKING="True",
        ANSIBLE_SSH_CONTROL_PATH_DIR=str(sockets),
        LC_ALL="C.UTF-8",  # Ansible takes no other encoding, and not every locale that ssh hands on is installed
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _cut_short_by_signals(end: End, timeout: int) -> Iterator[None]:
    def cut(why: str) -> None:
        if not end.interrupted:  # once: a second signal may come while the first is being answered
            end.interrupted = why
            _kill()

    def on_signal(number: int, frame: FrameType | None) -> None:
        signals.heard()
        cut(f"stopped by {signal.Signals(number).name}")

    prepare()
    before = {number: signal.signal(number, on_signal) for number in signals.heeded()}
    watchdog = threading.Timer(timeout, cut, [f"the time limit of {timeout} s was reached"])
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill() -> None:
    """An error within a handler would come up in whatever was just being done; what is missed is killed at the next try."""
    for _ in range(3):
        with suppress(Exception):
            kill_children()
            return


class _Gatekeeper(threading.Thread):
    """Answers the playbook process's one question while ansible-runner holds the main thread."""

    def __init__(self, end: End, private: Path, gate: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(daemon=True)
        self._end, self._private, self._gate = end, private, gate
        self.passed = False
        self.stopped: BaseException | None = None

    def run(self) -> None:
        with open(self._private / "gate.request") as file:
            asked = file.read()
        if not asked:  # nobody asked: the run is over
            return
        try:
            if self._end.interrupted:
                raise _not_begun(self._end)
            self._gate(json.loads(asked))
            self.passed = True
        except BaseException as error:
            self.stopped = error
        with suppress(BrokenPipeError), open(self._private / "gate.reply", "w") as reply:  # who asked may be killed by now
            reply.write("stop" if self.stopped else "go")

    def __enter__(self) -> _Gatekeeper:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Free the thread where the process ended without a question, or without waiting for the answer."""
        while self.is_alive():  # until what the gate has begun is begun: its record is to be sealed, and its locks are to be freed
            for fifo, flags in (("gate.request", os.O_WRONLY), ("gate.reply", os.O_RDONLY)):
                with suppress(OSError):
                    os.close(os.open(self._private / fifo, flags | os.O_NONBLOCK))
                self.join(0.1)
