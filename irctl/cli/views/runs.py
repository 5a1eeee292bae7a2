"""The runs that there were, or one of them, as their records have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.cli import render
from irctl.record.runs import Folder


def show(folders: Sequence[Folder], *, as_json: bool) -> None:
    """Print a line for each run."""
    rows = [_row(folder) for folder in folders]
    if as_json:
        render.as_object({"schema": "irctl/runs/1", "runs": rows})
    elif not rows:
        click.echo("There are no runs yet.")
    else:
        render.table([row["run"], render.outcome(row["outcome"], check=row["check"]), render.names(row["hosts"])] for row in rows)


def _row(folder: Folder) -> dict[str, Any]:
    begun = folder.document("run.json")
    ended = folder.document("result.json") if paths.exists(folder.path / "result.json") else {"outcome": "under way"}
    keys = ("run", "remediation", "incident", "check", "started")
    return {key: begun[key] for key in keys} | {"hosts": sorted(begun["hosts"]), "outcome": ended["outcome"]}


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
