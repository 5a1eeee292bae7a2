"""Extend a lease, or close one that cannot be ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from irctl.approvals import gate, kept
from irctl.approvals.approval_input import NOTHING_SHOWN
from irctl.approvals.comparison import PlannedRun
from irctl.approvals.gate import Permission
from irctl.catalog import catalog
from irctl.catalog.catalog import Remediation
from irctl.catalog.config import Settings
from irctl.catalog.content import OURS
from irctl.errors import Busy, EvidenceError, IrctlError, Refused
from irctl.leases import journaled, register
from irctl.leases.lease import Lease
from irctl.orders import execution, revert
from irctl.orders.lease_end import failures, lock_of, settings_of, under_way, undo
from irctl.orders.order import Order, Outcome, Show
from irctl.record import locks, runs

REACH = 120  # seconds within which hosts must have been told of a new end
METADATA = {"kind": "remediation", "service": "lease-end", "reversible": True, "approvals": []}


def extend(settings: Settings, lease: Lease, seconds: int, show: Show) -> Lease:
    """Let it end this many seconds from now: on the hosts first, then here. Raises IrctlError, and then it is as it was."""
    home = settings.home_path
    with _nobody_else_ends(home, lease) as current:
        if under_way(home, current):
            raise Busy(f"the lease of {current.run} is being begun just now; look again: irctl leases")
        total = register.extended(home, current, seconds)
        permission, planned = _permission(settings, current, seconds, total)
        if hosts := _armed_on(home, current, register.HOST, register.KERNEL):
            sealed = revert.require_as_sealed(runs.Folder(home, current.run))
            given = {"lease_timer_left": seconds}
            _extend_on_hosts(settings_of(settings, current), current, hosts, show, given=given, sealed=sealed)
        if planned:
            gate.use(settings, permission, current.run, planned)
        return register.extend(home, current, total, approved=bool(planned))


def _permission(settings: Settings, lease: Lease, seconds: int, total: int) -> tuple[Permission, PlannedRun | None]:
    """What allows it to last so long in all, where that is more than was approved. Raises Refused where nothing does.

    That is the approval of a request for the very same run, lasting `seconds`, which is used up by this.
    """
    folder = runs.Folder(settings.home_path, lease.run)
    remediation = catalog.load(lease.remediation, settings_of(settings, lease).contents)
    if not kept.roles_of(remediation):
        return {}, None
    revert.require_as_sealed(folder)
    begun = folder.document("run.json")
    if total <= approved_seconds(begun, journaled.approved(settings.home_path, lease.run)):
        return {}, None
    names = tuple((begun["approval"].get("request") or {}).get("names") or begun["hosts"])
    planned = PlannedRun(begun["plan"], begun["plan_hash"], names, begun["incident"], seconds)
    try:
        return gate.require(settings, remediation, planned, NOTHING_SHOWN), planned
    except Refused as error:
        raise Refused(f"more than the time that was approved needs an approval again, with --for {seconds}s: {error}") from None


def approved_seconds(begun: dict[str, Any], extended: int) -> int:
    """How long the change of this run may last, in seconds: as it was requested, or as who broke the glass has signed. Pure.

    `extended` is what later approvals allowed.
    """
    permission = begun["approval"]
    request = permission.get("request") or {}
    return max(int(request.get("lease") or 0), int(permission.get("lease") or 0), extended)


@contextmanager
def _nobody_else_ends(home: Path, lease: Lease) -> Iterator[Lease]:
    """The lease as it is now, while nobody else ends it. Raises Busy, and Invalid where it has ended meanwhile."""
    lock = locks.hold(lock_of(home, lease))
    if lock is None:
        raise Busy(f"the lease of {lease.run} is being ended just now; look again: irctl leases")
    try:
        yield register.find(home, lease.run)
    finally:
        locks.release([lock])


def _armed_on(home: Path, lease: Lease, *kinds: str) -> tuple[str, ...]:
    """The hosts where its end is armed in one of these ways."""
    return tuple(host for host, kind in register.armed_at(home, lease).items() if kind in kinds)


def _extend_on_hosts(settings: Settings, lease: Lease, hosts: tuple[str, ...], show: Show, **terms: Any) -> None:
    result = _on_hosts(settings, lease, hosts, show, entry_point="extend", **terms)
    if not result.succeeded:
        raise Refused(f"its end on the host cannot be moved, so the lease is as it was: {failures(result)}")


def _on_hosts(
    settings: Settings, lease: Lease, hosts: tuple[str, ...], show: Show, *, given: dict[str, Any] | None = None, **terms: Any
) -> Outcome:
    """Reach the ends that are armed on these hosts, through Ansible. Raises IrctlError."""
    modules = register.reverting_modules(settings.home_path, lease)
    owners = {module.rpartition(".")[0] for module in modules} - {OURS.name}
    others = tuple(content for content in settings.contents if content.name in owners)
    metadata = METADATA | {"plugins": modules}
    role = Remediation("lease-timer", "lease_timer", OURS, "What ends a lease on its host", (), (), metadata, others)
    order = Order(role, hosts, given or {}, reverts=lease.run, only_hosts=True, timeout=REACH, **terms)
    return execution.carry_out(order, settings, show)


def close(settings: Settings, lease: Lease, reason: str, show: Show) -> str:
    """Leave things as they are, for this reason; say why the host would go on trying, '' for nowhere.

    Raises Refused where it can still be ended, or where nobody can tell.
    """
    home, still_armed = settings.home_path, ""
    with _nobody_else_ends(home, lease) as current:
        _require_unendable(settings, current, show)
        if hosts := _armed_on(home, current, register.HOST):
            try:
                result = _on_hosts(settings_of(settings, current), current, hosts, show, entry_point="disarm", urgent=True)
                still_armed = "" if result.succeeded else failures(result)
            except IrctlError as error:
                still_armed = str(error)
        register.ended(home, current, f"given up by {settings.operator}: {reason}")
    return still_armed


def _require_unendable(settings: Settings, lease: Lease, show: Show) -> None:
    """Raises IrctlError where it can be ended, or where nobody can tell whether it can.

    A dry run tells what the inventory calls its hosts now, and whether another attempt is worth while. That is made in earnest, as
    the timer would make it next: a guard may look in earnest only.
    """
    command = f"irctl leases end {lease.run}"
    if not lease.failed:
        raise Refused(f"RUN: its lease can be ended: {command}")
    folder, of_run = runs.Folder(settings.home_path, lease.run), settings_of(settings, lease)
    try:
        order = revert.order(of_run, folder, unsealed=True, check=True, urgent=True)
    except (EvidenceError, Refused):  # its record is damaged, so nothing can be put back from it
        return
    try:
        result = execution.carry_out(order, of_run, show)
    except IrctlError as error:
        why = f"nobody can tell whether it can be ended: {error}. Call its hosts again what they were called, then: {command}"
        raise Refused(f"RUN: {why}") from None
    if other := _called_otherwise(folder.document("run.json")["plan"]["hosts"], result.plan["hosts"]):
        raise Refused(f"RUN: nobody can tell whether it can be ended: {other}. Put that right, then: {command}")
    if result.succeeded or any(host.outcome == "changed" for host in result.hosts.values()):
        try:
            how = undo(settings, lease, show, force=False, urgent=True)
        except (IrctlError, OSError):
            return
        register.ended(settings.home_path, lease, how)
        raise Refused(f"RUN: its lease could be ended, so it was, and nothing is left to close: {how}")


def _called_otherwise(then: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> str:
    """The first setting that the inventory gives a host now and that its run had otherwise; '' for none. Pure."""
    for host in now:
        for name in sorted(then.get(host, {}).keys() & now[host].keys()):
            if then[host][name] != now[host][name]:
                return f"the inventory says another {name} of {host} than when the change was made"
    return ""
