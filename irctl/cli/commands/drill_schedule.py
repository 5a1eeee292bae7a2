"""irctl drill schedule: drills that this machine holds by itself, and what its timers call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog import catalog
from irctl.cli import options, render
from irctl.cli.base import Command, settings_of, wants_json
from irctl.cli.commands import drill_run
from irctl.errors import DONE, Invalid

if TYPE_CHECKING:
    from irctl.drills.schedule import Schedule

AT = "03:30"


def _days(text: str) -> int:
    seconds = values.seconds(text)
    if seconds % 86400 or seconds > 3660 * 86400:
        raise ValueError("whole days are needed, such as 7d, and at most 3660d")
    return seconds // 86400


def _at(text: str) -> str:
    from irctl.drills.schedule import AT as FORM

    if not FORM.fullmatch(text):
        raise ValueError("a time of the day is needed, such as 03:30")
    return text


def _hosts(says: str, *, required: bool = False) -> Callable[[Any], Any]:
    kind = options.Value("HOST", options.target)
    return click.option("--host", "hosts", type=kind, multiple=True, required=required, metavar="HOST",
                        shell_complete=options.complete_host, help=says)  # fmt: skip


EVERY = options.Value("DAYS", _days)
POLICY = options.Choice(("skip", "once"))


@click.command(cls=Command, name="schedule", epilog="Example: irctl drill schedule --all --host lab --at 03:30")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@_hosts("A host or group of the inventory that takes faults. Repeat it for more. Example: --host lab")
@click.option("--all", "everything", is_flag=True, help="Every remediation that can be drilled.")
@click.option("--every", type=EVERY, metavar="DAYS", help="How often. Default: as the remediation says. Example: --every 30d")
@click.option("--at", type=options.Value("HH:MM", _at), default=AT, metavar="HH:MM",
              help="From when on, by this machine's clock, some minutes apart. Default: 03:30.")  # fmt: skip
@click.option(
    "--missed", type=POLICY, default="once", help="What becomes of one that was missed: made up once, or skipped. Default: once."
)
@click.option("--remove", is_flag=True, help="Remove them again; --host may be left out.")
@click.option("--list", "show", is_flag=True, help="Show what is scheduled.")
@click.option("--check", is_flag=True, help="Change nothing; say what would be changed.")
@click.pass_context
def command(ctx: click.Context, /, names: tuple[str, ...], hosts: tuple[str, ...], everything: bool, **given: Any) -> int:
    """Have this machine hold drills by itself: with systemd's timers where it runs, else with cron's."""
    from irctl.drills import schedule

    settings = settings_of(ctx)
    there = schedule.listed(settings.home_path)
    if given["show"]:
        return _say(ctx, there)
    if everything == bool(names):
        raise Invalid(f"NAME: {'not together with --all' if names else 'it must be given, or --all'}")
    names = names or tuple({one.remediation for one in there} if given["remove"] else schedule.drillable(settings.contents))
    if given["remove"]:
        meant = _there(ctx, there, names, hosts)
        return _carry_out(ctx, meant, remove=True, check=given["check"]) if meant else _say(ctx, [], "unchanged")
    if not hosts:
        raise Invalid("--host: it must be given, such as --host lab")
    wanted = schedule.wanted(
        settings, dict.fromkeys(names), tuple(dict.fromkeys(hosts)), given["at"], given["missed"], given["every"] or 0
    )
    wanted, lacking = schedule.holdable(settings, wanted, everything=everything)
    for why in lacking.values():
        click.echo(f"warning: not scheduled: {why}", err=True)
    return _carry_out(ctx, wanted, check=given["check"]) if wanted else _say(ctx, [], "unchanged")


def _there(ctx: click.Context, there: list[Schedule], names: tuple[str, ...], hosts: tuple[str, ...]) -> list[Schedule]:
    """Those that are meant, of what is there. Raises Invalid for a name that neither a remediation nor a schedule has."""
    known = {*catalog.names(settings_of(ctx).contents), *(one.remediation for one in there)}
    for name in names:
        if name not in known:
            raise Invalid(f"NAME: there is no remediation {catalog.printable(name)}.{catalog.nearest(name, known)}")
    return [one for one in there if one.remediation in names and (not hosts or one.host in hosts)]


def _carry_out(ctx: click.Context, schedules: list[Schedule], *, remove: bool = False, check: bool = False) -> int:
    from irctl.drills import schedule

    order, done = schedule.install(settings_of(ctx), schedules, render.quiet, remove=remove, check=check)
    if done.exit_code != DONE:
        render.run(order, done, as_json=wants_json(ctx))
        return done.exit_code
    would = "would be " if check and done.outcome == "changed" else ""
    return _say(ctx, schedules, f"{would}removed" if remove else f"{would}{done.outcome}", done.outcome)


def _say(ctx: click.Context, schedules: list[Schedule], what: str = "", outcome: str = "unchanged") -> int:
    from irctl.drills import schedule

    now = datetime.now(UTC).astimezone().replace(tzinfo=None)
    rows = schedule.documents(settings_of(ctx), schedules, now)
    if wants_json(ctx):
        render.as_object({"schema": "irctl/drill-schedules/1", "outcome": outcome, "exit_code": DONE, "schedules": rows})
    elif not rows:
        click.echo("no such drill is scheduled" if what else "no drill is scheduled")
    else:
        head = ["WHAT", "WHERE", "EVERY", "MISSED", "LAST", "NEXT"]
        keys = ("remediation", "host", "every", "missed", "last", "next")
        render.table([head, *([str(row[key] or "never").replace("T", " ") for key in keys] for row in rows)])
        click.echo(what, nl=bool(what))
    return DONE


@click.command(
    cls=Command, name="run-due", epilog="Example: irctl drill run-due db-connections --host lab --every 30d --missed once"
)
@click.argument("name", metavar="NAME")
@_hosts("The host or group.", required=True)
@click.option("--every", "days", type=EVERY, required=True, metavar="DAYS", help="How often.")
@click.option("--missed", type=POLICY, required=True, help="What becomes of one that was missed.")
@click.pass_context
def run_due(ctx: click.Context, name: str, hosts: tuple[str, ...], days: int, missed: str) -> Any:
    """Hold the drill of NAME if this is the day for it. A timer calls this; `irctl drill schedule` makes one."""
    from irctl.drills import history, schedule

    held, today = history.history(settings_of(ctx).home_path), datetime.now(UTC).astimezone().date()
    last = max((day for host in hosts if (day := schedule.last_day(held, name, host))), default=None)
    if not schedule.is_day(days, missed, last, today):
        nothing = {"schema": "irctl/drill/1", "exit_code": DONE, "drills": [], "not_drilled": []}
        render.said(f"nothing is due: {name} was drilled on {last}", nothing, as_json=wants_json(ctx))
        return DONE
    return ctx.invoke(drill_run.run, names=(name,), hosts=hosts, everything=False, if_due=False, scheduled=True)
