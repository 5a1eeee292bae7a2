"""Carry out one order: plan, locks, approval, lease, record, Ansible, results, seal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from irctl import errors
from irctl.approvals import gate, plan
from irctl.approvals.comparison import PlannedRun
from irctl.approvals.gate import Permission
from irctl.catalog import closure, parameters, syntax
from irctl.catalog.config import Settings
from irctl.catalog.snapshot import Snapshot
from irctl.errors import EvidenceError, IrctlError
from irctl.leases import register
from irctl.orders import begin_failure, lease_start, preconditions
from irctl.orders.order import Order, Outcome, Show, envelope
from irctl.orders.step_log import StepLog
from irctl.record import affected, captured, journal, locks, runs
from irctl.record.folders import make_folder
from irctl.record.run_id import new_id
from irctl.running import engine, results, signals, surroundings
from irctl.running.playbook_process import PlaybookProcess
from irctl.running.results import Host, Step


def carry_out(order: Order, settings: Settings, show: Show, process: PlaybookProcess | None = None) -> Outcome:
    """Carry out an order, by the process that was begun for it, if one was.

    Raises IrctlError where nothing was begun, EvidenceError where the record could not be kept.
    """
    run = process.folder.run if process else new_id(order.title)
    execution = _Execution(order, settings, show, run)
    inventory = settings.inventory_path()
    if not order.urgent:
        surroundings.require()
    preconditions.require(order, settings.home_path)
    try:
        with signals.held():
            end = engine.carry_out(execution.job(inventory), execution.begin, execution.account.see, process)
            return execution.finish(end)
    finally:
        execution.release()


class _Execution:
    """One order while it is carried out."""

    def __init__(self, order: Order, settings: Settings, show: Show, run: str) -> None:
        self.order, self.settings = order, settings
        self.folder = runs.Folder(settings.home_path, run)
        self.account = results.Account(self._step)
        self._content = closure.snapshot(order.remediation)
        syntax.require(order.remediation.content, self._content)
        self._result = Outcome("indeterminate", errors.INDETERMINATE, run=self.folder.run, folder=str(self.folder.path))
        self._show = show
        self._permission: Permission = {}
        self._since = time.monotonic()
        self._locks: list[int] = []
        self._steps: StepLog | None = None  # there once the record is begun

    def job(self, inventory: Path) -> engine.Job:
        """What Ansible is to run: the files that the plan is of, and no others."""
        return _job(self.order, self.folder, inventory, self._content, self.settings)

    def begin(self, inventory: dict[str, Any]) -> None:
        """Plan, lock and begin the record, once the inventory has said which hosts there are. Raises IrctlError."""
        hosts = preconditions.targets(self.order, inventory, self.settings.inventory_path())
        parameters.check_inventory(self.order.remediation.options, hosts)
        self._plan(hosts)
        make_folder(self.folder.home)
        self._locks = locks.hold_targets(self.folder.home, self.order.service, {*hosts, *self.order.names}, self.folder.run)
        if self.order.begin:
            self.order = replace(self.order, incident=self.order.begin(self._result.plan["hosts"]))
        self._result.started = journal.utc()
        self._require_approval()
        for message in lease_start.arm(self.order, self.settings, self.folder.run, list(hosts)):
            self._tell("message", message)
        self._begin_record()
        self._tell("hosts", list(hosts))

    def _plan(self, hosts: Mapping[str, Any]) -> None:
        self._result.plan = plan.plan(self.order.remediation, self._content.digest, hosts, self.order.given)
        self._result.plan_hash = plan.hash_of(self._result.plan)

    def _planned(self) -> PlannedRun:
        order, result = self.order, self._result
        return PlannedRun(result.plan, result.plan_hash, order.names, order.incident, order.lease)

    def _require_approval(self) -> None:
        """Raises Refused where an approval is needed and missing."""
        order = self.order
        if order.changes and order.entry_point == "main" and not order.drill:
            self._permission = gate.require(self.settings, order.remediation, self._planned(), order.approval_input)

    def _begin_record(self) -> None:
        """Spend the approval and write down what is about to be done. Raises IrctlError, and then nothing may be done."""
        try:
            gate.use(self.settings, self._permission, self.folder.run, self._planned())
            self._note("run-started", hosts=sorted(self._result.plan["hosts"]))
            self._locks.append(runs.begin(self.folder, self._document()))
        except IrctlError as error:
            register.withdraw(self.folder.home, self.folder.run)
            with suppress(IrctlError):
                self._note("run-ended", outcome="failed", changed=[], reason=str(error))
            raise
        self._steps = StepLog(self.folder)

    def _document(self) -> dict[str, Any]:
        """run.json: what is about to be done."""
        order, result = self.order, self._result
        document = {
            "schema": "irctl/begun/1",
            "run": self.folder.run,
            "remediation": order.title,
            "incident": order.incident,
            "check": order.check,
            "plan_hash": result.plan_hash,
            "started": result.started,
            "hosts": result.plan["hosts"],
            "plan": result.plan,
            "diagnose": order.remediation.about.get("diagnose", ""),
            "reverts": order.reverts,
            "approval": self._permission,
        }
        return document | ({"drill": True} if order.drill else {})

    def _note(self, event: str, **details: Any) -> None:
        """Add a line to the incident's journal, where the run belongs to one."""
        order = self.order
        if order.incident:
            from irctl.incidents import incidents

            what = {"run": self.folder.run, "remediation": order.remediation.name, "entry_point": order.entry_point}
            entry = {"event": event, "by": self.settings.operator, **what, "check": order.check, **details}
            incidents.record(self.folder.home, order.incident, entry)

    def _step(self, step: Step) -> None:
        if self._steps:
            self._steps.add(step)
        self._tell("step", step)

    def _tell(self, what: str, details: Any) -> None:
        with suppress(OSError):  # nobody reads on; that must not decide about the change
            self._show(what, details)

    def finish(self, end: engine.End) -> Outcome:
        """Judge what happened, seal the record, release the target. Raises IrctlError where nothing was begun."""
        if self._steps is None:
            raise begin_failure.reason(end.code, end.messages, self.settings.inventory_path())
        end.interrupted = end.interrupted or self._steps.lost
        result = self._result
        result.interrupted = end.interrupted
        result.hosts = results.hosts(self.account, result.plan["hosts"], end, changes=self.order.changes)
        self._read_affected(result.hosts)
        result.outcome, result.exit_code = results.overall(result.hosts)
        result.seconds = round(time.monotonic() - self._since, 3)
        self._seal(self._steps)
        return result

    def _read_affected(self, hosts: Mapping[str, Host]) -> None:
        for name, host in hosts.items():
            try:
                host.affected = affected.read(self.folder, name)
            except EvidenceError as error:
                self._tell("message", str(error))

    def _seal(self, steps: StepLog) -> None:
        result = self._result
        try:
            steps.close()
            sealed = runs.finish(self.folder, envelope(self.order, result))
            changed = sorted(name for name, host in result.hosts.items() if host.changed)
            self._note("run-ended", outcome=result.outcome, changed=changed, manifest=sealed)
            if self.order.lease:
                self._tell_of_no_lease()
                register.settle(self.folder.home, self.folder.run, touched=any(host.touched for host in result.hosts.values()))
            runs.close(self.folder)
        except (OSError, EvidenceError) as error:
            raise EvidenceError(f"{error}; the run ended as: {result.outcome}") from None
        finally:
            self.release()

    def _tell_of_no_lease(self) -> None:
        if self._result.outcome == "unchanged" and not self.order.check:
            self._tell("message", "nothing was changed, so no lease is on; what was so before does not end by itself")

    def release(self) -> None:
        """Let others have the targets."""
        held, self._locks = self._locks, []
        locks.release(held)


def _job(order: Order, folder: runs.Folder, inventory: Path, content: Snapshot, settings: Settings) -> engine.Job:
    remediation = order.remediation
    fixed: dict[str, Any] = {"irctl_entry_point": order.entry_point, "run_evidence_root": str(folder.evidence)}
    if allowed_signers := settings.allowed_signers.value:
        fixed["irctl_allowed_signers"] = str(Path(allowed_signers).expanduser().absolute())
    if order.lease:
        fixed["run_lease"] = order.lease
    variables = [option.variable for option in remediation.options] + ([preconditions.DRILLS] if order.drill else [])
    return engine.Job(
        run=folder.run,
        playbook=remediation.playbook,
        content=content,
        inventory=inventory,
        names=order.names,
        only_hosts=order.only_hosts,
        variables=(*variables, *content.words()),
        modules=tuple(remediation.about.get("needs", {}).get("python", [])),
        given={**order.given, **fixed},
        vault_identities=tuple(settings.vault_identities()),
        check=order.check,
        timeout=order.timeout,
        verbosity=order.verbosity,
        captured=partial(captured.copy, runs.Folder(folder.home, order.reverts), manifest=order.sealed) if order.reverts else None,
    )
