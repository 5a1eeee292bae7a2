"""irctl lab: servers of irctl's own on loopback, to try everything on."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog import catalog
from irctl.cli import completions, render
from irctl.cli.base import Command, Group, is_quiet, root_of, settings_of, wants_json
from irctl.cli.orders import carry_out
from irctl.cli.views import run
from irctl.errors import DONE, FAILED, EvidenceError, IrctlError, NoTarget, invalid
from irctl.lab import aws as lab_aws
from irctl.lab import valkey as lab_valkey
from irctl.lab.lab import Lab
from irctl.orders.order import Order

command = Group(
    name="lab",
    help="Start and stop servers to try all this on, on loopback: PostgreSQL, Valkey and a stand-in for AWS, as host `lab`.",
    epilog="Example: irctl lab up && irctl remediate db-connections --host lab --check",
)


@contextmanager
def _usable(home: Path) -> Iterator[None]:
    """Raises IrctlError with one line where the home is full, or cannot be written, or can be no home at all."""
    try:
        yield
    except OSError as error:
        raise _unusable(home, error) from None


def _unusable(home: Path, error: OSError) -> IrctlError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EvidenceError(f"{printable(home, 80)} has no room for the lab: {error.strerror}")
    return invalid("--home", f"the lab cannot use it: {(error.strerror or str(error)).lower()}", home)


@command.command(name="up", cls=Command, epilog="Example: irctl lab up")
@click.pass_context
def up(ctx: click.Context) -> None:
    """Start the lab, or leave it running."""
    lab = Lab(settings_of(ctx).home_path)
    with _usable(lab.home):
        started = lab.up()
        _tell(ctx, lab, "started" if started else "was running already")


@command.command(name="down", cls=Command, epilog="Example: irctl lab down")
@click.pass_context
def down(ctx: click.Context) -> None:
    """Stop the lab and remove its data."""
    lab = Lab(settings_of(ctx).home_path)
    with _usable(lab.home):
        was = lab.down()
        _tell(ctx, lab, "stopped and removed" if was else "was not there")


@command.command(name="status", cls=Command, epilog="Example: irctl lab status")
@click.pass_context
def status(ctx: click.Context) -> int:
    """Say whether the lab runs, and where; exit 1 where it does not."""
    lab = Lab(settings_of(ctx).home_path)
    with _usable(lab.home):
        running = lab.postgres.running()
        _tell(ctx, lab, "runs" if running else "does not run")
    return DONE if running else FAILED


@command.command(name="fault", cls=Command, epilog="Example: irctl lab fault db-connections")
@click.argument("name", shell_complete=completions.remediations)
@click.pass_context
def fault(ctx: click.Context, name: str) -> int:
    """Make the trouble in the lab that remediation NAME mends."""
    settings = settings_of(ctx)
    lab = Lab(settings.home_path)
    with _usable(lab.home):
        running = lab.postgres.running()
    if not running:
        raise NoTarget("the lab does not run; start it with: irctl lab up")
    remediation = catalog.load(name, settings.contents, entry_point="fault")
    root_of(ctx)["inventory"] = str(lab.inventory)  # whatever inventory is in force, `lab` is a host of this one
    order = Order(remediation, ("lab",), {}, entry_point="fault")
    outcome = carry_out(ctx, order)
    run.show(order, outcome, as_json=wants_json(ctx), quiet=is_quiet(ctx))
    return outcome.exit_code


def _tell(ctx: click.Context, lab: Lab, state: str) -> None:
    running = lab.postgres.running()
    aws = lab.aws.url if running and lab.aws.running() else None
    port = lab.valkey.port if running and lab.valkey.running() else None
    if wants_json(ctx):
        postgres = {"host": "127.0.0.1", "port": lab.postgres.port} if running else None
        redis = {"host": "127.0.0.1", "port": port} if port else None
        document = {"schema": "irctl/lab/1", "running": running, "postgres": postgres, "redis": redis, "aws": aws}
        render.as_object({**document, "inventory": str(lab.inventory)})
        return
    if not running:
        click.echo(f"The lab {state}")
        return
    servers = [f"PostgreSQL on 127.0.0.1:{lab.postgres.port}"]
    servers += [f"Valkey on 127.0.0.1:{port}"] if port else []
    servers += [f"AWS on {aws.removeprefix('http://')}"] if aws else []
    click.echo(f"The lab {state}: {', '.join(servers)}, host `lab` of {lab.inventory}")
    in_force = settings_of(ctx).inventory
    if Path(in_force.value).expanduser().absolute() != lab.inventory:
        command = f"export IRCTL_INVENTORY={shlex.quote(str(lab.inventory))}"
        click.echo(f"Another inventory is in force, by {in_force.origin}; for the lab: {command}")
    if not port:
        click.echo(lab_valkey.LACKING if not lab_valkey.installed() else "Its Valkey does not run; start it with: irctl lab up")
    if not aws:
        click.echo(lab_aws.LACKING if not lab_aws.installed() else "Its AWS does not run; start it with: irctl lab up")
