"""What an incident's journal says, in words: the lines of its timeline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import short_list
from irctl.errors import Invalid
from irctl.incidents import incidents
from irctl.incidents import severity as scales

CHAIN = ("seq", "at", "monotonic", "prev", "event", "by")

Entry = Mapping[str, Any]


def changes(told: Iterable[Entry]) -> list[dict[str, Any]]:
    """Every run that changed a host, or of which nobody can say."""
    return [plain(entry) for entry in told if is_change(entry)]


def is_change(entry: Entry) -> bool:
    """Whether it ended a run that changed a host, or of which nobody can say."""
    over = entry["event"] == "run-ended" and not entry.get("check")
    return bool(over and (entry.get("changed") or entry.get("outcome") == "indeterminate"))


def plain(entry: Entry) -> dict[str, Any]:
    """An entry without what only the chain needs."""
    return {key: value for key, value in entry.items() if key not in ("monotonic", "prev")}


@dataclass(frozen=True)
class Line:
    """One line of the timeline."""

    seq: int
    at: str
    by: str
    what: str

    @classmethod
    def of(cls, entry: Entry) -> Line:
        return cls(entry["seq"], entry["at"], str(entry.get("by", "irctl")), sentence(entry))


def moment(at: str) -> str:
    """2026-11-21 02:23:11 UTC."""
    return f"{at[:10]} {at[11:19]} UTC" if at else ""


def lines(home: Path, incident: str) -> list[Line]:
    """What happened, in order. Raises Invalid, EvidenceError."""
    return [Line.of(entry) for entry in incidents.entries(home, incident)]


_SENTENCES = {
    "opened": "opened as {level}: {title}",
    "note": "{text}",
    "status": "status: {status}",
    "severity": "severity: {level}",
    "acknowledged": "acknowledged",
    "communicated": "told: {where}",
    "reopened": "reopened: {reason}",
    "held": "put on legal hold: {reason}",
    "released": "released from legal hold: {reason}",
}


def sentence(entry: Entry) -> str:
    """One entry of the journal in words."""
    event, given = entry["event"], _Given(entry)
    if event in _SENTENCES:
        return _SENTENCES[event].format_map(given)
    return {"run-started": _began, "run-ended": _ended, "assigned": _assigned, "closed": _closed}.get(event, _other)(given)


class _Given(dict[str, Any]):
    """What an entry says; '-' for what it does not say, and for `level` the severity with its title, such as P1 (High)."""

    def __missing__(self, key: str) -> str:
        if key != "level":
            return "-"
        try:
            return scales.profile(str(self["profile"])).level(str(self["severity"])).title
        except Invalid:
            return str(self["severity"])


def _assigned(entry: Entry) -> str:
    return f"incident commander: {entry['who']}" if entry.get("role") == "commander" else f"assigned to {entry['who']}"


def _closed(entry: Entry) -> str:
    return f"closed: {entry['resolution']}" if entry.get("resolution") else "closed"


def _name(entry: Entry) -> str:
    point = entry.get("entry_point", "main")
    dry = " (dry run)" if entry.get("check") else ""
    return f"{entry.get('remediation', '-')}{'' if point == 'main' else f' {point}'}{dry}"


def _began(entry: Entry) -> str:
    return f"{_name(entry)} began on {short_list(entry.get('hosts', []))}; run {entry.get('run')}"


def _ended(entry: Entry) -> str:
    changed = f" on {short_list(entry['changed'])}" if entry.get("changed") else ""
    return f"{_name(entry)} ended: {entry.get('outcome', '-')}{changed}; run {entry.get('run')}"


def _other(entry: Entry) -> str:
    more = [f"{key.replace('_', ' ')} {_value(value)}" for key, value in _told(entry).items() if value not in ("", None, [], {})]
    return f"{entry['event'].replace('-', ' ')}: {', '.join(more)}" if more else str(entry["event"]).replace("-", " ")


def _told(entry: Entry) -> dict[str, Any]:
    told = {key: value for key, value in entry.items() if key not in CHAIN}
    return {**told.pop("impact", {}), **told} if isinstance(told.get("impact"), dict) else told


def _value(value: object) -> str:
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return said if len(said) <= 200 else f"{said[:199]}…"


def span(length: timedelta) -> str:
    """A length of time in its two largest units: 40s, 12m, 1h 05m, 2d 3h."""
    seconds = int(abs(length.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86400
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m"
