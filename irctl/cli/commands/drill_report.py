"""irctl drill report: what all drills together show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.cli import options, render
from irctl.cli.base import Command, remind, settings_of, wants_json
from irctl.drills import history
from irctl.errors import Invalid

if TYPE_CHECKING:
    from irctl.drills.report import Place, Report


def _long(text: str) -> timedelta:
    return timedelta(seconds=values.seconds(text))


@click.command(cls=Command, name="report", epilog="Example: irctl drill report --html drills.html --since 90d")
@click.option("--html", "path", type=click.Path(path_type=Path), metavar="FILE",
              help="Write one page that stands alone. An earlier report is written over, nothing else.")  # fmt: skip
@click.option("--since", type=options.Value("DURATION", _long), metavar="DURATION",
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
    held = history.history(home)
    try:
        found = report.report(held, history.due(home, settings.contents, now), now, since)
    except OverflowError:
        raise Invalid("--since: before the beginning of the calendar") from None
    if path:
        report.write(path, report.page(found, home), force=force)
    if wants_json(ctx):
        render.as_object(report.document(found) | {"html": str(path.absolute()) if path else None})
    elif path:
        click.echo(f"{path}: {len(found.held)} drills, {found.overdue} of {len(found.places)} remediations overdue")
    else:
        _show(found)


def _show(found: Report) -> None:
    from irctl.drills.chart import seconds

    render.table([["WHAT", "WHERE", "DRILLS", "LAST", "VERDICT", "DETECT", "MITIGATE", "NEXT"], *map(_row, found.places)])
    detect, mitigate = (found.median(what) for what in ("detect", "mitigate"))
    medians = f"detect {seconds(detect[0])} (of {detect[1]}), mitigate {seconds(mitigate[0])} (of {mitigate[1]})"
    click.echo(f"{found.fixed} of {found.judged} drills fixed · {found.overdue} of {len(found.places)} overdue · median: {medians}")


def _row(place: Place) -> list[str]:
    from irctl.drills.chart import seconds
    from irctl.drills.report import minute, word

    last, due = place.last, place.due
    verdict = click.style(word(last.verdict), fg={history.FIXED: "green"}.get(last.verdict, "red")) if last else "-"
    times = [seconds(last.detect), seconds(last.mitigate)] if last else ["-", "-"]
    soon = f"{minute(due.next_due)} UTC" if due and due.next_due else "-"
    when = click.style("overdue", fg="red") if place.overdue else soon
    number = str(len(place.held))
    return [place.remediation, place.host or "-", number, minute(last.started) if last else "never", verdict, *times, when]
