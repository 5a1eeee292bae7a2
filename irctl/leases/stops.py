"""The global stop: while it is on, every change refuses; looking goes on, and leases still end.

It is on where its file says so, and where the journal does: to remove the file ends no stop.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from irctl.errors import EvidenceError, Refused
from irctl.record import journal, seal
from irctl.record.manifest_format import read_file

MARKS = (b'"event":"stopped"', b'"event":"resumed"')


def _path(home: Path) -> Path:
    return home / "stopped.json"


def reason(home: Path) -> dict[str, Any] | None:
    """Why changes are stopped: reason, by, at; None where they are not. What cannot be read counts as a stop.

    Raises EvidenceError where the journal cannot be read.
    """
    try:
        return _of(json.loads(read_file(_path(home))))
    except FileNotFoundError:
        return _journaled(home)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {"reason": f"{_path(home)} cannot be read", "by": "nobody knows", "at": "some time"}


def _of(document: dict[str, Any]) -> dict[str, Any]:
    return {name: str(document[name]) for name in ("reason", "by", "at")}


def _journaled(home: Path) -> dict[str, Any] | None:
    """The stop that the journal knows and that nobody has ended."""
    events = [entry for entry in journal.marked(home, *MARKS).entries if entry.get("event") in ("stopped", "resumed")]
    return _of(events[-1]) if events and events[-1]["event"] == "stopped" else None


def require_none(home: Path) -> None:
    """Raises Refused while the stop is on."""
    if on := reason(home):
        raise Refused(f"every change is stopped since {on['at']} by {on['by']}: {on['reason']}. To allow them again: irctl resume")


def stop(home: Path, why: str, by: str) -> bool:
    """Stop every change; False where they were stopped before. Raises EvidenceError."""
    if reason(home):
        return False
    journal.append(home, {"event": "stopped", "by": by, "reason": why})
    try:
        seal.write(_path(home), json.dumps({"reason": why, "by": by, "at": journal.utc()}).encode())
    except OSError as error:
        raise EvidenceError(f"{_path(home)} cannot be written: {error.strerror}; changes are NOT stopped") from None
    return True


def resume(home: Path, by: str) -> bool:
    """Allow changes again; False where they were not stopped. Raises EvidenceError."""
    if not reason(home):
        return False
    journal.append(home, {"event": "resumed", "by": by})
    _path(home).unlink(missing_ok=True)
    return True
