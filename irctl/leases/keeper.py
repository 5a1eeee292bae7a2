"""What ends the leases of a home, a timer mostly: when it was seen at work last, and how long each boot has lasted."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from irctl.errors import Refused
from irctl.record import moments, seal
from irctl.record.folders import make_folder
from irctl.record.manifest_format import read_file
from irctl.record.moments import Moment

LONGEST = 3600  # seconds from one look to the next
MOST_BOOTS = 50  # whose lengths are known
INSTALL = "install the timer that ends them: irctl leases install (or, without systemd and cron, keep running: irctl leases watch)"
RESTART = (
    "to start its timer again, or see why it does not start: irctl leases install; what runs `irctl leases watch` starts that again"
)


def note(home: Path, every: int) -> None:
    """Note that it is at work now, that it looks every so many seconds, and how long this boot has lasted. Raises OSError."""
    now = moments.now()
    make_folder(_path(home).parent)
    boots = {**uptimes(home), now.boot: now.uptime}
    kept = dict(list(boots.items())[-MOST_BOOTS:])
    seal.write(_path(home), json.dumps({"at": asdict(now), "every": every, "uptimes": kept}).encode())


def uptimes(home: Path) -> dict[str, float]:
    """How long each boot was seen to last, in seconds."""
    known: dict[str, float] = _last(home).get("uptimes", {})
    return known


def gone(home: Path) -> str:
    """Why a lease would not end by itself; '' where all is well."""
    last = _last(home)
    if not last:
        return f"nothing here ends leases; {INSTALL}"
    since = moments.elapsed(Moment(**last["at"]), moments.now(), uptimes(home))
    if since < 0:
        return f"what ends leases was last seen at a time to come, so its note is damaged; {INSTALL}"
    every = int(last["every"])
    return (
        f"what ends leases looks every {every} s and was last seen {int(since)} s ago; {RESTART}" if since > 3 * every + 5 else ""
    )


def require(home: Path) -> None:
    """Raises Refused where nothing would end a lease."""
    if why := gone(home):
        raise Refused(f"--for: {why}. Nothing was changed")


def _last(home: Path) -> dict[str, Any]:
    """When it was last seen; {} for never."""
    try:
        last: dict[str, Any] = json.loads(read_file(_path(home)))
        at = Moment(float(last["at"]["utc"]), float(last["at"]["uptime"]), str(last["at"]["boot"]))
        uptimes = {str(boot): float(uptime) for boot, uptime in last["uptimes"].items()}
        if not all(map(math.isfinite, (at.utc, at.uptime, *uptimes.values()))) or not 0 < int(last["every"]) <= LONGEST:
            return {}
        return {"at": asdict(at), "every": int(last["every"]), "uptimes": uptimes}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def _path(home: Path) -> Path:
    return home / "leases" / "beat"
