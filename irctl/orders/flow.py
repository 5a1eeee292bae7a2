"""One run from the command to the sealed record: plan, lock, folder, engine, results, seal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl import errors
from irctl.approvals import gate, plan
from irctl.approvals.comparison import PlannedRun
from irctl.approvals.gate import NOTHING_SHOWN, ApprovalInput, Permission
from irctl.catalog import parameters
from irctl.catalog.catalog import Remediation, nearest
from irctl.catalog.config import Settings
from irctl.errors import EvidenceError, Invalid, IrctlError, NoTarget, Refused
from irctl.leases import leases, stops
from irctl.record import journal, locks, moments, runs
from irctl.record.folders import make_folder
from irctl.running import engine, results, signals
from irctl.running.processes import kill_children
from irctl.running.results import Host, Step

SCHEMA = "irctl/run/1"
DRILLS = "irctl_drills"  # what an inventory marks a host with that takes faults, as `allowed`


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
    lease: int = 0  # seconds after which the change must end by itself; 0 for a change that stays
    reverts: str = ""  # the run that this one undoes
    urgent: bool = False  # the end of a lease: no stop and no full disk keeps it from being tried
    approval_input: ApprovalInput = NOTHING_SHOWN
    drill: bool = False  # only on hosts that are marked for drills; that mark is its permission
    begin: Callable[[Mapping[str, Any]], str] | None = None  # opens the incident, once its hosts and their settings are known

    @property
    def changes(self) -> bool:
        """Whether it may change anything."""
        return not self.check and self.found.about["kind"] == "remediation" and self.entry_point != "verify"


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
    interrupted: str = ""


def carry_out(order: Order, settings: Settings, show: Callable[[str, Any], None]) -> Outcome:
    """Carry out an order. `show` is told ('hosts', names), ('step', Step) and ('said', text). Raises IrctlError."""
    run = _Run(order, settings, show)
    inventory = settings.inventory_path()
    _require_possible(order, settings.home_path)
    locks.require_free(settings.home_path, order.found.about["service"], order.names)
    try:
        with signals.held():
            return run.close(engine.carry_out(run.job(inventory), run.gate, run.account.see))
    finally:
        run.free()


def _require_possible(order: Order, home: Path) -> None:
    """Raises IrctlError where this home allows no such run now: stopped, full, no such incident, nothing that ends a lease."""
    if order.incident:
        from irctl.incidents import incidents

        (incidents.find if order.entry_point == "revert" else incidents.require_open)(home, order.incident)
    if order.urgent:
        return
    runs.require_room(home)
    if order.changes:
        stops.require_none(home)
    if order.lease and not order.check:
        leases.require_keeper(home)


class _Run:
    """The state of one run while it is under way."""

    def __init__(self, order: Order, settings: Settings, show: Callable[[str, Any], None]) -> None:
        self.order, self.settings, self.show = order, settings, show
        self.folder = runs.Folder(settings.home_path, runs.new_id(_title(order).replace(" ", "-")))
        self.account = results.Account(self._step)
        self.outcome = Outcome("indeterminate", errors.INDETERMINATE, run=self.folder.run, folder=str(self.folder.path))
        self.approval: Permission = {}
        self._since = time.monotonic()
        self._held: list[int] = []
        self._steps: IO[str] | None = None
        self._lost = ""

    def job(self, inventory: Path) -> engine.Job:
        order, found = self.order, self.order.found
        fixed: dict[str, Any] = {"irctl_entry_point": order.entry_point, "run_evidence_root": str(self.folder.evidence)}
        if order.lease:
            fixed["run_lease"] = order.lease
        if order.reverts:
            fixed["run_revert_root"] = str(runs.Folder(self.folder.home, order.reverts).evidence)
        return engine.Job(
            run=self.folder.run,
            playbook=found.playbook,
            content=found.content,
            inventory=inventory,
            names=order.names,
            variables=(*(option.variable for option in found.options), *([DRILLS] if order.drill else [])),
            modules=tuple(found.about.get("needs", {}).get("python", [])),
            given={**order.given, **fixed},
            check=order.check,
            timeout=order.timeout,
            verbosity=order.verbosity,
        )

    def gate(self, asked: dict[str, Any]) -> None:
        """Plan, lock and begin the record, once the inventory has said which hosts there are. Raises IrctlError."""
        hosts = _targets(asked)
        if self.order.drill:
            hosts = _marked(hosts)
        parameters.check_inventory(self.order.found.options, hosts)
        self.outcome.plan = plan.plan(self.order.found, hosts, self.order.given)
        self.outcome.plan_hash = plan.hash_of(self.outcome.plan)
        home, service = self.folder.home, self.order.found.about["service"]
        make_folder(home)
        self._held = locks.hold_targets(home, service, {*hosts, *self.order.names}, self.folder.run)
        if self.order.begin:
            self.order = replace(self.order, incident=self.order.begin(self.outcome.plan["hosts"]))
        self.outcome.started = journal.utc()
        planned = self._planned()
        if self.order.changes and self.order.entry_point == "main" and not self.order.drill:
            self.approval = gate.require(self.settings, self.order.found, planned, self.order.approval_input)
        self._arm(list(hosts))
        try:
            gate.use(self.settings, self.approval, self.folder.run, planned)
            self._note("run-started", hosts=sorted(hosts))
            self._held.append(runs.begin(self.folder, self._document(self.outcome.plan["hosts"])))
        except IrctlError as error:
            leases.drop(home, self.folder.run)
            with suppress(IrctlError):
                self._note("run-ended", outcome="failed", changed=[], reason=str(error))
            raise
        self._steps = runs.open_steps(self.folder)
        with suppress(OSError):
            self.show("hosts", list(hosts))

    def _planned(self) -> PlannedRun:
        order, done = self.order, self.outcome
        return PlannedRun(done.plan, done.plan_hash, order.names, order.incident, order.lease)

    def _arm(self, hosts: list[str]) -> None:
        """What ends the change is written down before it is made. Raises IrctlError."""
        order, home = self.order, self.folder.home
        terms = order.found.about.get("lease", {})
        if order.entry_point == "main" and not order.check and not terms.get("additive"):
            leases.require_no_other(home, order.found.name, hosts)
        elif order.entry_point == "main" and terms.get("additive"):
            for sentence in leases.ends_with(home, order.found.name, hosts, order.given):
                with suppress(OSError):
                    self.show("said", sentence)
        if order.lease and not order.check:
            limit = values.seconds(terms["limit"])
            where, content, who = str(self.settings.inventory_path()), self.settings.content.value, self.settings.operator
            about = (self.folder.run, order.found.name, tuple(hosts), where, content, order.incident, who)
            leases.arm(home, leases.Lease(*about, seconds=order.lease, limit=limit, armed=moments.now()))

    def _note(self, event: str, **more: Any) -> None:
        """A line in the incident's journal, before and after."""
        if self.order.incident:
            from irctl.incidents import incidents

            about = {"run": self.folder.run, "remediation": self.order.found.name, "entry_point": self.order.entry_point}
            entry = {"event": event, "by": self.settings.operator, **about, "check": self.order.check, **more}
            incidents.record(self.folder.home, self.order.incident, entry)

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
        done.interrupted = end.interrupted
        done.hosts = results.hosts(self.account, done.plan["hosts"], end)
        done.outcome, done.exit_code = results.overall(done.hosts)
        done.seconds = round(time.monotonic() - self._since, 3)
        self._seal()
        return done

    def _seal(self) -> None:
        assert self._steps is not None
        done = self.outcome
        try:
            self._steps.close()
            sealed = runs.finish(self.folder, envelope(self.order, done))
            changed = sorted(name for name, host in done.hosts.items() if host.changed)
            self._note("run-ended", outcome=done.outcome, changed=changed, manifest=sealed)
            if self.order.lease:
                leases.settle(self.folder.home, self.folder.run, touched=any(host.touched for host in done.hosts.values()))
            runs.close(self.folder)
        except (OSError, EvidenceError) as error:
            raise EvidenceError(f"{error}; the run ended as: {done.outcome}") from None
        finally:
            self.free()

    def free(self) -> None:
        """Let others have the targets."""
        held, self._held = self._held, []
        locks.release(held)

    def _document(self, hosts: Mapping[str, Any]) -> dict[str, Any]:
        """run.json: what is about to be done, written before it is."""
        order = self.order
        head = {"schema": "irctl/begun/1", "run": self.folder.run, "remediation": _title(order), "incident": order.incident}
        more = {"check": order.check, "plan_hash": self.outcome.plan_hash, "started": self.outcome.started, "hosts": hosts}
        rest = {"diagnose": order.found.about.get("diagnose", ""), "reverts": order.reverts, "approval": self.approval}
        return head | more | {"plan": self.outcome.plan, **rest} | ({"drill": True} if order.drill else {})


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


