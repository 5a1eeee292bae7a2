"""End a lease: because its time is up, or on request."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import first_few, short_list
from irctl.catalog.config import Setting, Settings
from irctl.errors import EvidenceError, IrctlError
from irctl.leases import journaled, keeper, register
from irctl.leases.lease import Lease
from irctl.orders import execution, killed_runs, revert
from irctl.orders.order import SUCCEEDED, Order, Outcome, Show
from irctl.record import locks, moments, runs


def run_due(settings: Settings, every: int | None, show: Show) -> list[str]:
    """End every lease that is over; return a sentence for each, beginning with 'ended' or 'FAILED'. A timer gives `every`."""
    home = settings.home_path
    messages = [_note_keeper(home, every)]
    now, uptimes = moments.now(), keeper.uptimes(home)
    on = register.read(home)
    messages += [f"FAILED: {problem}" for problem in on.problems]
    for lease in on.leases:
        messages += [_end_if_due(settings, lease, now, uptimes, show), _note_keeper(home, every)]  # an end may take long
    return [message for message in dict.fromkeys(messages) if message]


def _note_keeper(home: Path, every: int | None) -> str:
    """Note that a timer is at work; what is wrong where that cannot be done."""
    try:
        if every:
            keeper.note(home, every)
    except OSError as error:
        return f"FAILED: {home} cannot be written: {error.strerror}"
    return ""


def under_way(home: Path, lease: Lease) -> bool:
    """Whether the run that made the change is still at work: it holds its own marker."""
    try:
        lock = locks.hold(runs.Folder(home, lease.run).marker, make=False)
    except FileNotFoundError:
        return False
    locks.release([lock] if lock is not None else [])
    return lock is None


def _end_if_due(settings: Settings, lease: Lease, now: moments.Moment, uptimes: dict[str, float], show: Show) -> str:
    try:
        if not lease.due(now, uptimes) or under_way(settings.home_path, lease):
            return ""
        how = end(settings, lease, show)
        return f"ended: {lease.title} ({lease.run}): {how}" if how else ""
    except Exception as error:  # whatever it is, the other leases are ended
        return f"FAILED: {lease.title} could not be ended ({lease.run}): {_one_line(error)}"


def _one_line(error: Exception) -> str:
    """What an error says; one that is not meant for people with its name."""
    kind = "" if isinstance(error, IrctlError | OSError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())[:300]


def end(settings: Settings, lease: Lease, show: Show, *, force: bool = False, urgent: bool = True) -> str:
    """End a lease now and say how it ended; '' where somebody else does or did. Raises IrctlError where it goes on."""
    home = settings.home_path
    lock = locks.hold(lock_of(home, lease))
    if lock is None:
        return ""
    try:
        if lease.run not in {other.run for other in register.listed(home)}:
            return ""
        register.give_back(home, lease.run)
        try:
            how = undo(settings, lease, show, force=force, urgent=urgent)
        except Exception as error:
            _goes_on(home, lease, error, urgent)
            raise
        register.ended(home, lease, how)
        return how
    finally:
        locks.release([lock])


def lock_of(home: Path, lease: Lease) -> Path:
    return home / "locks" / f"lease-{lease.run}"


def undo(settings: Settings, lease: Lease, show: Show, *, force: bool, urgent: bool) -> str:
    """Undo the change and say how. Raises IrctlError where it may still be there."""
    of_run = settings_of(settings, lease)
    folder = runs.Folder(settings.home_path, lease.run)
    if not paths.exists(folder.path / "run.json"):
        if journaled.began(settings.home_path, lease.run):
            raise EvidenceError(
                f"{folder.path} is gone, so nobody knows what {lease.run} changed; look at {short_list(lease.hosts)}"
            )
        return "the run never began"
    _close_killed(folder)
    try:
        order = revert.order(of_run, folder, force=force, urgent=urgent, unsealed=urgent)
    except revert.NothingToUndo as error:
        return str(error)
    result = _carry_out(order, of_run, show)
    if not result.succeeded:
        raise IrctlError(failures(result))
    if lost := revert.uncaptured(folder):
        raise EvidenceError(f"{lease.run} changed {', '.join(lost)} too and captured nothing of it; look at it")
    return f"{result.outcome} by {result.run}"


def _close_killed(folder: runs.Folder) -> None:
    """Seal the record of the run if it was killed. On a full disk that fails, and it is undone all the same."""
    if paths.has_name(folder.marker):
        killed_runs.close(folder.home)


def settings_of(settings: Settings, lease: Lease) -> Settings:
    """The settings with the inventory and the content that the lease's run had."""
    origin = f"the lease of {lease.run}"
    return replace(settings, inventory=Setting(lease.inventory, origin), content=Setting(lease.content, origin))


def failures(result: Outcome) -> str:
    """Every host that did not succeed, with its outcome and reason."""
    bad = {name: host for name, host in result.hosts.items() if host.outcome not in SUCCEEDED}
    return first_few([f"{name}: {host.outcome}: {host.reason}" for name, host in bad.items()], 3, "; ")


def _goes_on(home: Path, lease: Lease, error: Exception, urgent: bool) -> None:
    """It could not be ended: keep space back for the next time, and where its time was up, write that down. Raises IrctlError."""
    with suppress(OSError):
        register.keep_back(home, lease.run)
    if urgent:
        try:
            register.failed(home, register.find(home, lease.run), _one_line(error))
        except IrctlError as lost:
            raise IrctlError(f"{_one_line(error)}; {lost}") from None


def _carry_out(order: Order, settings: Settings, show: Show) -> Outcome:
    """Carry it out, if need be with its record elsewhere: a full disk does not keep a change beyond its end."""
    try:
        return execution.carry_out(order, settings, show)
    except EvidenceError as lost:
        if not order.urgent:
            raise
        with _home_elsewhere(settings, order) as elsewhere:
            show("message", f"{lost}; the record goes to {elsewhere.home.value}")
            return execution.carry_out(replace(order, incident=""), elsewhere, show)


@contextmanager
def _home_elsewhere(settings: Settings, order: Order) -> Iterator[Settings]:
    """A home on the disk for temporary files, with the run that is to be undone in it."""
    home = Path(tempfile.mkdtemp(prefix="irctl-lease-"))
    kept = runs.Folder(settings.home_path, order.reverts)
    shutil.copytree(kept.evidence, runs.Folder(home, order.reverts).evidence)
    yield replace(settings, home=Setting(str(home), "the disk of the home is full"))
