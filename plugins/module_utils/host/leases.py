"""A lease that its own host ends: what is written down there, when it is over, and the units that look. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import moments
from ansible_collections.irctl.runbooks.plugins.module_utils.moments import Moment

ROOT = "/var/lib/irctl/leases"
UNITS = "/etc/systemd/system"
SCHEMA = "irctl/host-lease/1"
EVERY = 15  # seconds between two looks
LONGEST_LOOK = 600  # seconds; a revert that hangs is ended, and tried again
LOOK = "look.py"
STEPS = ("change.py", "verify.py")  # the role's own module, as Ansible would ship it: put it back, then prove it

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,159}", re.ASCII)


@dataclass(frozen=True)
class HostLease:
    """One lease on its host. `user` is who puts it back, `python` what runs it, `record` what was captured before the change.

    `alone` says that no second one of the same module and the same things may be armed: it would capture the changed state.
    `settles` is how many seconds after it was armed its run is over, whatever became of it; a change may still come until then,
    even after the end of a short lease, and must not stay. `ended` says that it was put back once.
    """

    name: str
    seconds: float
    armed: Moment
    module: str
    user: str
    python: list[str]
    record: dict[str, Any]
    settles: float
    alone: bool = True
    ended: bool = False
    uptimes: dict[str, float] = field(default_factory=dict)
    attempts: int = 0
    tried: Moment | None = None
    why: str = ""

    def remaining(self, now: Moment) -> float:
        """Seconds until it must end; negative where that is past."""
        return self.seconds - moments.elapsed(self.armed, now, self.uptimes)

    def due(self, now: Moment) -> bool:
        """Whether it must be ended now; after a failed attempt, whether to try again."""
        return self.remaining(now) <= 0 and moments.may_try(self.attempts, self.tried, now, self.uptimes)

    def settled(self, now: Moment) -> bool:
        """Whether nothing of its run can come any more."""
        return moments.elapsed(self.armed, now, self.uptimes) >= self.settles

    def seen(self, now: Moment) -> HostLease:
        """With how long this boot has lasted."""
        return replace(self, uptimes={**self.uptimes, now.boot: now.uptime})

    def failed(self, now: Moment, why: str) -> HostLease:
        return replace(self, attempts=self.attempts + 1, tried=now, why=why)

    def lasting(self, now: Moment, seconds: float) -> HostLease:
        """The same, ending so many seconds from now."""
        return replace(self, seconds=moments.elapsed(self.armed, now, self.uptimes) + seconds)


def name_of(run: str, host: str) -> str:
    """What the lease of a run is called on this host of the inventory; several of those may be one machine. Raises ValueError."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{run}.{host}")[:160]
    if not NAME.fullmatch(name):
        raise ValueError(f"name: no lease can be called {name[:80]!r}")
    return name


def text(lease: HostLease) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(lease)}) + "\n"


def parse(content: str | bytes) -> HostLease:
    """Raises ValueError where it is no lease."""
    try:
        fields = json.loads(content)
        fields.pop("schema")
        tried = Moment(**fields["tried"]) if fields["tried"] else None
        return HostLease(**{**fields, "armed": Moment(**fields["armed"]), "tried": tried})
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no lease: {error}") from None


def clash(new: HostLease, others: list[HostLease]) -> str:
    """Why the new one must not be armed beside the others; '' where it may."""
    for other in others:
        if new.alone and other.module == new.module and _meets(new.record, other.record):
            return f"The same change is on here already, as {other.name}: its captured state would be the changed one."
    return ""


def _meets(new: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the new record is, in the same place, of a thing that the other one's run really changes."""
    this_place, other_place = (
        {key: value for key, value in record["on"].items() if isinstance(value, str)} for record in (new, other)
    )
    changes = {key for key, value in other["sets"].items() if other["captured"].get(key) != value}
    return this_place == other_place and bool(new["sets"].keys() & changes)


def unit(name: str) -> str:
    """What its service and its timer are called."""
    return f"irctl-lease-{name}"


def units(lease: HostLease) -> dict[str, str]:
    """The unit files by name. What is said at a lower level than notice is left out of the journal: it looks often."""
    python = " ".join('"{}"'.format(word.replace("%", "%%")) for word in lease.python)
    service = f"""\
# Made by irctl, and removed when the lease is over
[Unit]
Description=End the lease {lease.name} when it is over
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={python} {ROOT}/{lease.name}/{LOOK}
Environment=TMPDIR=/run LANG=C.UTF-8
TimeoutStartSec={LONGEST_LOOK}
LogLevelMax=notice
SyslogIdentifier=irctl-lease
"""
    timer = f"""\
# Made by irctl, and removed when the lease is over
[Unit]
Description=Every {EVERY} s: end the lease {lease.name} when it is over

[Timer]
OnActiveSec={EVERY}
OnBootSec={EVERY}
OnUnitInactiveSec={EVERY}
AccuracySec=1

[Install]
WantedBy=timers.target
"""
    return {f"{unit(lease.name)}.service": service, f"{unit(lease.name)}.timer": timer}
