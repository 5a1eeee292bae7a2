"""irctl doctor: what is missing on this machine, for which remediation, and what is in force."""

from __future__ import annotations

from dataclasses import asdict

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.cli import doctor, render
from irctl.cli.base import Command, remind, settings_of, wants_json
from irctl.errors import DONE, FAILED


@click.command(cls=Command, name="doctor", epilog="Example: irctl doctor --json")
@click.pass_context
def command(ctx: click.Context) -> int:
    """Say what is missing on this machine, for which remediation, and the command that installs it.

    Exit 1: irctl cannot work, or its journal is broken.
    """
    settings = settings_of(ctx)
    remind(settings.home_path)
    checks = list(doctor.checks(settings))
    in_force = {key: asdict(value) for key, value in vars(settings).items()}
    if wants_json(ctx):
        render.as_object({"schema": "irctl/doctor/1", "checks": [asdict(check) for check in checks], "settings": in_force})
    else:
        render.table(
            [_mark(check), check.name, printable(check.says + ("" if check.good else f"  ->  {check.mend}"))] for check in checks
        )
        click.echo("\nIn force")
        render.table(
            [f"  {key}", printable(value["value"] or "-", 200), f"({printable(value['origin'], 200)})"]
            for key, value in in_force.items()
        )
    return FAILED if any(check.needed and not check.good for check in checks) else DONE


def _mark(check: doctor.Check) -> str:
    if check.good:
        return click.style("ok", fg="green")
    return click.style("missing", fg="red" if check.needed else "yellow")
