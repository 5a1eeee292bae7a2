"""The first inventory and configuration of somebody who has none: commented, and never written over what is there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from string import Template

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.errors import invalid

TEXTS = Path(__file__).resolve().with_name("first")
HERE = "here"  # the host that is this machine


def write(folder: Path, config: Path, hosts: Sequence[str]) -> list[Path]:
    """Write an inventory of these hosts into a folder, and a configuration that names it; return what was not there yet.

    Raises Invalid where that cannot be written.
    """
    inventory = folder / "inventory" / "hosts.yml"
    variables = {HERE: '      ansible_connection: local\n      ansible_python_interpreter: "{{ ansible_playbook_python }}"'}
    listed = "\n".join(f"    {host}:" + (f"\n{variables[host]}" if host in variables else "") for host in hosts)
    members = "\n".join(f"        {host}:" for host in hosts)
    texts = {
        inventory: _filled("hosts.yml", hosts=listed, members=members),
        config: _filled("config.yml", inventory=str(inventory.parent)),
    }
    return [path for path, text in texts.items() if _write(path, text)]


def _filled(name: str, **words: str) -> str:
    return "---\n" + Template((TEXTS / f"{name}.in").read_text()).substitute(words)


def _write(path: Path, text: str) -> bool:
    """Whether it was written: what is there, whatever it is, stays."""
    try:
        if paths.has_name(path):
            return False
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    except OSError as error:
        raise invalid("--dir", (error.strerror or str(error)).lower(), path) from None
    return True
