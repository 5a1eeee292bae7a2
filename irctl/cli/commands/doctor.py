"""irctl doctor: what is missing on this machine, for which remediation, and what is in force."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog import config
from irctl.catalog.config import Settings
from irctl.cli import doctor, render
from irctl.cli.base import Command, remind, root_of, settings_of, wants_json
from irctl.cli.order_options import host_option
from irctl.errors import DONE, FAILED

HOST = "Reach this host or group and its services, as a run would. Repeat it for more. Example: --host prod"


@click.command(
    cls=Command, name="doctor", params=[host_option(required=False, sentence=HOST)], epilog="Example: irctl doctor --host prod"
)
@click.pass_context
def command(ctx: click.Context, hosts: tuple[str, ...]) -> int:
    """Say what is missing on this machine, for which remediation, and the command that installs it.

    With --host, log in to each host, become whom the inventory names, and reach its PostgreSQL, AWS, bucket and nginx, each
    where the inventory has its settings. Changes nothing.

    Exit 1: irctl cannot work, a setting is wrong, the journal is broken, or something of a host does not answer.
    """
    settings = config.load_unchecked(root_of(ctx), os.environ)
    remind(settings.home_path)
    checks = list(_of_hosts(ctx, hosts) if hosts else doctor.checks(settings))
    if wants_json(ctx):
        in_force = {key: {"value": setting.value, "origin": setting.origin} for key, setting in vars(settings).items()}
        rows = [asdict(check) for check in checks]
        render.as_object({"schema": "irctl/doctor/1", "checks": rows, "settings": in_force})
    else:
        _print(checks, settings)
    return FAILED if any(check.needed and not check.good for check in checks) else DONE


def _of_hosts(ctx: click.Context, names: tuple[str, ...]) -> Iterator[doctor.Check]:
    """What answers of each host. Raises IrctlError where nothing could be tried."""
    from irctl.orders import host_checks

    outcome = host_checks.reach(settings_of(ctx), names, render.notices_only)
    for name, host in outcome.hosts.items():
        for finding in host.findings:
            yield doctor.Check(name, finding["level"] != "problem", finding["says"], finding["next"].replace("{host}", name))
        if not host.findings:  # it was cut short
            yield doctor.Check(name, False, host.reason, f"irctl runs show {outcome.run}")


def _print(checks: list[doctor.Check], settings: Settings) -> None:
    render.wrapped([_mark(check), check.name, printable(_sentence(check))] for check in checks)
    click.echo("\nIn force")
    in_force = {key: f"{setting.value or '-'} ({setting.origin})" for key, setting in vars(settings).items()}
    render.wrapped([f"  {key}", printable(sentence, 400)] for key, sentence in in_force.items())


def _sentence(check: doctor.Check) -> str:
    return check.says if check.good or check.mend in check.says else f"{check.says}  ->  {check.mend}"


def _mark(check: doctor.Check) -> str:
    if check.good:
        return click.style("ok", fg="green")
    return click.style("missing", fg="red" if check.needed else "yellow")
