"""Undo what a run changed: on request, or because its lease is over."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from irctl import catalog, evidence, flow, leases, locks, moments, runs
from irctl.config import Setting, Settings
from irctl.errors import EvidenceError, IrctlError, Refused
from irctl.flow import Order, Outcome
from irctl.leases import Lease

CAPTURED = "revert.json"
GOOD = ("changed", "unchanged")


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
    if (folder.path / evidence.MANIFEST).exists() and (wrong := evidence.differences(folder.path)):
        raise EvidenceError(f"the record of {folder.run} is not as it was sealed: {wrong[0]}; nothing was undone")


def _captured(folder: runs.Folder, host: str) -> bool:
    return (folder.evidence / re.sub(r"[^A-Za-z0-9_.-]", "_", host) / CAPTURED).is_file()


def end(settings: Settings, lease: Lease, show: Callable[[str, Any], None], *, force: bool = False, urgent: bool = True) -> str:
    """End a lease now and say how it ended; '' where somebody else does or did. Raises IrctlError where it goes on."""
    home = settings.home_path
    held = locks.hold(home / "locks" / f"lease-{lease.run}")
    if held is None:
        return ""
    try:
        if lease.run not in {one.run for one in leases.listed(home)}:
            return ""
        leases.give_back(home, lease.run)
        how = _undo(settings, lease, show, force, urgent)
        leases.ended(home, lease, how)
        return how
    finally:
        locks.release([held])


def _undo(settings: Settings, lease: Lease, show: Callable[[str, Any], None], force: bool, urgent: bool) -> str:
    origin = f"the lease of {lease.run}"
    there = replace(settings, inventory=Setting(lease.inventory, origin), content=Setting(lease.content, origin))
    folder = runs.Folder(settings.home_path, lease.run)
    if not (folder.path / "run.json").exists():
        return "the run never began"
    try:
        wanted = order(there, folder, force=force, urgent=urgent)
    except Refused as error:
        return str(error)
    done = _carry_out(wanted, there, show)
    if done.outcome not in GOOD:
        raise IrctlError("; ".join(f"{name}: {host.outcome}: {host.reason}" for name, host in done.hosts.items()))
    return f"{done.outcome} by {done.run}"


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
    said = []
    try:
        if every:
            leases.beat(home, every)
    except OSError as error:
        said.append(f"FAILED: {home} cannot be written: {error.strerror}")
    now, uptimes = moments.now(), leases.uptimes(home)
    for lease in leases.listed(home):
        if lease.due(now, uptimes) and not _runs_still(home, lease):
            said.append(_try(settings, lease, show))
    return [sentence for sentence in said if sentence]


def _runs_still(home: Path, lease: Lease) -> bool:
    """Whether the run that the lease is of is under way: it holds its own target."""
    held = locks.hold(runs.Folder(home, lease.run).marker) if runs.Folder(home, lease.run).marker.exists() else -1
    if held is None:
        return True
    locks.release([held] if held >= 0 else [])
    return False


def _try(settings: Settings, lease: Lease, show: Callable[[str, Any], None]) -> str:
    what = f"{lease.remediation} on {', '.join(lease.hosts)}"
    try:
        how = end(settings, lease, show)
        return f"ended: {what} ({lease.run}): {how}" if how else ""
    except (IrctlError, OSError) as error:
        why = " ".join(str(error).split())[:300]
    try:
        leases.failed(settings.home_path, lease, why)
    except IrctlError as lost:
        why += f"; {lost}"
    return f"FAILED: {what} could not be ended ({lease.run}): {why}"
