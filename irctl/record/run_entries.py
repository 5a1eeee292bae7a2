"""The runs of a home as a list that can be searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.errors import EvidenceError
from irctl.record.runs import Folder

REMEDIATE = "remediate"
VERBS = (REMEDIATE, "check", "diagnose", "revert", "drill", "fault", "verify", "restore")
UNDER_WAY = "under way"


@dataclass(frozen=True)
class Entry:
    """One run. `verb` is what was done: one of VERBS, where a dry run of anything is a check."""

    run: str
    verb: str
    remediation: str
    incident: str | None
    check: bool
    started: str
    hosts: tuple[str, ...]
    outcome: str
    reasons: tuple[str, ...]

    @property
    def began(self) -> datetime:
        return datetime.fromisoformat(self.started).astimezone(UTC)


@dataclass(frozen=True)
class Filter:
    """Which runs are meant: those that match each part that is given. `text` stands anywhere in what a run was and became."""

    hosts: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    since: datetime | None = None
    text: str = ""

    def matches(self, entry: Entry) -> bool:
        if self.hosts and not {*self.hosts} & {*entry.hosts}:
            return False
        if (self.verbs and entry.verb not in self.verbs) or (self.outcomes and entry.outcome not in self.outcomes):
            return False
        if self.since and entry.began < self.since:
            return False
        words = (entry.run, entry.remediation, entry.incident or "", *entry.hosts, *entry.reasons)
        return any(self.text.casefold() in word.casefold() for word in words)


def entry(folder: Folder) -> Entry:
    """The entry of a run. Raises EvidenceError where its record cannot be read, or is another run's."""
    begun = folder.document("run.json")
    ended = folder.document("result.json") if paths.exists(folder.path / "result.json") else {}
    try:
        if begun["run"] != folder.run:
            raise EvidenceError(f"{folder.path} is the record of {printable(begun['run'], 90)}")
        return Entry(
            run=folder.run,
            verb=verb_of(begun),
            remediation=str(begun["remediation"]),
            incident=begun["incident"],
            check=bool(begun["check"]),
            started=str(begun["started"]),
            hosts=tuple(sorted(begun["hosts"])),
            outcome=str(ended.get("outcome", UNDER_WAY)),
            reasons=tuple(str(host["reason"]) for host in ended.get("hosts", {}).values()),
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise EvidenceError(f"{folder.path} is not the record of a run: {type(error).__name__} {printable(error, 80)}") from None


def verb_of(begun: Mapping[str, Any]) -> str:
    """What a run did, by its run.json."""
    first, _, last = str(begun["remediation"]).partition(" ")
    if begun.get("drill"):
        return "drill"
    if begun.get("reverts"):
        return "revert"
    if first == "diagnose":
        return "diagnose"
    return "check" if begun["check"] else last if last in VERBS else REMEDIATE
