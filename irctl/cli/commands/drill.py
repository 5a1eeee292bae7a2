"""irctl drill: practise a remediation on hosts that are marked for it, and see when it was practised last."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from irctl.catalog.config import Settings
from irctl.cli import options, render
from irctl.cli.base import Group, remind, settings_of, wants_json
from irctl.cli.commands import drill_report, drill_run, drill_schedule
from irctl.drills import history
from irctl.drills.history import Drill, Due
from irctl.errors import DONE, FAILED, IrctlError, worst
from irctl.incidents import incidents

if TYPE_CHECKING:
    pass

command = Group(
    name="drill",
    help="Practise: make the fault, find it, mend it as in earnest, prove it, and put everything back.\n\n"
    "Only on hosts that the inventory marks with `irctl_drills: allowed`.",
    epilog="Example: irctl drill run db-connections --host lab",
)
command.add_command(drill_run.run)


def _complete_drill(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [incident for incident in history.unfinished(settings_of(ctx).home_path) if incident.startswith(incomplete)]


@command.command(name="list", epilog="Example: irctl drill list --host lab")
@click.pass_context
def list_(ctx: click.Context, hosts: tuple[str, ...]) -> None:
    """Show when each remediation was drilled last, with what verdict, and when it is due next."""
    settings = settings_of(ctx)
    remind(settings.home_path)
    found = history.due(settings.home_path, settings.contents, datetime.now(UTC), hosts)
    if wants_json(ctx):
        _as_object(found)
    else:
        render.table([["WHAT", "WHERE", "LAST", "VERDICT", "NEXT"], *map(_due_row, found)])


@command.command(name="due", epilog="Example: irctl drill due --host lab")
@click.pass_context
def due(ctx: click.Context, hosts: tuple[str, ...]) -> int:
    """Name what is due, and exit 1 where something is: for CI."""
    settings = settings_of(ctx)
    rows = history.due(settings.home_path, settings.contents, datetime.now(UTC), hosts)
    found = [row for row in rows if row.overdue]
    if wants_json(ctx):
        _as_object(found)
    elif found:
        render.table(map(_due_row, found))
    else:
        click.echo("nothing is due")
    return FAILED if found else DONE


def _some_hosts() -> click.Option:
    found = options.host_option()
    found.required, found.help = False, "Only for this host or group. Repeat it for more. Default: wherever it was drilled."
    return found


for _listing in (list_, due):
    _listing.params.insert(0, _some_hosts())


def _as_object(found: list[Due]) -> None:
    rows = [{**vars(row), "last": asdict(row.last) if row.last else None, "next_due": _iso(row.next_due)} for row in found]
    render.as_object({"schema": "irctl/drills/1", "drills": rows})


def _iso(when: datetime | None) -> str | None:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}" if when else None


def _due_row(row: Due) -> list[str]:
    last, soon = row.last, f"{row.next_due:%Y-%m-%d %H:%M} UTC" if row.next_due else ""
    verdict = click.style(last.verdict, fg=drill_run.COLOURS.get(last.verdict, "red")) if last else "-"
    passed = row.next_due is not None and row.next_due <= datetime.now(UTC)
    when = click.style(f"DUE since {soon}" if passed else "DUE", fg="red") if row.overdue else soon
    return [row.remediation, row.host or "-", f"{last.started[:16].replace('T', ' ')} UTC" if last else "never", verdict, when]


@command.command(name="restore", epilog="Example: irctl drill restore INC-2026-1121-001")
@click.argument("incident", metavar="[ID]", required=False, shell_complete=_complete_drill)
@click.pass_context
def restore(ctx: click.Context, incident: str | None) -> int:
    """Take away what a drill left behind that was cut short: that of ID, or every such drill.

    The timer that ends leases does this too, once a minute.
    """
    settings = settings_of(ctx)
    home = settings.home_path
    wanted = [incidents.find(home, incident)] if incident else history.unfinished(home)
    done, failed = _restored(wanted, settings)
    if failed and not done:
        raise next(iter(failed.values()))
    said = [f"restored: {one.remediation} on {', '.join(one.hosts)} ({one.incident}): {one.verdict}" for one in done]
    for one, error in failed.items():
        click.echo(f"error: {one} was not restored: {error}", err=True)
    code = worst([DONE] + [error.exit_code for error in failed.values()] + [FAILED for one in done if one.verdict == history.WORSE])
    about = {"schema": "irctl/drill/1", "exit_code": code, "drills": [asdict(one) for one in done], "not_drilled": []}
    render.said("\n".join(said) or "no drill was cut short", about, as_json=wants_json(ctx))
    return code


def _restored(wanted: list[str], settings: Settings) -> tuple[list[Drill], dict[str, IrctlError]]:
    """Restore each, whatever becomes of the others; what was done, and what went wrong."""
    from irctl.drills import restore as drill_restore

    done, failed = list[Drill](), dict[str, IrctlError]()
    for one in wanted:
        try:
            done.append(drill_restore.restore(one, settings, render.quiet))
        except IrctlError as error:
            failed[one] = error
    return done, failed


for one in (drill_schedule.command, drill_schedule.run_due, drill_report.command):
    command.add_command(one)
