"""The leases of a home: each is written down before its change is made, with its end, and stays until it has ended.

A lease is one file, HOME/leases/RUN.json. What ends it is `irctl leases run-due`, started by a timer: not the run that made the
change, which may be dead. Without a timer that was seen at work no lease is armed, and so nothing is changed.

Each file is judged by itself. Where one is damaged or gone, the journal says what it was, and the lease is ended all the same.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import duration, escaped
from irctl.errors import EvidenceError, Invalid, Refused
from irctl.leases import journaled, keeper
from irctl.leases.lease import FAILED, LARGEST, Lease, contradiction, parse, text
from irctl.record import journal, moments, runs, seal
from irctl.record.folders import make_folder
from irctl.record.manifest_format import read_file
from irctl.record.seal import RUN_ID

BALLAST = 2 << 20  # bytes kept back, so that the end of a lease can be recorded on a full disk
CONTROLLER, HOST, KERNEL = "controller", "host", "kernel"
NEAR = "lease.json"  # kept of a host: what ends the lease beside the controller


@dataclass
class Register:
    """The leases that are on, oldest first, and a sentence for each file that is damaged or gone."""

    leases: list[Lease] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def arm(home: Path, lease: Lease) -> None:
    """Write a lease down, before its change is made. Raises Refused or EvidenceError, and then nothing may be changed."""
    keeper.require(home)
    try:
        make_folder(_folder(home))
        keep_back(home, lease.run)
        _write(home, lease)
    except OSError as error:
        _drop(home, lease.run)
        raise EvidenceError(f"the lease cannot be armed: {error.strerror}; nothing was changed") from None
    terms = {
        name: getattr(lease, name) for name in ("remediation", "hosts", "seconds", "limit", "inventory", "content", "incident")
    }
    _note(home, lease, {"event": "lease-armed", **terms, "armed": asdict(lease.armed), "by": lease.owner})


def require_no_other(home: Path, remediation: str, hosts: Iterable[str]) -> None:
    """Raises Refused where the same change is on already: its captured state would be the changed one."""
    for other in listed(home):
        if other.remediation == remediation and (both := sorted({*other.hosts} & {*hosts})):
            how = f"irctl leases extend {other.run}, or irctl leases end {other.run}"
            raise Refused(f"{remediation} is on at {both[0]} until its lease ends: {how}")


def overlaps(home: Path, remediation: str, hosts: Iterable[str], given: Mapping[str, Any]) -> Iterator[str]:
    """Say which of these values may go when an earlier lease of the same change ends, whose run was the first to add them."""
    for other in listed(home):
        if other.remediation == remediation and {*other.hosts} & {*hosts} and (both := _in_both(home, other, given)):
            others = f" and {len(both) - 1} more" if len(both) > 1 else ""
            yield f"{both[0]}{others} may go when the lease of {other.run} ends; to move that: irctl leases extend {other.run}"


def _in_both(home: Path, lease: Lease, given: Mapping[str, Any]) -> list[str]:
    """What of the lists that are given the lease's run was asked for too; nothing where its record does not say."""
    try:
        theirs = runs.Folder(home, lease.run).document("run.json")["plan"]["parameters"]
        lists = [(name, values) for name, values in given.items() if isinstance(values, list)]
        return [value for name, values in lists for value in values if value in theirs.get(name, ())]
    except (EvidenceError, LookupError, TypeError, AttributeError):  # not begun yet, or no longer as it was
        return []


def settle(home: Path, run: str, *, touched: bool) -> None:
    """After the run: a lease of a change that was not made is dropped."""
    for lease in listed(home):
        if lease.run == run and not touched:
            ended(home, lease, "the run changed nothing")


def extended(home: Path, lease: Lease, seconds: int) -> int:
    """How long it lasts in all if it ends this many seconds from now. Raises Refused beyond its limit, from the first start."""
    passed = moments.elapsed(lease.armed, moments.now(), keeper.uptimes(home))
    total = int(passed) + seconds
    if total > lease.limit:
        most = max(int(lease.limit - passed), 0)
        raise Refused(f"a lease of {lease.remediation} ends {duration(lease.limit)} after its start at the latest: --for {most}s")
    return total


