"""The runs that there were, or one of them, as their records have them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import paths, values
from ansible_collections.irctl.runbooks.plugins.module_utils.values import short_list
from irctl.cli import render
from irctl.record import run_difference
from irctl.record.run_entries import Entry
from irctl.record.runs import Folder

HEADINGS = ["RUN", "AGE", "OUTCOME", "HOSTS"]


def show(entries: Sequence[Entry], *, none: str, as_json: bool) -> None:
    """Print a line for each run; `none` where there is none."""
    if as_json:
        render.as_object({"schema": "irctl/runs/1", "runs": [_object(entry) for entry in entries]})
    elif not entries:
        click.echo(none)
    else:
        render.table([HEADINGS, *map(_row, entries)])


def _row(entry: Entry) -> list[str]:
    age = max((datetime.now(UTC) - entry.began).total_seconds(), 0)
    return [entry.run, values.duration(age), render.outcome(entry.outcome, check=entry.check), short_list(entry.hosts)]


def _object(entry: Entry) -> dict[str, Any]:
    row = {**asdict(entry), "hosts": list(entry.hosts)}
    del row["reasons"]
    return row


def show_one(folder: Folder, *, as_json: bool) -> None:
    """Print the result of a run and the files of its record."""
    if not paths.exists(folder.path / "result.json"):
        document = folder.document("run.json")
        render.sentence(f"{folder.run} is under way since {document['started']}", document, as_json=as_json)
        return
    document = folder.document("result.json")
    if as_json:
        render.as_object(document)
        return
    click.echo(f"{click.style(document['run'], bold=True)}  {document['started']}  {document['seconds']} s")
    hosts = document["hosts"].items()
    render.table([name, render.outcome(host["outcome"], check=document["check"]), host["reason"]] for name, host in hosts)
    files = sorted(path for path in folder.path.rglob("*") if paths.is_file(path))
    render.table([f"  {path.relative_to(folder.path)}", f"{path.stat().st_size} bytes"] for path in files)
    click.echo(f"folder: {folder.path}\ncheck it: irctl evidence verify {folder.run}")


def show_difference(first: Folder, second: Folder, *, as_json: bool) -> None:
    """Print in what two runs differ."""
    differences = run_difference.differences(_facts(first), _facts(second))
    if as_json:
        rows = [asdict(difference) for difference in differences]
        render.as_object({"schema": "irctl/runs-difference/1", "first": first.run, "second": second.run, "differences": rows})
    elif not differences:
        click.echo("They do not differ in what was asked for, nor in what became of it.")
    else:
        render.table([["", first.run, second.run], *([one.what, _shown(one.first), _shown(one.second)] for one in differences)])


def _facts(folder: Folder) -> dict[str, Any]:
    ended = folder.document("result.json") if paths.exists(folder.path / "result.json") else {}
    return run_difference.facts(folder.document("run.json"), ended)


def _shown(value: Any) -> str:
    return "-" if value is None else values.printable(value if isinstance(value, str) else json.dumps(value), 200)
