"""irctl revert RUN: put back what a run captured before its change."""

from __future__ import annotations

from pathlib import Path

import click

from irctl.cli import completions, render
from irctl.cli.base import Command, is_quiet, settings_of, wants_json
from irctl.cli.option_types import Value, incident_id, timeout
from irctl.cli.orders import carry_out, whole_incident
from irctl.cli.views import run as view
from irctl.leases import register
from irctl.orders import revert
from irctl.record import run_entries, runs


@click.command(cls=Command, name="revert", epilog="Example: irctl revert 7f3a01 --check")
@click.argument("run", shell_complete=completions.undoable_runs)
@click.option("--check", is_flag=True, help="Change nothing; say what would be changed.")
@click.option("--force", is_flag=True, help="Put it back although somebody else has changed it since.")
@click.option("--incident", type=Value("ID", incident_id), metavar="ID", envvar="IRCTL_INCIDENT",
              shell_complete=completions.incidents,
              help="The incident that this belongs to. Default: that of the run.")  # fmt: skip
@click.option("--timeout", type=Value("DURATION", timeout), default="10m", metavar="DURATION",
              help="Stop, and call it indeterminate, after this long. Default: 10m.")  # fmt: skip
@click.pass_context
def command(ctx: click.Context, run: str, check: bool, force: bool, incident: str | None, timeout: int) -> int:
    """Undo what RUN changed, from the state that it had captured, and verify it.

    With `last` as RUN, the newest run of `irctl remediate` that was no dry run; given twice, it undoes no second run.

    Refuses where the state is no longer the one that RUN had set. Needs no approval. A lease of RUN is over with it.
    """
    settings = settings_of(ctx)
    folder = _last(settings.home_path) if run == runs.LAST else runs.find(settings.home_path, run)
    render.name_last(run, folder.run)
    named = whole_incident(ctx, incident)
    order = revert.order(settings, folder, check=check, force=force, incident=named, timeout=timeout)
    outcome = carry_out(ctx, order)
    if not check and outcome.succeeded:
        _end_leases(folder, outcome.run)
    view.show(order, outcome, as_json=wants_json(ctx), quiet=is_quiet(ctx))
    return outcome.exit_code


def _last(home: Path) -> runs.Folder:
    """The newest run that was to change something and is no undoing itself. Raises Invalid where there is none, and EvidenceError
    where a newer record cannot be read: it may be that one.
    """
    return runs.newest(folder for folder in runs.listed(home) if run_entries.entry(folder).verb == run_entries.REMEDIATE)


def _end_leases(folder: runs.Folder, reverting: str) -> None:
    for lease in register.listed(folder.home):
        if lease.run == folder.run:
            register.ended(folder.home, lease, f"reverted by {reverting}")
