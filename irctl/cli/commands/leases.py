"""irctl leases: the changes that end by themselves, and what ends them."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import short_list
from irctl.catalog.config import Settings
from irctl.cli import completions, render
from irctl.cli.base import Group, remind, settings_of, wants_json
from irctl.cli.option_types import Value, duration
from irctl.cli.option_types import reason as checked_reason
from irctl.errors import DONE, FAILED, IrctlError
from irctl.leases import keeper, register
from irctl.leases.lease import Lease
from irctl.record import moments
from irctl.running import signals

RUN = click.argument("run", shell_complete=completions.leased_runs)


@click.group(cls=Group, name="leases", invoke_without_command=True, epilog="Example: irctl leases end 7f3a01")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show the changes that end by themselves; extend one, or end it now. RUN is the run that made it, or `last`."""
    if ctx.invoked_subcommand is None:
        home = settings_of(ctx).home_path
        remind(home)
        _show(home, register.listed(home), as_json=wants_json(ctx))


def _show(home: Path, active: list[Lease], *, as_json: bool) -> None:
    now, uptimes = moments.now(), keeper.uptimes(home)
    rows = [(lease, int(lease.remaining(now, uptimes))) for lease in active]
    if as_json:
        keys = ("run", "remediation", "hosts", "owner", "incident", "state", "why")
        shown = [
            {
                **{key: getattr(lease, key) for key in keys},
                "ends": _ends(seconds),
                "left": seconds,
                "armed": register.armed_at(home, lease),
            }
            for lease, seconds in rows
        ]
        render.as_object({"schema": "irctl/leases/1", "leases": shown, "keeper": keeper.gone(home) or "at work"})
    elif not rows:
        click.echo("no lease is on")
    else:
        render.table([["RUN", "WHAT", "WHERE", "OWNER", "ARMED", "ENDS"], *(_row(home, lease, seconds) for lease, seconds in rows)])


def _row(home: Path, lease: Lease, seconds: int) -> list[str]:
    when = f"in {timedelta(seconds=seconds)}, {_ends(seconds)}" if seconds > 0 else "is over"
    failed = click.style(f"  FAILED {lease.attempts} times: {lease.why}", fg="red") if lease.failed else ""
    armed = _armed(register.armed_at(home, lease))
    return [lease.run, lease.remediation, short_list(lease.hosts), lease.owner, armed, when + failed]


def _armed(near: dict[str, str]) -> str:
    """What ends a lease: 'controller', and which hosts do by themselves. `near` has the kind by host."""
    words = ["controller"]
    for kind, name in ((register.HOST, "host timer"), (register.KERNEL, "kernel")):
        hosts = [host for host, where in near.items() if where == kind]
        words += [name if len(hosts) == len(near) else f"{name} of {short_list(hosts)}"] if hosts else []
    return " + ".join(words)


def _ends(seconds: int) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def _found(settings: Settings, run: str) -> Lease:
    lease = register.find(settings.home_path, run)
    render.name_last(run, lease.run)
    return lease


@command.command(name="extend", epilog="Example: irctl leases extend 7f3a01 --for 30m")
@RUN
@click.option("--for", "seconds", type=Value("DURATION", duration("1s")), required=True, metavar="DURATION",
              help="From now. Its limit counts from the first start. Example: --for 30m")  # fmt: skip
@click.pass_context
def extend(ctx: click.Context, run: str, seconds: int) -> None:
    """Let the lease of RUN end later, never beyond its limit. Hosts that would end it themselves are told first."""
    settings = settings_of(ctx)
    from irctl.orders import lease_change

    home, lease = settings.home_path, _found(settings, run)
    lease = lease_change.extend(settings, lease, seconds, render.notices_only)
    _show(home, [lease], as_json=wants_json(ctx))


