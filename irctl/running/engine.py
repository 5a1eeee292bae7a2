"""Run one playbook through ansible-runner: a fresh private folder, a minimal environment, values as data, a stated end."""

from __future__ import annotations

import json
import os
import shlex
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog.snapshot import Snapshot
from irctl.errors import INDETERMINATE, IrctlError
from irctl.running import signals
from irctl.running.playbook_process import PlaybookProcess, begun
from irctl.running.private_folder import CONFIG, explained, write
from irctl.running.processes import adopt_orphans, kill_children, prepare

NO_RETRIES = {  # a command whose connection was lost may have had its effect: whatever the inventory says, it is not sent again
    "ansible_ssh_retries": 0,
    "ansible_psrp_reconnection_retries": 0,
    "ansible_aws_ssm_retries": 0,
}

CAPTURED = "captured"  # the folder of what a revert puts back
Event = dict[str, Any]
Gate = Callable[[dict[str, Any]], None]
Watch = Callable[[Event], None]


@dataclass(frozen=True)
class Job:
    """One playbook to run: what the caller typed, and nothing else, becomes variables.

    `names` are hosts and groups, or with `only_hosts` hosts. `captured` copies into a folder what the run had captured that is
    undone.
    """

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
    only_hosts: bool = False
    captured: Callable[[Path], None] | None = None


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


def carry_out(job: Job, gate: Gate, watch: Watch, process: PlaybookProcess | None = None) -> End:
    """Run the job. `gate` sees the resolved hosts and raises IrctlError to stop before anything is done; `watch` sees each event.

    SIGINT, SIGTERM, SIGHUP and the time limit kill every process of the run at once; End.interrupted then says which.
    `process` is that of the job's run, where it was begun already. Raises NotBegun where that came before the gate let the run
    through.
    """
    end = End()
    with _cut_short_by_signals(end, job.timeout), nullcontext(process) if process else begun(job.run) as ansible:
        private = ansible.folder.files
        with explained(private):
            _prepare(private, job)
            ansible.require_config(job.content.files[CONFIG].content)
        _run(end, ansible, job, gate, watch)
        with suppress(FileNotFoundError, ValueError):
            end.reports = json.loads((private / "reports.json").read_bytes())
        return end


def unsafe(value: Any) -> Any:
    """Mark every string in value, so that Ansible takes it as data and never as a template."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    return [unsafe(item) for item in value] if isinstance(value, list | tuple) else value


def _prepare(private: Path, job: Job) -> None:
    (private / "env").mkdir(mode=0o700)
    group = f"irctl_targets_{job.run[-6:]}"  # a name, where those of hosts might be patterns
    ours = {"irctl_target": group, "irctl_report_file": str(private / "reports.json")}
    if job.captured:
        ours["run_revert_root"] = str(private / CAPTURED)
        job.captured(private / CAPTURED)
    variables = {**ours, **job.given, **NO_RETRIES}
    write(private / "env" / "extravars", json.dumps({name: unsafe(value) for name, value in variables.items()}))
    question = {"names": job.names, "only_hosts": job.only_hosts, "group": group, "timeout": job.timeout}
    question |= {"variables": job.variables, "modules": job.modules}
    write(private / "job.json", json.dumps(question))
    for fifo in ("gate.request", "gate.reply"):
        os.mkfifo(private / fifo, 0o600)
    job.content.write(private)


def _run(end: End, process: PlaybookProcess, job: Job, gate: Gate, watch: Watch) -> None:
    import ansible_runner

    private = process.folder.files
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
    with _environment(process), keeper:
        try:
            runner = ansible_runner.interface.init_runner(
                private_data_dir=str(private),
                artifact_dir=str(private / "artifacts"),
                ident="run",
                binary="ansible-playbook",
                cmdline=shlex.join(_words(job)),
                inventory=str(job.inventory),
                event_handler=handle,
                cancel_callback=lambda: False,  # else ansible-runner takes the signals for itself
                quiet=True,
                suppress_env_files=True,
                suppress_output_file=True,
            )
            _insist_on_written_events(runner)
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


@contextmanager
def _environment(process: PlaybookProcess) -> Iterator[None]:
    """ansible-runner hands on, and writes down, the environment it finds, so let it find little; and let it start our process."""
    import pexpect

    before, spawn = dict(os.environ), pexpect.spawn
    os.environ.clear()
    os.environ.update(process.folder.environment(before))
    pexpect.spawn = process.spawn
    try:
        yield
    finally:
        pexpect.spawn = spawn
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

    def __init__(self, end: End, private: Path, gate: Gate) -> None:
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
