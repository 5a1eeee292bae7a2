"""irctl doctor: what is missing on this machine, for which remediation, and what is in force."""

from __future__ import annotations

import os
from dataclasses import asdict

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog import config
from irctl.catalog.config import Settings
from irctl.cli import doctor, render
from irctl.cli.base import Command, remind, root_of, wants_json
from irctl.errors import DONE, FAILED


@click.command(cls=Command, name="doctor", epilog="Example: irctl doctor --json")
@click.pass_context
def command(ctx: click.Context) -> int:
    """Say what is missing on this machine, for which remediation, and the command that installs it.

    Exit 1: irctl cannot work, a setting is wrong, or the journal is broken.
    """
    settings = config.load_unchecked(root_of(ctx), os.environ)
    remind(settings.home_path)
    checks = list(doctor.checks(settings))
    if wants_json(ctx):
        in_force = {key: {"value": setting.value, "origin": setting.origin} for key, setting in vars(settings).items()}
        rows = [asdict(check) for check in checks]
        render.as_object({"schema": "irctl/doctor/1", "checks": rows, "settings": in_force})
    else:
        _print(checks, settings)
    return FAILED if any(check.needed and not check.good for check in checks) else DONE


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
