"""One change that must end by itself, and what a file of one must look like. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import short_list
from irctl.record import moments
from irctl.record.moments import Moment
from irctl.record.seal import RUN_ID

ON, FAILED = "on", "failed"
LARGEST = 4 << 20  # bytes of a lease's file; ten thousand hosts fit in
TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("run", "remediation", "inventory", "content", "incident", "owner", "state", "why"), str),
    **dict.fromkeys(("seconds", "limit", "attempts"), int),
    "hosts": list,
    "armed": dict,
    "tried": (dict, type(None)),
}


@dataclass(frozen=True)
class Lease:
    """One change that must end by itself.

    `seconds` counts from `armed`; `limit` is the most that an extension may reach. `inventory` and `content` are those of its
    run: a timer has none of its own. `state` is 'on', or 'failed' after an attempt to end it at `tried` failed; `why` says how.
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

    def remaining(self, now: Moment, uptimes: Mapping[str, float]) -> float:
        """Seconds until it must end; negative where that is past, and 0 where it was armed at a time to come."""
        passed = moments.elapsed(self.armed, now, uptimes)
        return self.seconds - passed if passed >= 0 else 0.0

    def due(self, now: Moment, uptimes: Mapping[str, float]) -> bool:
        """Whether it must end now; after a failed attempt, whether to try again."""
        return self.remaining(now, uptimes) <= 0 and moments.may_try(self.attempts, self.tried, now, uptimes)

    @property
    def failed(self) -> bool:
        """Whether an attempt to end it failed."""
        return self.state == FAILED

    @property
    def title(self) -> str:
        """'db-freeze-writes on db1, db2'."""
        return f"{self.remediation} on {short_list(self.hosts)}"


def text(lease: Lease) -> bytes:
    return json.dumps({"schema": "irctl/lease/1", **asdict(lease)}).encode()


def parse(content: bytes, run: str) -> Lease:
    """The lease of this run. Raises ValueError where it is none."""
    if len(content) > LARGEST:
        raise ValueError(f"it has more than {LARGEST} bytes")
    try:
        document = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(document, dict) or document.pop("schema", None) != "irctl/lease/1":
        raise ValueError("its schema is not irctl/lease/1")
    return of_fields(document, run)


def of_fields(document: Mapping[str, Any], run: str) -> Lease:
    """The lease that these fields make. Raises ValueError where one is missing, of another type, or out of its range."""
    for name in TYPES.keys() ^ document.keys():
        raise ValueError(f"{str(name)[:40]!r} is {'missing' if name in TYPES else 'no part of a lease'}")
    for name, kind in TYPES.items():
        if not isinstance(document[name], kind) or isinstance(document[name], bool):
            raise ValueError(f"{name} is of another type")
    hosts = document["hosts"]
    if document["run"] != run or not RUN_ID.fullmatch(run):
        raise ValueError("it is another run's")
    if not hosts or not all(isinstance(host, str) and host for host in hosts) or document["state"] not in (ON, FAILED):
        raise ValueError("its hosts or its state are none")
    if (
        min(document["seconds"], document["limit"]) < 0
        or max(document["seconds"], document["limit"], document["attempts"]) > 1 << 40
    ):
        raise ValueError("a number is out of its range")
    tried = _moment(document["tried"]) if document["tried"] is not None else None
    return Lease(**{**document, "hosts": tuple(hosts), "armed": _moment(document["armed"]), "tried": tried})


def contradiction(lease: Lease, armed: Lease) -> str:
    """What a lease's file says otherwise than when it was armed, so that it would end elsewhere or later; '' for nothing."""
    same = ("remediation", "hosts", "inventory", "content", "incident")
    other = next((name for name in same if getattr(lease, name) != getattr(armed, name)), "")
    begun, known = lease.armed, armed.armed
    later = begun.utc > known.utc or (begun.boot == known.boot and begun.uptime > known.uptime)
    longer = next((name for name in ("seconds", "limit") if getattr(lease, name) > getattr(armed, name)), "")
    return other or longer or ("armed" if later else "")


def _moment(document: Mapping[str, Any]) -> Moment:
    if document.keys() != {field.name for field in fields(Moment)}:
        raise ValueError("a moment has utc, uptime and boot")
    times = (document["utc"], document["uptime"])
    if not isinstance(document["boot"], str) or not all(_is_number(time) for time in times):
        raise ValueError("a moment has utc, uptime and boot")
    return Moment(**document)


def _is_number(value: object) -> bool:
    """Not NaN, not infinite, no bool: what can be counted with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 62
