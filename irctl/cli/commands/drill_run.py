"""irctl drill run: hold drills, one after another, and say what became of each."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from irctl.catalog import catalog
from irctl.catalog.config import Settings
from irctl.cli import options, render
from irctl.cli.base import Command, remind, settings_of, wants_json
from irctl.drills import history
from irctl.drills.history import Drill
from irctl.errors import DONE, FAILED, Busy, Invalid, IrctlError, worst

if TYPE_CHECKING:
    from irctl.drills.drill import Held
    from irctl.drills.steps import Wish

COLOURS = {history.FIXED: "green", history.NOTHING: "yellow", history.UNKNOWN: "yellow"}


def _complete_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in catalog.names(settings_of(ctx).contents) if name.startswith(incomplete)]


def chosen(ctx: click.Context, names: tuple[str, ...], *, everything: bool) -> list[str]:
    """The remediations that are meant: those named, or all there are. Raises Invalid."""
    known = catalog.names(settings_of(ctx).contents)
    if everything == bool(names):
        raise Invalid(f"NAME: {'not together with --all' if names else 'it must be given, or --all'}")
    for name in names:
        if name not in known:
            raise Invalid(f"NAME: there is no remediation {catalog.printable(name)}.{catalog.nearest(name, known)}")
    return list(dict.fromkeys(names)) or list(known)


@click.command(cls=Command, name="run", epilog="Example: irctl drill run db-connections db-freeze-writes --host lab")
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
    rows = history.due(settings.home_path, settings.contents, datetime.now(UTC), hosts)
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
        from irctl.drills import drill as drilling
        from irctl.drills.steps import Interrupted

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
        from irctl.cli.progress import progress
        from irctl.drills import drill as drilling
        from irctl.orders.flow import Order

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
            render.table([*map(row, found), *([name, "", "not drilled", "", "", why] for name, why in self._lacking.items())])
        return code


def row(drill: Drill) -> list[str]:
    verdict = click.style(drill.verdict, fg=COLOURS.get(drill.verdict, "red"))
    detect = f"detected in {drill.detect:.1f} s" if drill.detect is not None else ""
    mitigate = f"mended in {drill.mitigate:.1f} s" if drill.mitigate is not None else ""
    rest = " · ".join(part for part in (drill.why, f"{drill.seconds:.1f} s in all", drill.incident) if part)
    return [drill.remediation, ", ".join(drill.hosts[:5]), verdict, detect, mitigate, rest]
