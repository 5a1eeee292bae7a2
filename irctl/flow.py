"""One run from the command to the sealed record: plan, lock, folder, engine, results, seal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl import engine, errors, journal, locks, parameters, plan, results, runs
from irctl.catalog import Remediation, nearest
from irctl.config import Settings
from irctl.errors import EvidenceError, Invalid, IrctlError, NoTarget
from irctl.processes import kill_children
from irctl.results import Host, Step

SCHEMA = "irctl/run/1"


@dataclass(frozen=True)
class Order:
    """What the caller asks for."""

    found: Remediation
    names: tuple[str, ...]
    given: Mapping[str, Any]
    check: bool = False
    incident: str = ""
    timeout: int = 600
    entry_point: str = "main"
    verbosity: int = 0


@dataclass
class Outcome:
    """What became of an order: the envelope's facts, and the plan that was carried out."""

    outcome: str
    exit_code: int
    hosts: dict[str, Host] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    plan_hash: str = ""
    run: str = ""
    folder: str = ""
    started: str = ""
    seconds: float = 0.0


def carry_out(order: Order, settings: Settings, show: Callable[[str, Any], None]) -> Outcome:
    """Carry out an order. `show` is told ('hosts', names), ('step', Step) and ('said', text). Raises IrctlError."""
    run = _Run(order, settings, show)
    inventory = settings.inventory_path()
    runs.require_room(settings.home_path)
    locks.require_free(settings.home_path, order.found.about["service"], order.names)
    end = engine.carry_out(run.job(inventory), run.gate, run.account.see)
    return run.close(end)


class _Run:
    """The state of one run while it is under way."""

    def __init__(self, order: Order, settings: Settings, show: Callable[[str, Any], None]) -> None:
        self.order, self.show = order, show
        self.folder = runs.Folder(settings.home_path, runs.new_id(_title(order).replace(" ", "-")))
        self.account = results.Account(self._step)
        self.outcome = Outcome("indeterminate", errors.INDETERMINATE, run=self.folder.run, folder=str(self.folder.path))
        self._since = time.monotonic()
        self._held: list[int] = []
        self._steps: IO[str] | None = None
        self._lost = ""

    def job(self, inventory: Path) -> engine.Job:
        order, found = self.order, self.order.found
        fixed = {"irctl_entry_point": order.entry_point, "run_evidence_root": str(self.folder.evidence)}
        return engine.Job(
            run=self.folder.run,
            playbook=found.playbook,
            content=found.content,
            inventory=inventory,
            names=order.names,
            variables=tuple(option.variable for option in found.options),
            modules=tuple(found.about.get("needs", {}).get("python", [])),
            given={**order.given, **fixed},
            check=order.check,
            timeout=order.timeout,
            verbosity=order.verbosity,
        )

    def gate(self, asked: dict[str, Any]) -> None:
        """Plan, lock and begin the record, once the inventory has said which hosts there are. Raises IrctlError."""
        hosts = _targets(asked)
        parameters.check_inventory(self.order.found.options, hosts)
        self.outcome.plan = plan.plan(self.order.found, hosts, self.order.given)
        self.outcome.plan_hash = plan.hash_of(self.outcome.plan)
        home, service = self.folder.home, self.order.found.about["service"]
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held = locks.hold_targets(home, service, {*hosts, *self.order.names}, self.folder.run)
        self.outcome.started = journal.utc()
        self._held.append(runs.begin(self.folder, self._document(self.outcome.plan["hosts"])))
        self._steps = runs.open_steps(self.folder)
        with suppress(OSError):
            self.show("hosts", list(hosts))

    def _step(self, step: Step) -> None:
        self._record(step)
        with suppress(OSError):  # nobody reads on; that must not decide about the change
            self.show("step", step)

    def _record(self, step: Step) -> None:
        if self._steps is None or self._lost:
            return
        try:
            runs.write_step(self.folder, self._steps, asdict(step))
        except OSError as error:  # ansible-runner would swallow it, and the run would go on unrecorded
            self._lost = f"the record cannot be written: {error.strerror}"
            kill_children()

    def close(self, end: engine.End) -> Outcome:
        """Judge what happened, seal the record, free the target. Raises IrctlError where nothing was begun."""
        if self._steps is None:
            raise IrctlError(_not_begun(end))
        end.interrupted = end.interrupted or self._lost
        done = self.outcome
        done.hosts = results.hosts(self.account, done.plan["hosts"], end)
        done.outcome, done.exit_code = results.overall(done.hosts)
        done.seconds = round(time.monotonic() - self._since, 3)
        self._seal()
        return done

    def _seal(self) -> None:
        assert self._steps is not None
        try:
            self._steps.close()
            runs.finish(self.folder, envelope(self.order, self.outcome))
        except (OSError, EvidenceError) as error:
            raise EvidenceError(f"{error}; the run ended as: {self.outcome.outcome}") from None
        finally:
            locks.release(self._held)

    def _document(self, hosts: Mapping[str, Any]) -> dict[str, Any]:
        """run.json: what is about to be done, written before it is."""
        order = self.order
        head = {"schema": "irctl/begun/1", "run": self.folder.run, "remediation": _title(order), "incident": order.incident}
        more = {"check": order.check, "plan_hash": self.outcome.plan_hash, "started": self.outcome.started, "hosts": hosts}
        return head | more | {"plan": self.outcome.plan, "diagnose": order.found.about.get("diagnose", "")}