def _marked(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The hosts without the mark that each of them has to have. Raises Refused."""
    bare = sorted(name for name, settings in hosts.items() if settings.get(DRILLS) != "allowed")
    if bare:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        raise Refused(f"--host: the inventory does not mark {bare[0]}{more} with {DRILLS}: allowed; nothing was run")
    return {name: {key: value for key, value in settings.items() if key != DRILLS} for name, settings in hosts.items()}


def _not_begun(end: engine.End) -> str:
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


def _end_killed(folder: runs.Folder, result: dict[str, Any]) -> None:
    """Seal the record, and say in the incident's journal too that the run is over."""
    sealed = runs.finish(folder, result)
    if result["incident"]:
        from irctl.incidents import incidents

        about = {"run": folder.run, "remediation": result["remediation"], "check": result["check"], "manifest": sealed}
        changed = sorted(name for name, host in result["hosts"].items() if host["changed"])
        entry = {"event": "run-ended", "by": "irctl", **about, "outcome": result["outcome"], "changed": changed}
        incidents.record(folder.home, result["incident"], entry)
    runs.close(folder)


def _close_killed(folder: runs.Folder) -> str:
    if not (folder.path / "run.json").exists():  # killed before anything was run
        folder.marker.unlink()
        return f"run {folder.run} was killed before it began; nothing was run"
    if (folder.path / "result.json").exists():  # killed while it was sealed: the result is whole, or it would not be there
        result = folder.document("result.json")
        _end_killed(folder, result)
        return f"run {folder.run} was killed after its end; its outcome was: {result['outcome']}"
    begun = folder.document("run.json")
    seen = runs.last_steps(folder)
    last = {name: seen.get(name) or seen.get("", "none") for name in begun["hosts"]}
    reason = "irctl was killed; the last step seen was {}"
    hosts = {name: Host("indeterminate", reason=reason.format(last[name])).document() for name in begun["hosts"]}
    keys = ("run", "remediation", "check", "plan_hash", "started")
    about = {"schema": SCHEMA, **{key: begun[key] for key in keys}, "incident": begun["incident"] or None}
    end = {"outcome": "indeterminate", "exit_code": errors.INDETERMINATE, "seconds": 0.0, "folder": str(folder.path)}
    _end_killed(folder, {**about, **end, "hosts": hosts})
    where = ", ".join(f"{last[name]} on {name}" for name in list(hosts)[:5])
    look = f" Look: irctl diagnose {begun['diagnose']} --host {next(iter(hosts))}" if begun["diagnose"] else ""
    return f"run {folder.run} was killed; the last step seen was {where}. Its hosts may have been changed.{look}"
