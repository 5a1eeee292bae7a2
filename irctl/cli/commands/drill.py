"""irctl drill: practise a remediation on hosts that are marked for it, and see when it was practised last."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import short_list
from irctl.catalog.config import Settings
from irctl.cli import completions, render
from irctl.cli.base import Group, remind, settings_of, wants_json
from irctl.cli.commands import drill_report, drill_run, drill_schedule
from irctl.cli.order_options import host_option
from irctl.cli.views import drills as view
from irctl.drills import history
from irctl.drills.history import Drill
from irctl.errors import DONE, FAILED, IrctlError, worst
from irctl.incidents import incidents

command = Group(
    name="drill",
    help="Practise: make the fault, find it, mend it as in earnest, prove it, and put everything back.\n\n"
    "Only on hosts that the inventory marks with `irctl_drills: allowed`.",
    epilog="Example: irctl drill run db-connections --host lab",
)


@command.command(name="list", epilog="Example: irctl drill list --host lab")
@click.pass_context
def list_(ctx: click.Context, hosts: tuple[str, ...]) -> None:
    """Show when each remediation was drilled last, with what verdict, and when it is due next."""
    settings = settings_of(ctx)
    remind(settings.home_path)
    rows = history.due(settings.home_path, settings.contents, datetime.now(UTC), hosts)
    view.show_due(rows, as_json=wants_json(ctx), header=True)


@command.command(name="due", epilog="Example: irctl drill due --host lab")
@click.pass_context
def due(ctx: click.Context, hosts: tuple[str, ...]) -> int:
    """Name what is due, and exit 1 where something is: for CI."""
    settings = settings_of(ctx)
    rows = history.due(settings.home_path, settings.contents, datetime.now(UTC), hosts)
    overdue = [row for row in rows if row.overdue]
    if overdue or wants_json(ctx):
        view.show_due(overdue, as_json=wants_json(ctx))
    else:
        click.echo("nothing is due")
    return FAILED if overdue else DONE


for listing in (list_, due):
    sentence = "Only for this host or group. Repeat it for more. Default: wherever it was drilled."
    listing.params.insert(0, host_option(required=False, sentence=sentence))


@command.command(name="restore", epilog="Example: irctl drill restore INC-2026-1121-001")
@click.argument("incident", metavar="[ID]", required=False, shell_complete=completions.unfinished_drills)
@click.pass_context
def restore(ctx: click.Context, incident: str | None) -> int:
    """Take away what a drill left behind that was cut short: that of ID, or every such drill.

    The timer that ends leases does this too, once a minute.
    """
    settings = settings_of(ctx)
    home = settings.home_path
    unfinished = [incidents.find(home, incident)] if incident else history.unfinished(home)
    restored, errors = _restored(unfinished, settings)
    if errors and not restored:
        raise next(iter(errors.values()))
    for name, error in errors.items():
        click.echo(f"error: {name} was not restored: {error}", err=True)
    worse = [FAILED for drill in restored if drill.verdict in (history.WORSE, history.HIT)]
    code = worst([DONE, *(error.exit_code for error in errors.values()), *worse])
    lines = [f"restored: {one.remediation} on {short_list(one.hosts)} ({one.incident}): {one.verdict}" for one in restored]
    document = view.document([asdict(drill) for drill in restored], code)
    render.sentence("\n".join(lines) or "no drill was cut short", document, as_json=wants_json(ctx))
    return code


def _restored(unfinished: list[str], settings: Settings) -> tuple[list[Drill], dict[str, IrctlError]]:
    """Restore each, whatever becomes of the others: the drills restored, and the errors of the others by incident."""
    from irctl.drills import restore as restoring

    restored, errors = list[Drill](), dict[str, IrctlError]()
    for incident in unfinished:
        try:
            restored.append(restoring.restore(incident, settings, render.notices_only))
        except IrctlError as error:
            errors[incident] = error
    return restored, errors


for one in (drill_run.run, drill_schedule.command, drill_schedule.run_due, drill_report.command):
    command.add_command(one)