@command.command(name="end", epilog="Example: irctl leases end 7f3a01")
@RUN
@click.option("--force", is_flag=True, help="Put it back although somebody else has changed it since.")
@click.pass_context
def end(ctx: click.Context, run: str, force: bool) -> int:
    """End the lease of RUN now: undo its change and verify it."""
    settings = settings_of(ctx)
    lease = _found(settings, run)
    from irctl.orders import lease_end

    how = lease_end.end(settings, lease, render.notices_only, force=force, urgent=False) or "by somebody else"
    document = {"schema": "irctl/leases/1", "ended": [lease.run], "how": how}
    render.sentence(f"ended: {lease.remediation} on {short_list(lease.hosts)}: {how}", document, as_json=wants_json(ctx))
    return DONE


@command.command(name="close", epilog="Example: irctl leases close 7f3a01 'made permanent by change 4711'")
@RUN
@click.argument("reason", type=Value("REASON", checked_reason))
@click.pass_context
def close(ctx: click.Context, run: str, reason: str) -> None:
    """Give up the lease of RUN, which could not be ended, and leave things as they are, for this REASON."""
    settings = settings_of(ctx)
    lease = _found(settings, run)
    from irctl.orders import lease_change

    still_armed = lease_change.close(settings, lease, reason, render.notices_only)
    if still_armed:
        click.echo(f"warning: the end that is armed on the host goes on trying: {still_armed}", err=True)
    document = {"schema": "irctl/leases/1", "closed": [lease.run], "still_armed": still_armed}
    render.sentence(f"given up: {lease.remediation} on {short_list(lease.hosts)}", document, as_json=wants_json(ctx))


@command.command(name="run-due", epilog="Example: irctl leases run-due")
@click.option("--every", type=Value("DURATION", duration("1s", "1h")), metavar="DURATION",
              help="A timer says this: how often it looks, so that its absence is seen.")  # fmt: skip
@click.pass_context
def run_due(ctx: click.Context, every: int | None) -> int:
    """End the leases that are over, and restore what a drill left behind. A timer calls this; `irctl leases install` makes one."""
    from irctl.drills import restore
    from irctl.orders import lease_end

    settings = settings_of(ctx)
    lines = lease_end.run_due(settings, every, render.notices_only) + restore.run_due(settings, render.notices_only)
    if lines or wants_json(ctx):
        render.sentence("\n".join(lines), {"schema": "irctl/leases/1", "said": lines}, as_json=wants_json(ctx))
    return FAILED if any(line.startswith("FAILED") for line in lines) else DONE


@command.command(name="watch", epilog="Example: irctl leases watch --every 10s")
@click.option("--every", type=Value("DURATION", duration("1s", "1h")), default="1m", metavar="DURATION",
              help="How often it looks. Default: 1m.")  # fmt: skip
@click.pass_context
def watch(ctx: click.Context, every: int) -> None:
    """End leases as they are over, until it is stopped: for a container, or a machine without systemd and cron."""
    with suppress(signals.Stopped):  # which is how it is meant to end
        _watch(ctx, every)


def _watch(ctx: click.Context, every: int) -> None:
    from irctl.drills import restore
    from irctl.orders import lease_end

    while True:
        try:
            settings = settings_of(ctx)
            end_leases = partial(lease_end.run_due, settings, every, render.notices_only)
            for act in (end_leases, partial(restore.run_due, settings, render.notices_only)):
                for sentence in act():
                    click.echo(sentence, err=True)
        except IrctlError as error:  # the next time may go better, and without any nothing ends
            click.echo(f"FAILED: {error}", err=True)
        time.sleep(every)


@command.command(name="install", epilog="Example: irctl leases install")
@click.option("--remove", is_flag=True, help="Remove it again.")
@click.pass_context
def install(ctx: click.Context, remove: bool) -> int:
    """Install the timer that ends leases on this machine, through Ansible: systemd's where it runs, else cron's."""
    from irctl.cli.views import run as view
    from irctl.orders import local_timers

    if remove and (active := register.listed(settings_of(ctx).home_path)):
        raise IrctlError(f"--remove: {len(active)} leases are on and nothing would end them; irctl leases")
    click.echo("the timer is waited for until it was seen at work: up to a minute and a half", err=True)
    order, outcome = local_timers.install_lease_timer(settings_of(ctx), render.notices_only, remove=remove)
    view.show(order, outcome, as_json=wants_json(ctx))
    return outcome.exit_code