def extend(home: Path, lease: Lease, total: int, *, approved: bool) -> Lease:
    """Let it last so many seconds in all; `approved` says that people have said yes to that. Raises EvidenceError."""
    return _changed(home, replace(lease, seconds=total), {"event": "lease-extended", "seconds": total, "approved": approved})


def armed_at(home: Path, lease: Lease) -> dict[str, str]:
    """What ends it on each host, beside the controller: 'host', 'kernel', or 'controller' where that is all."""
    return {host: _armed_at(home, lease.run, host) for host in lease.hosts}


def of_host(folder: runs.Folder, host: str) -> Path:
    """Where a run keeps what it captured of this host."""
    return folder.evidence / runs.folder_of_host(host)


def reverting_modules(home: Path, lease: Lease) -> list[str]:
    """The modules that undo it, as far as an end is armed beside the controller."""
    return sorted({str(_near(home, lease.run, host).get("module", "")) for host in lease.hosts})


def _armed_at(home: Path, run: str, host: str) -> str:
    where = str(_near(home, run, host).get("where", ""))
    return where if where in (HOST, KERNEL) else CONTROLLER


def _near(home: Path, run: str, host: str) -> dict[str, Any]:
    """What a host's record says of the end that is armed there; empty where it says nothing."""
    try:
        near = json.loads(read_file(of_host(runs.Folder(home, run), host) / NEAR))
    except (OSError, ValueError, RecursionError):
        return {}
    return near if isinstance(near, dict) else {}


def ended(home: Path, lease: Lease, how: str) -> None:
    """The change is undone, or given up with a reason; the lease is over."""
    _note(home, lease, {"event": "lease-ended", "how": how})
    _drop(home, lease.run)


def failed(home: Path, lease: Lease, why: str) -> Lease:
    """An attempt to end it failed; it is tried again."""
    tried = replace(lease, state=FAILED, attempts=lease.attempts + 1, tried=moments.now(), why=why)
    return _changed(home, tried, {"event": "lease-failed", "why": why, "attempts": tried.attempts})


def listed(home: Path) -> list[Lease]:
    """Every lease that has not ended, oldest first; what cannot be known of one is left to `reminders`."""
    return read(home).leases


def read(home: Path) -> Register:
    """Every lease that has not ended, by its file, and where that is damaged or gone by the journal."""
    register, leases, damaged = Register(), dict[str, Lease](), dict[str, str]()
    try:
        known = journaled.read(home)
    except EvidenceError as error:
        known = journaled.Journaled(broken=str(error))
    if known.broken:
        register.problems.append(f"{known.broken}; which leases should be on cannot be told")
    for run in _runs(home):
        if run in known.ended:  # whoever ended it was killed before its file was removed
            continue
        try:
            leases[run] = _uncontradicted(home, _read(_path(home, run)), known.armed.get(run))
        except (OSError, ValueError) as error:
            damaged[run] = f"{_path(home, run)} is not a lease: {' '.join(str(error).split())[:120]}"
    for run in sorted({*known.on, *damaged} - {*leases}):
        problem = damaged.get(run) or f"the lease of {run} is gone from {_folder(home)}, and the journal does not know its end"
        try:
            leases[run] = journaled.lease_of(known.armed[run])
            register.problems.append(f"{problem}; it is ended by what the journal knows of it")
        except KeyError:
            way = f"look at it, then remove it, or: irctl revert {run}"
            register.problems.append(f"{problem}; the journal knows of no such lease, so nothing ends it; {way}")
        except ValueError as error:
            register.problems.append(
                f"{problem}; the journal does not say enough, so nothing ends it: irctl revert {run} ({error})"
            )
    register.leases = [leases[run] for run in sorted(leases)]
    return register


