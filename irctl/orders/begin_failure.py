"""Why Ansible ended before anything was run, in the words of the parser that the inventory is for, not of the last one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.catalog import inventory_yaml
from irctl.errors import Invalid, IrctlError

YAML = (".yml", ".yaml", ".json")
LARGEST = 1 << 20  # bytes of a configuration of an inventory plugin
_PARSER = re.compile(r"\[WARNING\]: Failed to parse inventory with '(?P<parser>[\w.]+)' plugin: (?P<why>.+)")
_LOADING = re.compile(r"\[WARNING\]: (?P<why>Error loading plugin .+)")


def reason(code: int, messages: Sequence[str], inventory: Path) -> IrctlError:
    """The error for a playbook that ended with `code` and these messages before it asked whether it may begin."""
    if words := _of_the_inventory(messages, inventory):
        return Invalid(f"--inventory: {printable(' '.join(words), 500)}")
    last = printable(" ".join(messages[-4:]), 300)
    if encrypted := next(_encrypted(inventory), None):
        return Invalid(
            f"--inventory: {last} {printable(encrypted)} is encrypted; vault_password_file or vault_ids name its password"
        )
    if "inventory" in last.lower() or "parse" in last.lower():
        return Invalid(f"--inventory: {last}")
    return IrctlError(f"ansible ended with {code} before anything was run: {last}")


def _of_the_inventory(messages: Sequence[str], inventory: Path) -> list[str]:
    """What the parser said that the inventory is for. Ansible tries all of them in turn and ends with the last one's complaint."""
    kind = "" if paths.is_folder(inventory) else "yaml" if inventory.suffix in YAML else "ini"
    parser = "auto" if any(_plugin_configurations(inventory)) else kind
    loading = [found["why"] for line in messages if parser == "auto" and (found := _LOADING.match(line))]
    parsing = [found["why"] for line in messages if (found := _PARSER.match(line)) and found["parser"] == parser]
    return [*loading, *parsing]


def _plugin_configurations(inventory: Path) -> Iterator[Path]:
    """The files that name the plugin which reads them."""
    for path in sorted(inventory.rglob("*")) if paths.is_folder(inventory) else [inventory]:
        if path.suffix in YAML and isinstance(content := _content(path), dict) and "plugin" in content:
            yield path


def _encrypted(inventory: Path) -> Iterator[Path]:
    """The files of an inventory in which something is encrypted by ansible-vault."""
    places = [inventory] if paths.is_folder(inventory) else [inventory.parent / name for name in ("group_vars", "host_vars")]
    for path in [inventory, *(path for place in places for path in sorted(place.rglob("*")))]:
        with suppress(OSError):
            if b"$ANSIBLE_VAULT;" in path.read_bytes():
                yield path


def _content(path: Path) -> Any:
    import yaml

    try:
        return inventory_yaml.load(path.read_bytes()[:LARGEST])
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return None
