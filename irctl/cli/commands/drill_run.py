"""irctl drill run: hold drills, one after another, and say what became of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from irctl.catalog import catalog
from irctl.catalog.config import Settings
from irctl.catalog.unknown_names import nearest, quoted
from irctl.cli import completions, render
from irctl.cli.base import Command, is_quiet, remind, settings_of, wants_json
from irctl.cli.option_types import Value, timeout
from irctl.cli.order_options import host_option
from irctl.cli.views import drills as view
from irctl.drills import history
from irctl.errors import DONE, FAILED, Busy, Invalid, IrctlError, worst

if TYPE_CHECKING:
    from irctl.drills.drill import DrillResult
    from irctl.drills.steps import DrillOrder


@click.command(cls=Command, name="run", epilog="Example: irctl drill run db-connections db-freeze-writes --host lab")
@click.argument("names", metavar="NAME...", nargs=-1, shell_complete=completions.remediations)
@click.option("--all", "everything", is_flag=True, help="Every remediation that can be drilled on these hosts.")
@click.option("--detect-within", type=Value("DURATION", timeout), default="1m", metavar="DURATION",
              help="How long the fault may take to show. Default: 1m.")  # fmt: skip
@click.option("--timeout", type=Value("DURATION", timeout), default="10m", metavar="DURATION",
              help="Stop a step, and call it indeterminate, after this long. Default: 10m.")  # fmt: skip
@click.option("--if-due", is_flag=True, help="Only what is due now, as `irctl drill due` says.")
@click.option("--scheduled", is_flag=True, help="A schedule says this; the record of the drill says so too.")
@click.pass_context
def run(ctx: click.Context, /, names: tuple[str, ...], everything: bool, if_due: bool, **options: Any) -> int:
    """Hold a drill of each NAME on the hosts, one after another."""
    settings = settings_of(ctx)
    remind(settings.home_path)
    chosen, hosts = _chosen(settings, names, everything=everything), tuple(dict.fromkeys(options.pop("hosts")))
    if if_due and not (chosen := _overdue(settings, chosen, hosts)):
        render.sentence("nothing is due", view.document([], DONE), as_json=wants_json(ctx))
        return DONE
    session = _Session(ctx, settings, everything=everything, alone=len(chosen) == 1)
    for name in chosen:
        session.hold(name, hosts, options)
    return session.end()


run.params.insert(1, host_option())


def _chosen(settings: Settings, names: tuple[str, ...], *, everything: bool) -> list[str]:
    """The remediations that are meant: those named, or all. Raises Invalid."""
    known = catalog.names(settings.contents)
    if everything == bool(names):
        raise Invalid(f"NAME: {'not together with --all' if names else 'it must be given, or --all'}")
    for name in names:
        if name not in known:
            raise Invalid(f"NAME: there is no remediation {quoted(name)}.{nearest(name, known)}")
    return list(dict.fromkeys(names)) or list(known)


def _overdue(settings: Settings, names: list[str], hosts: tuple[str, ...]) -> list[str]:
    rows = history.due(settings.home_path, settings.contents, datetime.now(UTC), hosts)
    overdue = {row.remediation for row in rows if row.overdue}
    return [name for name in names if name in overdue]


class _Session:
    """The drills of one command."""

    def __init__(self, ctx: click.Context, settings: Settings, *, everything: bool, alone: bool) -> None:
        self._ctx, self._settings, self._everything, self._alone = ctx, settings, everything, alone
        self._held: list[DrillResult] = []
        self._not_drilled: dict[str, str] = {}
        self._codes: list[int] = []
        self._interrupted = ""

    def hold(self, name: str, hosts: tuple[str, ...], options: dict[str, Any]) -> None:
        """Hold one, or note why not. Raises IrctlError where it is the only one, or would be the same for all the others."""
        from irctl.drills import readiness
        from irctl.drills.steps import Interrupted

        obstacle = readiness.obstacle(name, self._settings.contents) if self._everything else ""
        if reason := self._interrupted or obstacle:
            self._not_drilled[name] = reason
            return
        try:
            self._note(self._carry_out(readiness.order_of(name, self._settings.contents, hosts, **options)))
        except readiness.MissingSetting as error:
            if not self._everything:
                raise
            self._not_drilled[name] = str(error)
        except IrctlError as error:
            if self._alone or not (self._held or isinstance(error, Busy)):
                raise
            self._not_drilled[name] = str(error)
            self._codes.append(error.exit_code)
            self._interrupted = str(error) if isinstance(error, Interrupted) else ""

    def _carry_out(self, order: DrillOrder) -> DrillResult:
        from irctl.cli.progress import progress
        from irctl.drills import drill
        from irctl.orders.order import Order

        remediation = catalog.load(order.remediation, self._settings.contents)
        shown = Order(replace(remediation, name=f"drill {remediation.name}"), order.names, {})
        with progress(shown, quiet=wants_json(self._ctx) or is_quiet(self._ctx)) as show:
            return drill.hold(order, self._settings, show)

    def _note(self, held: DrillResult) -> None:
        self._interrupted = held.interrupted
        if self._everything and held.not_possible:
            self._not_drilled[held.drill.remediation] = held.not_possible
        else:
            self._held.append(held)
            self._codes.append(held.exit_code)

    def end(self) -> int:
        """Say what became of them; the exit code."""
        code = worst(self._codes or [FAILED])  # where nothing was drilled, nothing was proved
        view.show([held.drill for held in self._held], self._not_drilled, code, as_json=wants_json(self._ctx))
        return code
