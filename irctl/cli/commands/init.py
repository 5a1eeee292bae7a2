"""irctl init: a first inventory and configuration of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable, short_list
from irctl.catalog import config, first_files
from irctl.catalog.content import ANSIBLE_CONFIG
from irctl.cli import render
from irctl.cli.base import Command, wants_json
from irctl.cli.order_options import host_option
from irctl.errors import Invalid

HOST = f"A host to begin with, by the name that ssh knows. Repeat it for more. Default: {first_files.HERE}, this machine."


@click.command(
    cls=Command,
    name="init",
    params=[host_option(required=False, sentence=HOST)],
    epilog="Example: irctl init --host db1 --host web1",
)
@click.option(
    "--dir", "folder", type=click.Path(), metavar="DIR", help="Where they go. Default: where irctl looks for its configuration."
)
@click.pass_context
def command(ctx: click.Context, hosts: tuple[str, ...], folder: str | None) -> None:
    """Write a first inventory and configuration, each with comments on what may stand there, and check them.

    What is there already stays as it is, and is checked all the same.
    """
    path = Path(folder, "config.yml").absolute() if folder else Path(config.path_in_force(os.environ).value).absolute()
    written = first_files.write(path.parent, path, tuple(dict.fromkeys(hosts)) or (first_files.HERE,))
    without = {
        name: value for name, value in os.environ.items() if name != "IRCTL_INVENTORY"
    }  # what the configuration names is meant
    settings = config.load({}, {**without, "IRCTL_CONFIG": str(path)})
    inventory = settings.inventory_path()
    names = _hosts(inventory)
    document: dict[str, Any] = {
        "written": [str(path) for path in written],
        "config": str(path),
        "inventory": str(inventory),
        "hosts": names,
    }
    if wants_json(ctx):
        render.as_object({"schema": "irctl/init/1", **document})
        return
    for one in (path, inventory):
        click.echo(f"{'written' if any(one in (new, new.parent) for new in written) else 'was there'}: {printable(one, 4096)}")
    missing = [host for host in hosts if host not in names]
    if missing:
        where = printable(inventory, 4096)
        click.echo(f"not added: {short_list(missing)}; what is there is never changed, so write it into {where} yourself")
    _say_next(path, names, explicit=bool(folder))


def _hosts(inventory: Path) -> list[str]:
    """The hosts that Ansible reads there. Raises Invalid."""
    import json
    import subprocess
    import sys

    words = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(inventory), "--list"]
    strict = {"ANSIBLE_CONFIG": str(ANSIBLE_CONFIG), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **strict})
    if done.returncode:
        raise Invalid(f"--inventory: {printable(' '.join(done.stderr.split()), 300)}")
    groups = json.loads(done.stdout).values()
    return sorted({host for group in groups for host in group.get("hosts", [])})


def _say_next(path: Path, names: list[str], *, explicit: bool) -> None:
    click.echo(f"It has {short_list(names)}. Next:")
    if explicit and os.environ.get("IRCTL_CONFIG") != str(path):
        click.echo(f"  export IRCTL_CONFIG={printable(path, 4096)}")
    for name in names[:1]:
        click.echo(f"  irctl doctor --host {printable(name, 80)}")
