"""Undo what a run changed: on request, or because its lease is over."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from irctl.catalog import catalog
from irctl.catalog.config import Setting, Settings
from irctl.catalog.content import OURS
from irctl.errors import Busy, EvidenceError, IrctlError, Refused
from irctl.leases import leases
from irctl.leases.leases import Lease
from irctl.orders import flow
from irctl.orders.flow import Order, Outcome
from irctl.record import locks, moments, runs, seal

CAPTURED = "revert.json"
GOOD = ("changed", "unchanged")
REACH = 120  # seconds within which hosts must have been told of a new end
ENDS = {"kind": "remediation", "service": "lease-end", "reversible": True, "approvals": []}


def order(settings: Settings, folder: runs.Folder, **more: Any) -> Order:
    """The order that undoes this run on the hosts where it had captured something. Raises Refused or EvidenceError."""
    begun = folder.document("run.json")
    _require_as_sealed(folder)
    name = begun["remediation"]
    if begun["check"] or " " in name:
        raise Refused(f"{folder.run} changed nothing that can be undone")
    found = catalog.load(name, settings.contents)
    if not found.about["reversible"]:
        raise Refused(f"what {name} changes cannot be undone: {found.about['impact']}")
    hosts = [host for host in begun["hosts"] if _captured(folder, host)]
    if not hosts:
        raise Refused(f"{folder.run} captured nothing before it ended, so it changed nothing that could be undone")
    found = catalog.load(name, settings.contents, entry_point="revert")
    return _order(found, folder, tuple(hosts), begun, **more)


def _order(found: catalog.Remediation, folder: runs.Folder, hosts: tuple[str, ...], begun: dict[str, Any], **more: Any) -> Order:
    known = {option.variable for option in found.options}
    given = {name: value for name, value in begun["plan"]["parameters"].items() if name in known}
    if more.pop("force", False):
        given[f"{found.role}_force"] = True
    incident = more.pop("incident", "") or begun["incident"]
    return Order(found, hosts, given, incident=incident, entry_point="revert", reverts=folder.run, **more)


def _require_as_sealed(folder: runs.Folder) -> None:
    """What was captured decides what is put back, so it has to be what was captured."""
    if (folder.path / seal.MANIFEST).exists() and (wrong := seal.differences(folder.path)):
        raise EvidenceError(f"the record of {folder.run} is not as it was sealed: {wrong[0]}; nothing was undone")


def _captured(folder: runs.Folder, host: str) -> bool:
    return (leases.of_host(folder, host) / CAPTURED).is_file()


def end(settings: Settings, lease: Lease, show: Callable[[str, Any], None], *, force: bool = False, urgent: bool = True) -> str:
    """End a lease now and say how it ended; '' where somebody else does or did. Raises IrctlError where it goes on."""
    home = settings.home_path
    held = locks.hold(_lock(home, lease))
    if held is None:
        return ""
    try:
        if lease.run not in {one.run for one in leases.listed(home)}:
            return ""
        leases.give_back(home, lease.run)
        try:
            how = _undo(settings, lease, show, force, urgent)
        except (IrctlError, OSError) as error:
            _goes_on(home, lease, error, urgent)
            raise
        leases.ended(home, lease, how)
        return how
    finally:
        locks.release([held])


def _goes_on(home: Path, lease: Lease, error: Exception, urgent: bool) -> None:
    """It could not be ended: keep space back for the next time, and where its time was up, write that down. Raises IrctlError."""
    with suppress(OSError):
        leases.keep_back(home, lease.run)
    if urgent:
        try:
            leases.failed(home, leases.find(home, lease.run), _short(error))
        except IrctlError as lost:
            raise IrctlError(f"{_short(error)}; {lost}") from None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


@contextmanager
def _alone(home: Path, lease: Lease) -> Iterator[Lease]:
    """The lease as it is now, while nobody else ends it. Raises Busy, and Invalid where it has ended meanwhile."""
    held = locks.hold(_lock(home, lease))
    if held is None:
        raise Busy(f"the lease of {lease.run} is being ended just now; look again: irctl leases")
    try:
        yield leases.find(home, lease.run)
    finally:
        locks.release([held])


def _undo(settings: Settings, lease: Lease, show: Callable[[str, Any], None], force: bool, urgent: bool) -> str:
    there = _there(settings, lease)
    folder = runs.Folder(settings.home_path, lease.run)
    if not (folder.path / "run.json").exists():
        return "the run never began"
    try:
        wanted = order(there, folder, force=force, urgent=urgent)
    except Refused as error:
        return str(error)
    done = _carry_out(wanted, there, show)
    if done.outcome not in GOOD:
        raise IrctlError(_why(done))
    return f"{done.outcome} by {done.run}"


def _there(settings: Settings, lease: Lease) -> Settings:
    """The settings with the inventory and the content that the lease's run had."""
    origin = f"the lease of {lease.run}"
    return replace(settings, inventory=Setting(lease.inventory, origin), content=Setting(lease.content, origin))


def _why(done: Outcome) -> str:
    bad = {name: host for name, host in done.hosts.items() if host.outcome not in GOOD}
    return "; ".join(f"{name}: {host.outcome}: {host.reason}" for name, host in bad.items())


