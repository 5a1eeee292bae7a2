"""The files of an incident that people read: rendered from its journal, or begun from a template and then left to people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl import evidence, incidents
from irctl import severity as scales
from irctl.errors import EvidenceError
from irctl.incidents import State

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parent / "templates"
BEGUN = ("impact-assessment.md", "rca.md", "post-mortem-a.md", "post-mortem-b.md", "checklist.md")
POST_MORTEMS = ("post-mortem-a.md", "post-mortem-b.md")
CHAIN = ("seq", "at", "monotonic", "prev", "event", "by")

Entry = Mapping[str, Any]


class _Blank(str):
    """What stands where a person has to write; text from outside cannot be the same, for its brackets are escaped."""


BLANK = _Blank("[to be filled in]")


def render(home: Path, incident: str) -> list[str]:
    """Write what is rendered from the journal, begin what is absent; return the names of what was begun. Raises EvidenceError."""
    with incidents.alone(home, incident) as told:
        folder, state = home / "incidents" / incident, incidents.fold(incident, told)
        try:
            for name, content in rendered(state, told).items():
                evidence.write(folder / name, content)
            absent = [name for name in BEGUN if not _there(folder / name)]
            for name in absent:
                evidence.write(folder / name, begun(name, state, told))
        except OSError as error:
            raise EvidenceError(f"{folder} cannot be written: {error.strerror}") from None
    return absent


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def rendered(state: State, told: Sequence[Entry]) -> dict[str, bytes]:
    """The content of what is rendered anew each time, by name; the same journal gives the same bytes."""
    head = {"incident": state.incident}
    approvals = [_plain(entry) for entry in told if entry["event"] in incidents.APPROVALS]
    return {
        "timeline.md": _filled("timeline.md", state, told),
        "changes.json": _json({"schema": "irctl/changes/1", **head, "changes": changes(told)}),
        "approvals.json": _json({"schema": "irctl/approvals/1", **head, "approvals": approvals}),
    }


def changes(told: Iterable[Entry]) -> list[dict[str, Any]]:
    """Every run that changed a host, or of which nobody can say."""
    return [_plain(entry) for entry in told if _is_change(entry)]


def _is_change(entry: Entry) -> bool:
    over = entry["event"] == "run-ended" and not entry.get("check")
    return bool(over and (entry.get("changed") or entry.get("outcome") == "indeterminate"))


def _plain(entry: Entry) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("monotonic", "prev")}


def begun(name: str, state: State, told: Sequence[Entry]) -> bytes:
    """The content that a file is begun with: what the journal knows, and blanks for the rest."""
    return _filled(name, state, told)


def _filled(name: str, state: State, told: Sequence[Entry]) -> bytes:
    facts = {
        "state": state,
        "impact": state.impact,
        "lines": [Line.of(entry) for entry in told],
        "changes": changes(told),
        "responders": responders(told),
        "lasted": lasted(state),
        "bypasses": [entry for entry in state.approvals if entry["event"] == "break-glass"],
        "boxes": boxes(state, told) if name == "checklist.md" else (),
    }
    return (_environment().get_template(f"{name}.j2").render(facts).rstrip() + "\n").encode()


@cache
def _environment() -> Environment:
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # every value is made inert by `finalize`
        finalize=inert,
    )
    found.globals["blank"] = BLANK
    found.filters["moment"] = moment
    return found


def inert(value: object) -> str:
    """Text from outside, for Markdown: it cannot become a heading, a list, a table's cell, a link or HTML."""
    if isinstance(value, _Blank):
        return value
    return "<br>".join(_inert_line(" ".join(line.split())) for line in str(value).strip().splitlines())


def _inert_line(line: str) -> str:
    clean = printable(line, 10_000).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    clean = re.sub(r"([\\`*\[\]|~])", r"\\\1", clean)
    clean = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", clean)  # within a word it is a letter like others
    return re.sub(r"^(?=[#+=-])|^([0-9]+)(?=[.)])", lambda found: f"{found[1] or ''}\\", clean)


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


# What an entry says


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


def timeline(home: Path, incident: str) -> list[Line]:
    """What happened, in order. Raises Invalid, EvidenceError."""
    return [Line.of(entry) for entry in incidents.entries(home, incident)]


