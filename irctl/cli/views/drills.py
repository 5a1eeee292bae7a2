"""Drills: what became of those just held, and when each remediation is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import short_list
from irctl.cli import render
from irctl.drills import history
from irctl.drills.history import Drill, Due

COLOURS = {history.FIXED: "green", history.NOTHING: "yellow", history.UNKNOWN: "yellow"}


def show(drills: Sequence[Drill], not_drilled: Mapping[str, str], code: int, *, as_json: bool) -> None:
    """Print what became of each drill. `not_drilled` has the reason by remediation, `code` is the command's exit code."""
    if as_json:
        skipped = [{"remediation": name, "reason": reason} for name, reason in not_drilled.items()]
        render.as_object(document([asdict(drill) for drill in drills], code) | {"not_drilled": skipped})
    else:
        skipped_rows = [[name, "", "not drilled", "", "", reason] for name, reason in not_drilled.items()]
        render.table([*map(_row, drills), *skipped_rows])


def document(drills: Sequence[object], code: int) -> dict[str, object]:
    """The object of a command that held drills, or none."""
    return {"schema": "irctl/drill/1", "exit_code": code, "drills": list(drills), "not_drilled": []}


def _row(drill: Drill) -> list[str]:
    detect = f"detected in {drill.detect:.1f} s" if drill.detect is not None else ""
    mitigate = f"mended in {drill.mitigate:.1f} s" if drill.mitigate is not None else ""
    rest = " · ".join(part for part in (drill.why, f"{drill.seconds:.1f} s in all", drill.incident) if part)
    return [drill.remediation, short_list(drill.hosts), _verdict(drill), detect, mitigate, rest]


def _verdict(drill: Drill) -> str:
    return click.style(drill.verdict, fg=COLOURS.get(drill.verdict, "red"))


def show_due(rows: Sequence[Due], *, as_json: bool, header: bool = False) -> None:
    """Print when each remediation was drilled last, and when it is due."""
    if as_json:
        drills = [{**vars(row), "last": asdict(row.last) if row.last else None, "next_due": _iso(row.next_due)} for row in rows]
        render.as_object({"schema": "irctl/drills/1", "drills": drills})
    else:
        head = [["WHAT", "WHERE", "LAST", "VERDICT", "NEXT"]] if header else []
        render.table([*head, *map(_due_row, rows)])


def _iso(when: datetime | None) -> str | None:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}" if when else None


def _due_row(row: Due) -> list[str]:
    last, due_at = row.last, f"{row.next_due:%Y-%m-%d %H:%M} UTC" if row.next_due else ""
    overdue_since = f"DUE since {due_at}" if row.next_due is not None and row.next_due <= datetime.now(UTC) else "DUE"
    due = click.style(overdue_since, fg="red") if row.overdue else due_at
    last_at = f"{last.started[:16].replace('T', ' ')} UTC" if last else "never"
    return [row.remediation, row.host or "-", last_at, _verdict(last) if last else "-", due]
