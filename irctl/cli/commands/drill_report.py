"""irctl drill report: what all drills together show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.cli import render
from irctl.cli.base import Command, remind, settings_of, wants_json
from irctl.cli.option_types import Value
from irctl.drills import history
from irctl.errors import Invalid

if TYPE_CHECKING:
    from irctl.drills.report import Place, Report


def _timedelta(text: str) -> timedelta:
    return timedelta(seconds=values.seconds(text))


@click.command(cls=Command, name="report", epilog="Example: irctl drill report --html drills.html --since 90d")
@click.option("--html", "path", type=click.Path(path_type=Path), metavar="FILE",
              help="Write one page that stands alone. An earlier report is written over, nothing else.")  # fmt: skip
@click.option("--since", type=Value("DURATION", _timedelta), metavar="DURATION",
              help="Only what was drilled within this time. Default: everything. Example: --since 90d")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over FILE whatever it is.")
@click.pass_context
def command(ctx: click.Context, path: Path | None, since: timedelta | None, force: bool) -> None:
    """Show what all drills together show: verdicts, times over time, and what is overdue."""
    from irctl.drills import report

    if force and not path:
        raise Invalid("--force: only together with --html")
    settings = settings_of(ctx)
    home, now = settings.home_path, datetime.now(UTC)
    remind(home)
    drills = history.history(home)
    try:
        summary = report.report(drills, history.due(home, settings.contents, now), now, since)
    except OverflowError:
        raise Invalid("--since: before the beginning of the calendar") from None
    if path:
        report.write(path, report.page(summary, home), force=force)
    if wants_json(ctx):
        render.as_object(report.document(summary) | {"html": str(path.absolute()) if path else None})
    elif path:
        click.echo(f"{path}: {len(summary.held)} drills, {summary.overdue} of {len(summary.places)} remediations overdue")
    else:
        _show(summary)


def _show(summary: Report) -> None:
    from irctl.drills.chart import seconds

    render.table([["WHAT", "WHERE", "DRILLS", "LAST", "VERDICT", "DETECT", "MITIGATE", "NEXT"], *map(_row, summary.places)])
    detect, mitigate = (summary.median(name) for name in ("detect", "mitigate"))
    medians = f"detect {seconds(detect[0])} (of {detect[1]}), mitigate {seconds(mitigate[0])} (of {mitigate[1]})"
    click.echo(
        f"{summary.fixed} of {summary.judged} drills fixed · {summary.overdue} of {len(summary.places)} overdue · median: {medians}"
    )


def _row(place: Place) -> list[str]:
    from irctl.drills.chart import seconds
    from irctl.drills.report import minute, word

    last, due = place.last, place.due
    verdict = click.style(word(last.verdict), fg={history.FIXED: "green"}.get(last.verdict, "red")) if last else "-"
    times = [seconds(last.detect), seconds(last.mitigate)] if last else ["-", "-"]
    due_at = f"{minute(due.next_due)} UTC" if due and due.next_due else "-"
    next_due = click.style("overdue", fg="red") if place.overdue else due_at
    number = str(len(place.held))
    return [place.remediation, place.host or "-", number, minute(last.started) if last else "never", verdict, *times, next_due]
