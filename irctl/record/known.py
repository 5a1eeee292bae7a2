"""What the journal of a home knows of its runs and incidents: their seals, and the heads of the incidents' own journals."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from irctl.errors import EvidenceError
from irctl.record import journal

KINDS: dict[str, dict[str, type]] = {
    "run-started": {"run": str},
    "run-sealed": {"run": str, "manifest": str},
    "pack-sealed": {"incident": str, "manifest": str, "at": str},
    "incident-head": {"incident": str, "incident_seq": int, "head": str},
}


@dataclass
class Known:
    """By run its manifests, oldest first; by incident its packs (manifest to time) and its heads (number to hash)."""

    started: set[str] = field(default_factory=set)
    runs: dict[str, list[str]] = field(default_factory=dict)
    packs: dict[str, dict[str, str]] = field(default_factory=dict)
    heads: dict[str, dict[int, str]] = field(default_factory=dict)

    def add(self, entry: dict[str, Any]) -> None:
        """Take one line of the journal. Raises KeyError or TypeError where it is not as irctl writes one."""
        event = str(entry.get("event"))
        if event in KINDS and not all(type(entry[name]) is kind for name, kind in KINDS[event].items()):
            raise TypeError(f"line {entry.get('seq')}")
        if event == "run-started":
            self.started.add(entry["run"])
        elif event == "run-sealed":
            manifests = self.runs.setdefault(entry["run"], [])
            if entry["manifest"] not in manifests:
                manifests.append(entry["manifest"])
        elif event == "pack-sealed":
            self.packs.setdefault(entry["incident"], {})[entry["manifest"]] = entry["at"]
        elif event == "incident-head":
            heads = self.heads.setdefault(entry["incident"], {})
            heads.setdefault(entry["incident_seq"], entry["head"])  # another one later is of a journal that was cut and went on


def known(home: Path) -> Known:
    """Read the journal of a home. Raises EvidenceError where it is broken."""
    found = Known()
    try:
        for entry in journal.read(home):
            found.add(entry)
    except (KeyError, TypeError) as error:
        raise EvidenceError(f"the journal in {home} makes no sense: {error}") from None
    return found