def _title(order: Order) -> str:
    """'db-connections', 'diagnose postgres', or for another entry point 'db-connections fault'."""
    name = order.found.role.replace("_", "-", 1).replace("diagnose-", "diagnose ").replace("_", "-")
    return name if order.entry_point == "main" else f"{name} {order.entry_point}"


def _targets(asked: Mapping[str, Any]) -> dict[str, Any]:
    for name in asked["unknown"]:
        raise NoTarget(f"--host: not in the inventory.{nearest(name, asked['known'])} (got '{name}')")
    for name in asked["empty"]:
        raise NoTarget(f"--host: the group has no hosts (got '{name}')")
    return dict(asked["hosts"])


def _not_begun(end: engine.End) -> str:
    if end.interrupted:
        return f"{end.interrupted}; nothing was run"
    said = printable(" ".join(end.said[-4:]), 300)
    if "inventory" in said.lower() or "parse" in said.lower():
        raise Invalid(f"--inventory: {said}")
    return f"ansible ended with {end.code} before anything was run: {said}"


def envelope(order: Order, done: Outcome) -> dict[str, Any]:
    """The one JSON object that `--json` prints and result.json keeps."""
    return {
        "schema": SCHEMA,
        "run": done.run,
        "remediation": _title(order),
        "incident": order.incident or None,
        "check": order.check,
        "outcome": done.outcome,
        "exit_code": done.exit_code,
        "hosts": {name: host.document() for name, host in done.hosts.items()},
        "plan_hash": done.plan_hash,
        "started": done.started,
        "seconds": done.seconds,
        "folder": done.folder,
    }


def close_killed(home: Path) -> list[str]:
    """Find runs whose process was killed, call them indeterminate, seal them; return a sentence for each."""
    said = []
    engine.sweep()
    for folder, held in runs.killed(home):
        try:
            said.append(_close_killed(folder))
            for left in engine.folders(folder.run):
                shutil.rmtree(left, ignore_errors=True)
        finally:
            locks.release([held])
    return said


def _close_killed(folder: runs.Folder) -> str:
    if not (folder.path / "run.json").exists():  # killed before anything was run
        folder.marker.unlink()
        return f"run {folder.run} was killed before it began; nothing was run"
    if (folder.path / "result.json").exists():  # killed while it was sealed: the result is whole, or it would not be there
        result = folder.document("result.json")
        runs.finish(folder, result)
        return f"run {folder.run} was killed after its end; its outcome was: {result['outcome']}"
    begun = folder.document("run.json")
    seen = runs.last_steps(folder)
    last = {name: seen.get(name) or seen.get("", "none") for name in begun["hosts"]}
    reason = "irctl was killed; the last step seen was {}"
    hosts = {name: Host("indeterminate", reason=reason.format(last[name])).document() for name in begun["hosts"]}
    keys = ("run", "remediation", "check", "plan_hash", "started")
    about = {"schema": SCHEMA, **{key: begun[key] for key in keys}, "incident": begun["incident"] or None}
    end = {"outcome": "indeterminate", "exit_code": errors.INDETERMINATE, "seconds": 0.0, "folder": str(folder.path)}
    runs.finish(folder, {**about, **end, "hosts": hosts})
    where = ", ".join(f"{last[name]} on {name}" for name in list(hosts)[:5])
    look = f" Look: irctl diagnose {begun['diagnose']} --host {next(iter(hosts))}" if begun["diagnose"] else ""
    return f"run {folder.run} was killed; the last step seen was {where}. Its hosts may have been changed.{look}"
