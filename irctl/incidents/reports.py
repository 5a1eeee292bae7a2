"""The files of an incident that people read: rendered from its journal, or begun from a template and then left to people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.errors import EvidenceError
from irctl.incidents import incidents, severity
from irctl.incidents.checklist import BLANK, Blank, boxes, missing, there, written
from irctl.incidents.incidents import State
from irctl.incidents.timeline import Entry, Line, changes, moment, plain, span
from irctl.record import seal

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parent / "templates"
BEGUN = ("impact-assessment.md", "rca.md", "post-mortem-a.md", "post-mortem-b.md", "checklist.md")


def render(home: Path, incident: str) -> list[str]:
    """Write what is rendered from the journal, begin what is absent; return the names of what was begun. Raises EvidenceError."""
    with incidents.alone(home, incident) as told:
        folder, state = home / "incidents" / incident, incidents.fold(incident, told)
        try:
            for name, content in rendered(state, told).items():
                seal.write(folder / name, content)
            absent = [name for name in BEGUN if not there(folder / name)]
            for name in absent:
                seal.write(folder / name, begun(name, state, told))
        except OSError as error:
            raise EvidenceError(f"{folder} cannot be written: {error.strerror}") from None
    return absent


def rendered(state: State, told: Sequence[Entry]) -> dict[str, bytes]:
    """The content of what is rendered anew each time, by name; the same journal gives the same bytes."""
    head = {"incident": state.incident}
    approvals = [plain(entry) for entry in told if entry["event"] in incidents.APPROVALS]
    return {
        "README.md": _filled("README.md", state, told),
        "timeline.md": _filled("timeline.md", state, told),
        "changes.json": _json({"schema": "irctl/changes/1", **head, "changes": changes(told)}),
        "approvals.json": _json({"schema": "irctl/approvals/1", **head, "approvals": approvals}),
    }


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
        autoescape=False,  # every value is made harmless by `finalize`
        finalize=markdown,
    )
    found.globals["blank"] = BLANK
    found.filters["moment"] = moment
    return found


def markdown(value: object) -> str:
    """Text from outside, for Markdown: it cannot become a heading, a list, a table's cell, a link or HTML."""
    if isinstance(value, Blank):
        return value
    return "<br>".join(_markdown_line(" ".join(line.split())) for line in str(value).strip().splitlines())


def _markdown_line(line: str) -> str:
    clean = printable(line, 10_000).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    clean = re.sub(r"([\\`*\[\]|~])", r"\\\1", clean)
    clean = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", clean)  # within a word it is a letter like others
    return re.sub(r"^(?=[#+=-])|^([0-9]+)(?=[.)])", lambda found: f"{found[1] or ''}\\", clean)


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def responders(told: Iterable[Entry]) -> list[str]:
    """Everybody who did something or was named, in the order in which they came."""
    named = [str(entry[key]) for entry in told for key in ("commander", "by", "who") if entry.get(key)]
    return list(dict.fromkeys(named))


def lasted(state: State) -> str:
    """How long it was from open to Resolved; '' while it is not."""
    if "resolved" not in state.times:
        return ""
    return span(severity.instant(state.times["resolved"]) - severity.instant(state.times["opened"]))


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


def _reading(one: severity.Reading) -> dict[str, Any]:
    due, met = (when and when.strftime("%Y-%m-%dT%H:%M:%SZ") for when in (one.due, one.met))
    head = {"name": one.clock.name, "says": one.clock.says, "state": one.state, "due": due, "left_seconds": one.left, "met": met}
    return {**head, "source": one.clock.source}
