"""Changes that must end by themselves: each is written down before it is made, with its end, and stays until it has ended.

A lease is one file, HOME/leases/RUN.json. What ends it is `irctl leases run-due`, started by a timer: not the run that made the
change, which may be dead. Without a timer that was seen at work no lease is armed, and so nothing is changed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from irctl.errors import EvidenceError, Invalid, Refused
from irctl.record import journal, moments, runs, seal
from irctl.record.folders import make_folder
from irctl.record.moments import Moment
from irctl.record.seal import RUN_ID

BALLAST = 2 << 20  # bytes kept back, so that the end of a lease can be recorded on a full disk
RETRY = moments.RETRY
ON, FAILED = "on", "failed"
CONTROLLER, HOST, KERNEL = "controller", "host", "kernel"
NEAR = "lease.json"  # kept of a host: what ends the lease beside the controller


@dataclass(frozen=True)
class Lease:
    """One change that must end by itself. `seconds` counts from `armed`; `limit` is the most that an extension may reach.

    `inventory` and `content` are those of its run: a timer has none of its own.
    """

    run: str
    remediation: str
    hosts: tuple[str, ...]
    inventory: str
    content: str
    incident: str
    owner: str
    seconds: int
    limit: int
    armed: Moment
    state: str = ON
    attempts: int = 0
    tried: Moment | None = None
    why: str = ""

    def left(self, now: Moment, uptimes: dict[str, float]) -> float:
        """Seconds until it must end; negative where that is past."""
        return self.seconds - moments.elapsed(self.armed, now, uptimes)

    def due(self, now: Moment, uptimes: dict[str, float]) -> bool:
        """Whether it must end now; after a failed attempt, whether to try again."""
        return self.left(now, uptimes) <= 0 and moments.may_try(self.attempts, self.tried, now, uptimes)


def arm(home: Path, lease: Lease) -> None:
    """Write a lease down, before its change is made. Raises Refused or EvidenceError, and then nothing may be changed."""
    require_keeper(home)
    try:
        make_folder(_folder(home))
        keep_back(home, lease.run)
        _write(home, lease)
    except OSError as error:
        drop(home, lease.run)
        raise EvidenceError(f"the lease cannot be armed: {error.strerror}; nothing was changed") from None
    about = {"remediation": lease.remediation, "hosts": lease.hosts, "seconds": lease.seconds, "by": lease.owner}
    _note(home, lease, {"event": "lease-armed", **about})


def require_no_other(home: Path, remediation: str, hosts: Iterable[str]) -> None:
    """Raises Refused where the same change is on already: its captured state would be the changed one."""
    for other in listed(home):
        if other.remediation == remediation and (both := sorted({*other.hosts} & {*hosts})):
            how = f"irctl leases extend {other.run}, or irctl leases end {other.run}"
            raise Refused(f"{remediation} is on at {both[0]} until its lease ends: {how}")


def ends_with(home: Path, remediation: str, hosts: Iterable[str], given: Mapping[str, Any]) -> Iterator[str]:
    """Say which of these values may go when an earlier lease of the same change ends, whose run was the first to add them."""
    for other in listed(home):
        if other.remediation == remediation and {*other.hosts} & {*hosts} and (both := _also_asked(home, other, given)):
            more = f" and {len(both) - 1} more" if len(both) > 1 else ""
            yield f"{both[0]}{more} may go when the lease of {other.run} ends; to move that: irctl leases extend {other.run}"


def _also_asked(home: Path, lease: Lease, given: Mapping[str, Any]) -> list[str]:
    """What of the lists that are given was asked for by the lease's run as well; nothing where its record does not say."""
    try:
        theirs = runs.Folder(home, lease.run).document("run.json")["plan"]["parameters"]
        return [one for name, said in given.items() if isinstance(said, list) for one in said if one in theirs.get(name, ())]
    except (EvidenceError, LookupError, TypeError, AttributeError):  # not begun yet, or no longer as it was
        return []


def settle(home: Path, run: str, *, touched: bool) -> None:
    """After the run: a lease of a change that was not made is dropped."""
    for lease in listed(home):
        if lease.run == run and not touched:
            ended(home, lease, "the run changed nothing")


def extended(home: Path, lease: Lease, seconds: int) -> int:
    """How long it lasts in all if it ends this many seconds from now. Raises Refused beyond its limit, from the first start."""
    passed = moments.elapsed(lease.armed, moments.now(), uptimes(home))
    whole = int(passed) + seconds
    if whole > lease.limit:
        most = max(int(lease.limit - passed), 0)
        raise Refused(f"a lease of {lease.remediation} ends {lease.limit} s after its start, so {most} s from now at the latest")
    return whole


def extend(home: Path, lease: Lease, whole: int) -> Lease:
    """Let it last so long in all. Raises EvidenceError."""
    return _changed(home, replace(lease, seconds=whole), {"event": "lease-extended", "seconds": whole})