_SENTENCES = {
    "opened": "opened as {severity} ({profile}): {title}",
    "note": "{text}",
    "status": "status: {status}",
    "severity": "severity: {severity} ({profile})",
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
    def __missing__(self, key: str) -> str:
        return "-"


def _assigned(entry: Entry) -> str:
    return f"incident commander: {entry['who']}" if entry.get("role") == "commander" else f"assigned to {entry['who']}"


def _closed(entry: Entry) -> str:
    return f"closed: {entry['resolution']}" if entry.get("resolution") else "closed"


def _name(entry: Entry) -> str:
    point = entry.get("entry_point", "main")
    dry = " (dry run)" if entry.get("check") else ""
    return f"{entry.get('remediation', '-')}{'' if point == 'main' else f' {point}'}{dry}"


def _began(entry: Entry) -> str:
    return f"{_name(entry)} began on {', '.join(entry.get('hosts', []))}; run {entry.get('run')}"


def _ended(entry: Entry) -> str:
    changed = f" on {', '.join(entry['changed'])}" if entry.get("changed") else ""
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


# What is known


def responders(told: Iterable[Entry]) -> list[str]:
    """Everybody who did something or was named, in the order in which they came."""
    named = [str(entry[key]) for entry in told for key in ("commander", "by", "who") if entry.get(key)]
    return list(dict.fromkeys(named))


def lasted(state: State) -> str:
    """How long it was from open to Resolved; '' while it is not."""
    if "resolved" not in state.times:
        return ""
    return span(scales.instant(state.times["resolved"]) - scales.instant(state.times["opened"]))


def span(length: timedelta) -> str:
    """A length of time in its two largest units: 40s, 12m, 1h 05m, 2d 3h."""
    seconds = int(abs(length.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86400
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m"


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
    opened = scales.instant(state.times["opened"])
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


# What is missing


def missing(home: Path, incident: str) -> list[str]:
    """A sentence for each thing that an evidence pack must contain (aureus:318-340) and that is not there yet."""
    told = incidents.entries(home, incident)
    state, folder = incidents.fold(incident, told), home / "incidents" / incident
    absent = [
        f"{name} is not written yet" for name in ("timeline.md", "changes.json", "approvals.json") if not _there(folder / name)
    ]
    runs = [f"run {run} has begun and its end is not in the timeline" for run in _unended(state)]
    return [*absent, *runs, *_uncountersigned(state), *_missing_logs(state, told, folder), *_unfilled(folder)]


def _unfilled(folder: Path) -> list[str]:
    said = []
    for name, what in (("impact-assessment.md", "the impact assessment"), ("rca.md", "the root cause analysis")):
        blanks = _blanks(folder / name)
        if blanks is None:
            said.append(f"{what} is not begun: {name}")
        elif blanks:
            said.append(f"{what} has {blanks} blank{'s' if blanks > 1 else ''} left to fill in: {name}")
    return said


def _uncountersigned(state: State) -> list[str]:
    signed = {one.get("run") for one in state.approvals if one["event"] == "countersigned"}
    used = [one.get("run") for one in state.approvals if one["event"] == "break-glass"]
    return [f"run {run} broke the glass and is not countersigned" for run in used if run not in signed]


def _missing_logs(state: State, told: Sequence[Entry], folder: Path) -> list[str]:
    """Logs are wanted from before the first change, from the time until Resolved, and from after it."""
    if not any(path.is_file() for path in (folder / "logs").rglob("*")):
        return ["no logs were captured before, during or after the incident: logs/ is empty"]
    taken = [entry["at"] for entry in told if entry["event"] == "collected"]
    started = [str(state.runs[str(entry.get("run"))].get("started", entry["at"])) for entry in told if _is_change(entry)]
    resolved = state.times.get("resolved", "")
    first = min(started, default="")
    said = [] if not first or any(at < first for at in taken) else ["no logs were captured before the first change"]
    said += [] if any(not resolved or at < resolved for at in taken) else ["no logs were captured during the incident"]
    return said + ([] if resolved and any(at >= resolved for at in taken) else ["no logs were captured after the incident"])


# What is told to others


def known_commander_notice(state: State) -> str:
    """The notice of aureus:46-56, with what is known."""
    impact = "; ".join(f"{key} {state.impact[key]}" for key in ("users", "services", "data", "business") if state.impact.get(key))
    rows = {
        "Severity": state.severity,
        "Component": state.component,
        "Impact": impact or state.title,
        "Started": moment(state.times["opened"]),
        "Incident Commander": state.commander,
        "Status Page": "",
    }
    lines = [f"{name}: {printable(said) if said else 'not known yet'}" for name, said in rows.items()]
    return "\n".join(["INCIDENT DETECTED", f"Incident: {state.incident}", *lines])


def document(home: Path, state: State, now: datetime) -> dict[str, Any]:
    """The one JSON object about an incident."""
    clocks = [_reading(one) for one in incidents.readings(state, now, written(home, state.incident))]
    facts = {**asdict(state), "clocks": clocks, "missing": missing(home, state.incident)}
    return {"schema": "irctl/incident/1", **facts, "folder": str(home / "incidents" / state.incident)}


def _reading(one: scales.Reading) -> dict[str, Any]:
    due, met = (when and when.strftime("%Y-%m-%dT%H:%M:%SZ") for when in (one.due, one.met))
    head = {"name": one.clock.name, "says": one.clock.says, "state": one.state, "due": due, "left_seconds": one.left, "met": met}
    return {**head, "source": one.clock.source}