def _lock(home: Path, lease: Lease) -> Path:
    return home / "locks" / f"lease-{lease.run}"


def extend(settings: Settings, lease: Lease, seconds: int, show: Callable[[str, Any], None]) -> Lease:
    """Let it end this many seconds from now: on the hosts first, then here. Raises IrctlError, and then it is as it was."""
    home = settings.home_path
    with _alone(home, lease) as now:
        if _runs_still(home, now):
            raise Busy(f"the lease of {now.run} is being begun just now; look again: irctl leases")
        whole = leases.extended(home, now, seconds)
        if hosts := _reach(home, now, leases.HOST, leases.KERNEL):
            _require_as_sealed(runs.Folder(home, now.run))
            _extend_there(_there(settings, now), now, hosts, seconds, show)
        return leases.extend(home, now, whole)


def _reach(home: Path, lease: Lease, *kinds: str) -> tuple[str, ...]:
    """The hosts where its end is armed in one of these ways."""
    return tuple(host for host, kind in leases.near(home, lease).items() if kind in kinds)


def _extend_there(settings: Settings, lease: Lease, hosts: tuple[str, ...], left: int, show: Callable[[str, Any], None]) -> None:
    done = _on_hosts(settings, lease, hosts, show, entry_point="extend", given={"lease_timer_left": left})
    if done.outcome not in GOOD:
        raise Refused(f"its end on the host cannot be moved, so the lease is as it was: {_why(done)}")


def _on_hosts(settings: Settings, lease: Lease, hosts: tuple[str, ...], show: Callable[[str, Any], None], **more: Any) -> Outcome:
    """Reach the ends that are armed on these hosts, through Ansible. Raises IrctlError."""
    found = catalog.Remediation("lease-timer", "lease_timer", OURS, "What ends a lease on its host", (), (), ENDS)
    wanted = Order(found, hosts, more.pop("given", {}), reverts=lease.run, timeout=REACH, **more)
    return flow.carry_out(wanted, settings, show)


def give_up(settings: Settings, lease: Lease, reason: str, show: Callable[[str, Any], None]) -> str:
    """Leave things as they are, for this reason; say where the host would try on, '' for nowhere. Raises IrctlError."""
    home, said = settings.home_path, ""
    with _alone(home, lease) as now:
        if hosts := _reach(home, now, leases.HOST):
            try:
                done = _on_hosts(_there(settings, now), now, hosts, show, entry_point="disarm", urgent=True)
                said = "" if done.outcome in GOOD else _why(done)
            except IrctlError as error:
                said = str(error)
        leases.ended(home, now, f"given up by {settings.operator}: {reason}")
    return said


def _carry_out(wanted: Order, settings: Settings, show: Callable[[str, Any], None]) -> Outcome:
    """Carry it out, if need be with its record elsewhere: a full disk does not keep a change beyond its end."""
    try:
        return flow.carry_out(wanted, settings, show)
    except EvidenceError as lost:
        if not wanted.urgent:
            raise
        with _home_elsewhere(settings, wanted) as elsewhere:
            show("said", f"{lost}; the record goes to {elsewhere.home.value}")
            return flow.carry_out(replace(wanted, incident=""), elsewhere, show)


@contextmanager
def _home_elsewhere(settings: Settings, wanted: Order) -> Iterator[Settings]:
    """A home on the disk for temporary files, with the run that is to be undone in it."""
    place = Path(tempfile.mkdtemp(prefix="irctl-lease-"))
    kept = runs.Folder(settings.home_path, wanted.reverts)
    shutil.copytree(kept.evidence, runs.Folder(place, wanted.reverts).evidence)
    yield replace(settings, home=Setting(str(place), "the disk of the home is full"))


def run_due(settings: Settings, every: int | None, show: Callable[[str, Any], None]) -> list[str]:
    """End every lease that is over; return a sentence for each, beginning with 'ended' or 'FAILED'. A timer gives `every`."""
    home = settings.home_path
    said = [_beat(home, every)]
    now, uptimes = moments.now(), leases.uptimes(home)
    for lease in leases.listed(home):
        if lease.due(now, uptimes) and not _runs_still(home, lease):
            said += [_try(settings, lease, show), _beat(home, every)]  # an end may take long
    return [sentence for sentence in dict.fromkeys(said) if sentence]


def _beat(home: Path, every: int | None) -> str:
    """Note that a timer is at work; what is wrong where that cannot be done."""
    try:
        if every:
            leases.beat(home, every)
    except OSError as error:
        return f"FAILED: {home} cannot be written: {error.strerror}"
    return ""


def _runs_still(home: Path, lease: Lease) -> bool:
    """Whether the run that the lease is of is under way: it holds its own target."""
    try:
        held = locks.hold(runs.Folder(home, lease.run).marker, make=False)
    except FileNotFoundError:
        return False
    locks.release([held] if held is not None else [])
    return held is None


def _try(settings: Settings, lease: Lease, show: Callable[[str, Any], None]) -> str:
    what = f"{lease.remediation} on {', '.join(lease.hosts)}"
    try:
        how = end(settings, lease, show)
        return f"ended: {what} ({lease.run}): {how}" if how else ""
    except (IrctlError, OSError) as error:
        return f"FAILED: {what} could not be ended ({lease.run}): {_short(error)}"