def near(home: Path, lease: Lease) -> dict[str, str]:
    """What ends it on each host, beside the controller: 'host', 'kernel', or 'controller' where that is all."""
    return {host: _near(home, lease.run, host) for host in lease.hosts}


def of_host(folder: runs.Folder, host: str) -> Path:
    """Where a run keeps what it captured of this host, as the role `run` has it."""
    return folder.evidence / re.sub(r"[^A-Za-z0-9_.-]", "_", host)


def _near(home: Path, run: str, host: str) -> str:
    try:
        found = str(json.loads((of_host(runs.Folder(home, run), host) / NEAR).read_bytes())["where"])
    except (OSError, ValueError, KeyError, TypeError):
        return CONTROLLER
    return found if found in (HOST, KERNEL) else CONTROLLER


def ended(home: Path, lease: Lease, how: str) -> None:
    """The change is undone, or given up with a reason; the lease is over."""
    _note(home, lease, {"event": "lease-ended", "how": how})
    drop(home, lease.run)


def failed(home: Path, lease: Lease, why: str) -> Lease:
    """An attempt to end it failed; it is tried again."""
    tried = replace(lease, state=FAILED, attempts=lease.attempts + 1, tried=moments.now(), why=why)
    return _changed(home, tried, {"event": "lease-failed", "why": why, "attempts": tried.attempts})


def listed(home: Path) -> list[Lease]:
    """Every lease that has not ended, oldest first; one that cannot be read is left to `reminders`."""
    return [lease for path in _paths(home) if isinstance(lease := _read(path), Lease)]


def _paths(home: Path) -> list[Path]:
    return sorted(path for path in _folder(home).glob("*.json") if RUN_ID.fullmatch(path.stem))


def find(home: Path, run: str) -> Lease:
    """The lease of this run, by the whole id or the last six characters. Raises Invalid."""
    near = [lease for lease in listed(home) if run and (lease.run == run or lease.run.endswith(f"-{run}"))]
    if len(near) != 1:
        raise Invalid(f"RUN: no lease of '{run[:90].encode('unicode_escape').decode()}' is on; `irctl leases` lists them")
    return near[0]


def reminders(home: Path) -> list[str]:
    """A sentence for each lease that could not be ended, and for leases that nothing would end."""
    on = listed(home)
    said = [problem for path in _paths(home) if isinstance(problem := _read(path), str)]
    said += [f"the lease of {one.run} could not be ended ({one.attempts} attempts): {one.why}" for one in on if one.state == FAILED]
    if on and (gone := keeper_gone(home)):
        said.append(f"{len(on)} leases are on, and {gone}")
    return said


def beat(home: Path, every: int) -> None:
    """Note that what ends leases is at work, that it looks every so many seconds, and how long this boot has lasted."""
    now = moments.now()
    make_folder(_folder(home))
    known = {**uptimes(home), now.boot: now.uptime}
    kept = dict(list(known.items())[-50:])
    seal.write(_folder(home) / "beat", json.dumps({"at": asdict(now), "every": every, "uptimes": kept}).encode())


def uptimes(home: Path) -> dict[str, float]:
    """How long each boot was seen to last, in seconds."""
    found = _beat(home).get("uptimes", {})
    return {str(boot): float(uptime) for boot, uptime in found.items()}


def keeper_gone(home: Path) -> str:
    """Why a lease would not end by itself; '' where all is well."""
    found = _beat(home)
    install = "install the timer that ends them: irctl leases install"
    if not found:
        return f"nothing here ends leases; {install}"
    last, now, every = Moment(**found["at"]), moments.now(), int(found["every"])
    since = moments.elapsed(last, now, uptimes(home))
    return f"what ends leases was last seen {int(since)} s ago; {install}" if since > 3 * every + 5 else ""


def require_keeper(home: Path) -> None:
    """Raises Refused where nothing would end a lease."""
    if gone := keeper_gone(home):
        raise Refused(f"--for: {gone}. Nothing was changed")


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


def drop(home: Path, run: str) -> None:
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
    seal.write(_path(home, lease.run), json.dumps({"schema": "irctl/lease/1", **asdict(lease)}).encode())


def _read(path: Path) -> Lease | str:
    """The lease, or why it is none."""
    try:
        found = json.loads(path.read_bytes())
        found.pop("schema")
        tried = Moment(**found["tried"]) if found["tried"] else None
        return Lease(**{**found, "hosts": tuple(found["hosts"]), "armed": Moment(**found["armed"]), "tried": tried})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{path} is not a lease: {' '.join(str(error).split())[:120]}"


def _beat(home: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((_folder(home) / "beat").read_bytes())
        Moment(**found["at"]), int(found["every"]), dict(found["uptimes"])
        return found
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _folder(home: Path) -> Path:
    return home / "leases"


def _path(home: Path, run: str) -> Path:
    return _folder(home) / f"{run}.json"


def _ballast(home: Path, run: str) -> Path:
    return _folder(home) / f"{run}.ballast"
