"""irctl drill schedule: drills that this machine holds by itself, and what its timers call."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog import catalog
from irctl.catalog.unknown_names import nearest, quoted
from irctl.cli import completions, render
from irctl.cli.base import Command, settings_of, wants_json
from irctl.cli.commands import drill_run
from irctl.cli.option_types import Choice, Value
from irctl.cli.order_options import host_option
from irctl.cli.views import drills, run
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
    from irctl.drills.schedule import TIME_OF_DAY

    if not TIME_OF_DAY.fullmatch(text):
        raise ValueError("a time of the day is needed, such as 03:30")
    return text


EVERY = Value("DAYS", _days)
POLICY = Choice(("skip", "once"))


@click.command(cls=Command, name="schedule", epilog="Example: irctl drill schedule --all --host lab --at 03:30")
@click.argument("names", metavar="[NAME...]", nargs=-1, shell_complete=completions.remediations)
@click.option("--all", "everything", is_flag=True, help="Every remediation that can be drilled.")
@click.option("--every", type=EVERY, metavar="DAYS", help="How often. Default: as the remediation says. Example: --every 30d")
@click.option("--at", type=Value("HH:MM", _at), default=AT, metavar="HH:MM",
              help="From when on, by this machine's clock, some minutes apart. Default: 03:30.")  # fmt: skip
@click.option(
    "--missed", type=POLICY, default="once", help="What becomes of one that was missed: made up once, or skipped. Default: once."
)
@click.option("--remove", is_flag=True, help="Remove them again; --host may be left out.")
@click.option("--list", "show", is_flag=True, help="Show what is scheduled.")
@click.option("--check", is_flag=True, help="Change nothing; say what would be changed.")
@click.pass_context
def command(ctx: click.Context, /, names: tuple[str, ...], hosts: tuple[str, ...], everything: bool, **options: Any) -> int:
    """Have this machine hold drills by itself: with systemd's timers where it runs, else with cron's."""
    from irctl.drills import schedule_timers

    existing = schedule_timers.listed(settings_of(ctx).home_path)
    if options["show"]:
        return _show(ctx, existing)
    if everything == bool(names):
        raise Invalid(f"NAME: {'not together with --all' if names else 'it must be given, or --all'}")
    remove, check = options["remove"], options["check"]
    schedules = _existing(ctx, existing, names, hosts) if remove else _new(ctx, names, hosts, options)
    return _install(ctx, schedules, remove=remove, check=check) if schedules else _show(ctx, [], "unchanged")


command.params.insert(
    1,
    host_option(
        required=False, sentence="A host or group of the inventory that takes faults. Repeat it for more. Example: --host lab"
    ),
)


def _existing(ctx: click.Context, existing: list[Schedule], names: tuple[str, ...], hosts: tuple[str, ...]) -> list[Schedule]:
    """The schedules with these names and hosts, without any of all.

    Raises Invalid for a name that neither a remediation nor a schedule has.
    """
    known = {*catalog.names(settings_of(ctx).contents), *(schedule.remediation for schedule in existing)}
    for name in names:
        if name not in known:
            raise Invalid(f"NAME: there is no remediation {quoted(name)}.{nearest(name, known)}")
    named = [schedule for schedule in existing if not names or schedule.remediation in names]
    return [schedule for schedule in named if not hosts or schedule.host in hosts]


def _new(ctx: click.Context, names: tuple[str, ...], hosts: tuple[str, ...], options: dict[str, Any]) -> list[Schedule]:
    """The schedules to be made, without names of everything that can be drilled. Says what cannot be. Raises IrctlError."""
    from irctl.drills import readiness, schedule

    settings, everything = settings_of(ctx), not names
    if not hosts:
        raise Invalid("--host: it must be given, such as --host lab")
    names, hosts = names or tuple(readiness.drillable(settings.contents)), tuple(dict.fromkeys(hosts))
    terms = (options["at"], options["missed"], options["every"] or 0)
    schedules = schedule.asked_for(settings, dict.fromkeys(names), hosts, *terms)
    schedules, not_scheduled = schedule.possible(settings, schedules, everything=everything)
    for reason in not_scheduled.values():
        click.echo(f"warning: not scheduled: {reason}", err=True)
    return schedules


def _install(ctx: click.Context, schedules: list[Schedule], *, remove: bool, check: bool) -> int:
    from irctl.drills import schedule_timers

    order, outcome = schedule_timers.install(settings_of(ctx), schedules, render.notices_only, remove=remove, check=check)
    if outcome.exit_code != DONE:
        run.show(order, outcome, as_json=wants_json(ctx))
        return outcome.exit_code
    would = "would be " if check and outcome.outcome == "changed" else ""
    return _show(ctx, schedules, f"{would}removed" if remove else f"{would}{outcome.outcome}", outcome.outcome)


def _show(ctx: click.Context, schedules: list[Schedule], result: str = "", outcome: str = "unchanged") -> int:
    """Print schedules, and in a word what became of them."""
    from irctl.drills import schedule

    now = datetime.now(UTC).astimezone().replace(tzinfo=None)
    rows = schedule.documents(settings_of(ctx), schedules, now)
    if wants_json(ctx):
        render.as_object({"schema": "irctl/drill-schedules/1", "outcome": outcome, "exit_code": DONE, "schedules": rows})
    elif not rows:
        click.echo("no such drill is scheduled" if result else "no drill is scheduled")
    else:
        head = ["WHAT", "WHERE", "EVERY", "MISSED", "LAST", "NEXT"]
        keys = ("remediation", "host", "every", "missed", "last", "next")
        render.table([head, *([str(row[key] or "never").replace("T", " ") for key in keys] for row in rows)])
        click.echo(result, nl=bool(result))
    return DONE


@click.command(
    cls=Command, name="run-due", epilog="Example: irctl drill run-due db-connections --host lab --every 30d --missed once"
)
@click.argument("name", metavar="NAME", shell_complete=completions.remediations)
@click.option("--every", "days", type=EVERY, required=True, metavar="DAYS", help="How often.")
@click.option("--missed", type=POLICY, required=True, help="What becomes of one that was missed.")
@click.option("--at", type=Value("HH:MM", _at), metavar="HH:MM",
              help="With `--missed skip`: when, by this machine's clock. Long after that it is left out.")  # fmt: skip
@click.pass_context
def run_due(ctx: click.Context, name: str, hosts: tuple[str, ...], days: int, missed: str, at: str | None) -> Any:
    """Hold the drill of NAME if this is the day for it. A timer calls this; `irctl drill schedule` makes one."""
    from irctl.drills import history, schedule

    held, now = history.history(settings_of(ctx).home_path), datetime.now(UTC).astimezone()
    last = max((day for host in hosts if (day := schedule.last_day(held, name, host))), default=None)
    if missed == schedule.SKIP and at and not schedule.is_time(at, now.replace(tzinfo=None)):
        return _nothing_due(ctx, f"it is {now:%H:%M}, not {at}, and what was missed is skipped")
    if not schedule.is_day(days, missed, last, now.date()):
        return _nothing_due(ctx, f"{name} was drilled on {last}")
    return ctx.invoke(drill_run.run, names=(name,), hosts=hosts, everything=False, if_due=False, scheduled=True)


run_due.params.insert(1, host_option(sentence="The host or group."))


def _nothing_due(ctx: click.Context, reason: str) -> int:
    render.sentence(f"nothing is due: {reason}", drills.document([], DONE), as_json=wants_json(ctx))
    return DONE
