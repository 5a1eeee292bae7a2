"""Incidents in a list, one with its clocks, and its timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.cli import render
from irctl.incidents import checklist, incidents
from irctl.incidents.incidents import State
from irctl.incidents.severity import Reading
from irctl.incidents.timeline import lines as timeline
from irctl.incidents.timeline import moment, span

COLOURS = {"overdue": "red", "late": "red", "running": "yellow", "met": "green", "over": "green"}
KEYS = ("incident", "title", "severity", "profile", "status", "closed", "component", "commander", "assigned", "held", "drill")
NOT_RUNNING = {  # by what starts a clock
    "personal-data": "runs where the impact says that personal data may be involved",
    "resolved": "runs from Resolved",
    "monitoring": "runs from Monitoring",
}


def show(states: Sequence[State], *, as_json: bool, none: str) -> None:
    """Print a line for each incident, or `none` where there is none."""
    if as_json:
        rows = [{**{key: getattr(state, key) for key in KEYS}, "opened": state.times["opened"]} for state in states]
        render.as_object({"schema": "irctl/incidents/1", "incidents": rows})
    elif not states:
        click.echo(none)
    else:
        render.table(map(_row, states))


def _row(state: State) -> list[str]:
    severity = "drill" if state.drill else state.severity
    status = f"{state.status}, closed" if state.closed else state.status
    return [state.incident, severity, status, moment(state.times["opened"]), state.title]


def show_one(home: Path, state: State, now: datetime) -> None:
    """Print what an incident is now, and its clocks."""
    closed = f", closed {moment(state.times['closed'])}" if state.closed else ""
    click.echo(f"{click.style(state.incident, bold=True)}  {state.title}")
    severity = "a drill" if state.drill else f"{state.level.title} of {state.profile}"
    click.echo(f"{severity}, {state.status}{closed}\n")
    render.table([f"  {name}", " / ".join(value.splitlines())] for name, value in _facts(state).items() if value)
    if clocks := incidents.readings(state, now, checklist.written(home, state.incident)):
        click.echo("\nClocks")
        render.table(map(_clock_row, clocks))
    click.echo(f"\ntimeline: irctl incident timeline {state.incident}\nfolder: {home / 'incidents' / state.incident}")


def _facts(state: State) -> dict[str, str]:
    return {
        "opened": moment(state.times["opened"]),
        "component": state.component,
        "commander": state.commander,
        "assigned": state.assigned,
        "resolution": state.resolution,
        "legal hold": state.held,
        "runs": _counts(state.runs),
        "leases": _counts(state.leases),
        "approvals": str(len(state.approvals) or ""),
        **{name.replace("_", " "): value for name, value in state.impact.items()},
    }


def _counts(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """'2 changed, 1 under way'."""
    words = [str(entry.get("outcome") or entry.get("state")) for entry in entries.values()]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))


def _clock_row(reading: Reading) -> list[str]:
    due = f"{reading.due:%Y-%m-%d %H:%M:%S}" if reading.due else ""
    return [f"  {reading.clock.says}", due, click.style(_in_words(reading), fg=COLOURS.get(reading.state))]


def _in_words(reading: Reading) -> str:
    if reading.left is not None:
        length = span(timedelta(seconds=reading.left))
        return f"OVERDUE by {length}" if reading.state == "overdue" else f"{length} left"
    if reading.met is None or reading.due is None:
        return NOT_RUNNING.get(reading.clock.when or reading.clock.starts, "does not run")
    late = f", {span(reading.met - reading.due)} late" if reading.state == "late" else ""
    return "over" if reading.state == "over" else f"done {reading.met:%Y-%m-%d %H:%M:%S}{late}"


def show_timeline(home: Path, incident: str, *, as_json: bool) -> None:
    """Print all that happened to an incident, in order."""
    lines = timeline(home, incident)
    if as_json:
        rows = [{"seq": line.seq, "at": line.at, "by": line.by, "what": line.what} for line in lines]
        render.as_object({"schema": "irctl/timeline/1", "incident": incident, "lines": rows})
        return
    for line in lines:
        first, *others = [printable(part, 10_000) for part in line.what.splitlines()]
        click.echo("\n    ".join([f"{moment(line.at)}  {line.by}: {first}", *others]))
