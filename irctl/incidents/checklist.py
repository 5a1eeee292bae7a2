"""What an incident's record still lacks: the checklist with what is known, blanks left to fill in, missing parts of a pack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.errors import Invalid, Refused
from irctl.incidents import incidents, severity
from irctl.incidents.incidents import State
from irctl.incidents.timeline import Entry, is_change, moment
from irctl.record import documents

CAPTURE = "capture-evidence"
POST_MORTEMS = ("post-mortem-a.md", "post-mortem-b.md")


class Blank(str):
    """What stands where a person has to write; text from outside cannot be the same, for its brackets are escaped."""


BLANK = Blank("[to be filled in]")


@dataclass(frozen=True)
class Box:
    """One box of the checklist; `known` is why irctl ticked it, or what it knows about it."""

    says: str
    ticked: bool
    known: str


def boxes(state: State, told: Iterable[Entry]) -> list[Box]:
    """The checklist of aureus:344-354, with what irctl knows ticked."""
    resolved, verified = state.times.get("resolved", ""), _verified(state)
    posted, notified = (state.times.get(f"resolved:{where}", "") for where in ("status-page", "stakeholders"))
    packed = state.times.get("packed", "")
    known = f"Resolved {moment(resolved)}; {verified or 'no run of irctl verified it'}" if resolved else ""
    opened = severity.instant(state.times["opened"])
    due = next((one.due for one in incidents.readings(state, opened) if one.clock.name == "post-mortem"), None)
    return [
        Box("Incident resolved and verified in production", bool(resolved and verified), known),
        Box('Status page updated to "Resolved"', bool(posted), f"told {moment(posted)}" if posted else ""),
        Box("Evidence pack generated and stored", bool(packed), f"packed {moment(packed)}" if packed else ""),
        Box("Post-mortem scheduled", False, f"due by {due:%Y-%m-%d %H:%M} UTC" if due else ""),
        Box("Incident timeline reviewed and finalized", False, ""),
        Box("Action items created in issue tracker", False, ""),
        Box("Runbook updated with learnings", False, ""),
        Box("Team debriefed", False, ""),
        Box("Stakeholders notified of resolution", bool(notified), f"told {moment(notified)}" if notified else ""),
    ]


def _verified(state: State) -> str:
    """Which run made the last change and proved its effect, where none has failed since; else ''."""
    bad = ("failed", "partial", "indeterminate", "under way")
    changing = [run for run in state.runs.values() if not run.get("check") and (run.get("changed") or run["outcome"] in bad)]
    return f"verified by run {changing[-1].get('run')}" if changing and changing[-1]["outcome"] not in bad else ""


def _unended(state: State) -> list[str]:
    return [name for name, run in state.runs.items() if run["outcome"] == "under way"]


def written(home: Path, incident: str) -> str:
    """When a post-mortem had no blank left, as the journal writes time; '' where none is so."""
    paths = [home / "incidents" / incident / name for name in POST_MORTEMS]
    done = [path.stat().st_mtime for path in paths if _blanks(path) == 0]
    return datetime.fromtimestamp(min(done), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if done else ""


def _blanks(path: Path) -> int | None:
    """How many blanks of a file are left; None where it is absent, empty or no text."""
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return content.count(BLANK) if content.strip() else None


def there(path: Path) -> bool:
    """Whether anything has this name, be it a link to nothing."""
    return paths.has_name(path)


def missing(home: Path, incident: str) -> list[str]:
    """A sentence for each thing that an evidence pack must contain (aureus:318-340) and that is not there yet."""
    told = incidents.entries(home, incident)
    state, folder = incidents.fold(incident, told), home / "incidents" / incident
    absent = [
        f"{name} is not written yet" for name in ("timeline.md", "changes.json", "approvals.json") if not there(folder / name)
    ]
    runs = [f"run {run} has begun and its end is not in the timeline" for run in _unended(state)]
    return [*absent, *runs, *_uncountersigned(home, state), *_missing_logs(state, told, folder), *_unfilled(folder)]


def _unfilled(folder: Path) -> list[str]:
    said = []
    for name, what in (("impact-assessment.md", "the impact assessment"), ("rca.md", "the root cause analysis")):
        blanks = _blanks(folder / name)
        if blanks is None:
            said.append(f"{what} is not begun: {name}")
        elif blanks:
            said.append(f"{what} has {blanks} blank{'s' if blanks > 1 else ''} left to fill in: {name}")
    return said


def _uncountersigned(home: Path, state: State) -> list[str]:
    """Runs that broke the glass, were not refused, and have no signed document of a countersignature; doctor checks that."""
    used = [str(entry.get("run")) for entry in state.approvals if entry["event"] == "break-glass"]
    waiting = [run for run in used if state.runs.get(run, {}).get("outcome") != "refused" and not _has_countersignature(home, run)]
    return [f"run {run} broke the glass and is not countersigned" for run in waiting]


def _has_countersignature(home: Path, run: str) -> bool:
    try:
        return bool(documents.read(home / "countersigned" / f"{run}.json", "countersign-1")["run"] == run)
    except (Refused, Invalid):
        return False


def _captured(entry: Entry) -> bool:
    """Whether it ended a capture of logs from hosts, which lies in the run's record."""
    ended = entry["event"] == "run-ended" and entry.get("remediation") == CAPTURE and not entry.get("check")
    return ended and entry.get("outcome") in ("changed", "unchanged", "partial")


def _missing_logs(state: State, told: Sequence[Entry], folder: Path) -> list[str]:
    """Logs are wanted from before the first change, from the time until Resolved, and from after it."""
    taken = [entry["at"] for entry in told if entry["event"] == "collected" or _captured(entry)]
    if not any(map(_captured, told)) and not any(paths.is_file(path) for path in (folder / "logs").rglob("*")):
        return ["no logs were captured before, during or after the incident: logs/ is empty"]
    started = [str(state.runs[str(entry.get("run"))].get("started", entry["at"])) for entry in told if is_change(entry)]
    resolved = state.times.get("resolved", "")
    first = min(started, default="")
    said = [] if not first or any(at < first for at in taken) else ["no logs were captured before the first change"]
    said += [] if any(not resolved or at < resolved for at in taken) else ["no logs were captured during the incident"]
    return said + ([] if resolved and any(at >= resolved for at in taken) else ["no logs were captured after the incident"])