def _uncontradicted(home: Path, lease: Lease, entry: dict[str, Any] | None) -> Lease:
    """The lease, where the journal does not know that it ends elsewhere or earlier, or was never armed. Raises ValueError.

    Whoever armed it may have been killed before the journal was told, and then its run never began.
    """
    if entry is None and paths.has_name(runs.Folder(home, lease.run).path):
        raise ValueError("it was never armed")
    try:
        armed = journaled.lease_of(entry) if entry else lease
    except (KeyError, ValueError):  # of an earlier irctl, which did not write all of it down
        return lease
    if name := contradiction(lease, armed):
        raise ValueError(f"its {name} is not what the journal knows")
    return lease


def _runs(home: Path) -> list[str]:
    """The runs for which there is a file. Raises EvidenceError where the folder cannot be read."""
    try:
        names = os.listdir(_folder(home))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EvidenceError(f"{_folder(home)} cannot be read: {error.strerror}") from None
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json") and RUN_ID.fullmatch(name[:-5]))


def find(home: Path, run: str) -> Lease:
    """The lease of this run, by the whole id or the last six characters; that of the newest one for `last`. Raises Invalid."""
    if run == runs.LAST and (on := listed(home)):
        return max(on, key=lambda lease: lease.run)
    matching = [lease for lease in listed(home) if run and (lease.run == run or lease.run.endswith(f"-{run}"))]
    if len(matching) != 1:
        raise Invalid(f"RUN: no lease of '{escaped(run, 90)}' is on; `irctl leases` lists them")
    return matching[0]


def reminders(home: Path) -> list[str]:
    """A sentence for each lease that could not be ended, and for leases that nothing would end."""
    register = read(home)
    on, messages = register.leases, list(register.problems)
    for lease in on:
        if lease.failed:
            messages.append(f"the lease of {lease.run} could not be ended ({lease.attempts} attempts): {lease.why}")
    if on and (gone := keeper.gone(home)):
        messages.append(f"{len(on)} leases are on, and {gone}")
    return messages


def keep_back(home: Path, run: str) -> None:
    """Set space aside for the record of a lease's end. Raises OSError."""
    descriptor = os.open(_ballast(home, run), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, BALLAST)
    finally:
        os.close(descriptor)


def give_back(home: Path, run: str) -> None:
    """Free the space that was set aside."""
    with suppress(OSError):
        _ballast(home, run).unlink()


def withdraw(home: Path, run: str) -> None:
    """The run never began: its lease, if it has one, is over."""
    for lease in listed(home):
        if lease.run == run:
            with suppress(EvidenceError):
                _note(home, lease, {"event": "lease-ended", "how": "the run never began"})
    _drop(home, run)


def _drop(home: Path, run: str) -> None:
    """Take it from the register, without a word in any journal."""
    give_back(home, run)
    with suppress(FileNotFoundError):
        _path(home, run).unlink()


def _changed(home: Path, lease: Lease, entry: dict[str, Any]) -> Lease:
    try:
        _write(home, lease)
    except OSError as error:
        raise EvidenceError(f"{_path(home, lease.run)} cannot be written: {error.strerror}") from None
    _note(home, lease, entry)
    return lease


def _note(home: Path, lease: Lease, entry: dict[str, Any]) -> None:
    """A line in the journal of the home, and in that of the incident."""
    journal.append(home, {**entry, "run": lease.run})
    if lease.incident:
        from irctl.incidents import incidents

        with suppress(Refused):  # the incident is closed; a lease may outlive it
            incidents.record(home, lease.incident, {**entry, "run": lease.run})


def _write(home: Path, lease: Lease) -> None:
    seal.write(_path(home, lease.run), text(lease))


def _read(path: Path) -> Lease:
    """Raises OSError or ValueError where it is no lease, a link, no regular file, or too large to be one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        return parse(file.read(LARGEST + 1), path.stem)


def _folder(home: Path) -> Path:
    return home / "leases"


def _path(home: Path, run: str) -> Path:
    return _folder(home) / f"{run}.json"


def _ballast(home: Path, run: str) -> Path:
    return _folder(home) / f"{run}.ballast"
