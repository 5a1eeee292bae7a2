"""irctl drill: practise a remediation on hosts that are marked for it, and see when it was practised last."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from irctl import catalog, drills, incidents, options, render
from irctl.commands import Group, drill_report, drill_schedule, remind, settings_of, wants_json
from irctl.config import Settings
from irctl.drills import Drill, Due
from irctl.errors import DONE, FAILED, Busy, Invalid, IrctlError, worst

if TYPE_CHECKING:
    from irctl.drill_steps import Wish
    from irctl.drilling import Held

command = Group(
    name="drill",
    help="Practise: make the fault, find it, mend it as in earnest, prove it, and put everything back.\n\n"
    "Only on hosts that the inventory marks with `irctl_drills: allowed`.",
    epilog="Example: irctl drill run db-connections --host lab",
)
COLOURS = {drills.FIXED: "green", drills.NOTHING: "yellow", drills.UNKNOWN: "yellow"}


def _complete_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in catalog.names(settings_of(ctx).contents) if name.startswith(incomplete)]


def _complete_drill(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [incident for incident in drills.unfinished(settings_of(ctx).home_path) if incident.startswith(incomplete)]


def chosen(ctx: click.Context, names: tuple[str, ...], *, everything: bool) -> list[str]:
    """The remediations that are meant: those named, or all there are. Raises Invalid."""
    known = catalog.names(settings_of(ctx).contents)
    if everything == bool(names):
        raise Invalid(f"NAME: {'not together with --all' if names else 'it must be given, or --all'}")
    for name in names:
        if name not in known:
            raise Invalid(f"NAME: there is no remediation {catalog.printable(name)}.{catalog.nearest(name, known)}")
    return list(dict.fromkeys(names)) or list(known)


@command.command(name="run", epilog="Example: irctl drill run db-connections db-freeze-writes --host lab")
@click.argument("names", metavar="NAME...", nargs=-1, shell_complete=_complete_name)
@click.option("--all", "everything", is_flag=True, help="Every remediation that can be drilled on these hosts.")
@click.option("--detect-within", type=options.Value("DURATION", options.timeout), default="1m", metavar="DURATION",
              help="How long the fault may take to show. Default: 1m.")  # fmt: skip
@click.option("--timeout", type=options.Value("DURATION", options.timeout), default="10m", metavar="DURATION",
              help="Stop a step, and call it indeterminate, after this long. Default: 10m.")  # fmt: skip
@click.option("--if-due", is_flag=True, help="Only what is due now, as `irctl drill due` says.")
@click.option("--scheduled", is_flag=True, help="A schedule says this; the record of the drill says so too.")
@click.pass_context
def run(ctx: click.Context, /, names: tuple[str, ...], everything: bool, if_due: bool, **given: Any) -> int:
    """Hold a drill of each NAME on the hosts, one after another."""
    settings = settings_of(ctx)
    remind(settings.home_path)
    wanted, hosts = chosen(ctx, names, everything=everything), tuple(dict.fromkeys(given.pop("hosts")))
    if if_due and not (wanted := _overdue(settings, wanted, hosts)):
        nothing = {"schema": "irctl/drill/1", "exit_code": DONE, "drills": [], "not_drilled": []}
        render.said("nothing is due", nothing, as_json=wants_json(ctx))
        return DONE
    session = _Session(ctx, settings, everything=everything, alone=len(wanted) == 1)
    for name in wanted:
        session.hold(name, hosts, given)
    return session.end()


run.params.insert(1, options.host_option())  # the very one that every order takes


def _overdue(settings: Settings, names: list[str], hosts: tuple[str, ...]) -> list[str]:
    rows = drills.due(settings.home_path, settings.contents, datetime.now(UTC), hosts)
    return [name for name in names if name in {row.remediation for row in rows if row.overdue}]


class _Session:
    """The drills of one command."""

    def __init__(self, ctx: click.Context, settings: Settings, *, everything: bool, alone: bool) -> None:
        self._ctx, self._settings, self._everything, self._alone = ctx, settings, everything, alone
        self._held: list[Held] = []
        self._lacking: dict[str, str] = {}
        self._codes: list[int] = []
        self._stopped = ""

    def hold(self, name: str, hosts: tuple[str, ...], given: dict[str, Any]) -> None:
        """Hold one, or note why not. Raises IrctlError where it is the only one, or would be the same for all the others."""
        from irctl import drilling
        from irctl.drill_steps import Interrupted

        why = self._stopped or (drilling.obstacle(name, self._settings.contents) if self._everything else "")
        if why:
            self._lacking[name] = why
            return
        try:
            self._note(self._carry_out(drilling.wish(name, self._settings.contents, hosts, **given)))
        except drilling.Lacking as error:
            if not self._everything:
                raise
            self._lacking[name] = str(error)
        except IrctlError as error:
            if self._alone or not (self._held or isinstance(error, Busy)):
                raise
            self._lacking[name] = str(error)
            self._codes.append(error.exit_code)
            self._stopped = str(error) if isinstance(error, Interrupted) else ""

    def _carry_out(self, wanted: Wish) -> Held:
        from irctl import drilling
        from irctl.flow import Order
        from irctl.progress import progress

        found = catalog.load(wanted.remediation, self._settings.contents)
        shown = Order(replace(found, name=f"drill {found.name}"), wanted.names, {})
        with progress(shown, quiet=wants_json(self._ctx)) as show:
            return drilling.hold(wanted, self._settings, show)

    def _note(self, done: Held) -> None:
        self._stopped = done.interrupted
        if self._everything and done.lacks:
            self._lacking[done.drill.remediation] = done.lacks
        else:
            self._held.append(done)
            self._codes.append(done.exit_code)

    def end(self) -> int:
        """Say what became of them; the exit code."""
        code = worst(self._codes or [FAILED])  # where nothing was drilled, nothing was proved
        found = [done.drill for done in self._held]
        if wants_json(self._ctx):
            lacking = [{"remediation": name, "reason": why} for name, why in self._lacking.items()]
            head = {"schema": "irctl/drill/1", "exit_code": code}
            render.as_object(head | {"drills": [asdict(drill) for drill in found], "not_drilled": lacking})
        else:
            render.table([*map(_row, found), *([name, "", "not drilled", "", "", why] for name, why in self._lacking.items())])
        return code


def _row(drill: Drill) -> list[str]:
    verdict = click.style(drill.verdict, fg=COLOURS.get(drill.verdict, "red"))
    detect = f"detected in {drill.detect:.1f} s" if drill.detect is not None else ""
    mitigate = f"mended in {drill.mitigate:.1f} s" if drill.mitigate is not None else ""
    rest = " · ".join(part for part in (drill.why, f"{drill.seconds:.1f} s in all", drill.incident) if part)
    return [drill.remediation, ", ".join(drill.hosts[:5]), verdict, detect, mitigate, rest]


@command.command(name="list", epilog="Example: irctl drill list --host lab")
@click.pass_context
def list_(ctx: click.Context, hosts: tuple[str, ...]) -> None:
    """Show when each remediation was drilled last, with what verdict, and when it is due next."""
    settings = settings_of(ctx)
    remind(settings.home_path)
    found = drills.due(settings.home_path, settings.contents, datetime.now(UTC), hosts)
    if wants_json(ctx):
        _as_object(found)
    else:
        render.table([["WHAT", "WHERE", "LAST", "VERDICT", "NEXT"], *map(_due_row, found)])


@command.command(name="due", epilog="Example: irctl drill due --host lab")
@click.pass_context
def due(ctx: click.Context, hosts: tuple[str, ...]) -> int:
    """Name what is due, and exit 1 where something is: for CI."""
    settings = settings_of(ctx)
    rows = drills.due(settings.home_path, settings.contents, datetime.now(UTC), hosts)
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
    verdict = click.style(last.verdict, fg=COLOURS.get(last.verdict, "red")) if last else "-"
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
    wanted = [incidents.find(home, incident)] if incident else drills.unfinished(home)
    done, failed = _restored(wanted, settings)
    if failed and not done:
        raise next(iter(failed.values()))
    said = [f"restored: {one.remediation} on {', '.join(one.hosts)} ({one.incident}): {one.verdict}" for one in done]
    for one, error in failed.items():
        click.echo(f"error: {one} was not restored: {error}", err=True)
    code = worst([DONE] + [error.exit_code for error in failed.values()] + [FAILED for one in done if one.verdict == drills.WORSE])
    about = {"schema": "irctl/drill/1", "exit_code": code, "drills": [asdict(one) for one in done], "not_drilled": []}
    render.said("\n".join(said) or "no drill was cut short", about, as_json=wants_json(ctx))
    return code


def _restored(wanted: list[str], settings: Settings) -> tuple[list[Drill], dict[str, IrctlError]]:
    """Restore each, whatever becomes of the others; what was done, and what went wrong."""
    from irctl import drill_restore

    done, failed = list[Drill](), dict[str, IrctlError]()
    for one in wanted:
        try:
            done.append(drill_restore.restore(one, settings, render.quiet))
        except IrctlError as error:
            failed[one] = error
    return done, failed


for one in (drill_schedule.command, drill_schedule.run_due, drill_report.command):
    command.add_command(one)
