"""Timers of this machine, systemd's or else cron's: internal roles, run like any other on an inventory of one host, make them."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from irctl.catalog.catalog import Remediation
from irctl.catalog.config import Setting, Settings
from irctl.catalog.content import OURS
from irctl.errors import Invalid
from irctl.orders import execution
from irctl.orders.order import Order, Outcome, Show

HOST = "controller"
METADATA = {"kind": "remediation", "reversible": True, "approvals": []}


def program() -> str:
    """The irctl that runs now, as a timer has to call it."""
    return str(Path(sys.executable).with_name("irctl"))


def path() -> str:
    """Where the programs are that irctl starts. A timer would else look in very few places."""
    return os.environ.get("PATH", os.defpath)


def prefix(home: Path, subject: str) -> str:
    """The beginning of the names of this home's timers; other homes of the same machine have theirs."""
    return f"irctl-{subject}-{hashlib.sha256(str(home).encode()).hexdigest()[:8]}"


def install_lease_timer(settings: Settings, show: Show, *, remove: bool = False) -> tuple[Order, Outcome]:
    """Install the timer that ends this home's leases, or remove it; the order and what became of it. Raises IrctlError."""
    home = settings.home_path
    given = {
        "lease_timer_state": "absent" if remove else "present",
        "lease_timer_command": program(),
        "lease_timer_home": str(home),
        "lease_timer_path": path(),
        "lease_timer_name": prefix(home, "leases"),
    }
    return carry_out("lease_timer", "The timer that ends leases", given, settings, show, urgent=remove)


def carry_out(
    role: str, summary: str, given: Mapping[str, Any], settings: Settings, show: Show, **terms: Any
) -> tuple[Order, Outcome]:
    """Run an internal role on this machine; the order and what became of it. Raises IrctlError."""
    if any(character in text for text in _texts(given) for character in "\n\r\0"):
        raise Invalid("--home: no timer can be made for a path with a line break in it")
    name = role.replace("_", "-")
    remediation = Remediation(name, role, OURS, summary, (), (), {**METADATA, "service": name})
    order = Order(remediation, (HOST,), given, **terms)
    with tempfile.TemporaryDirectory(prefix="irctl-inventory-") as folder:
        inventory = Path(folder) / "hosts.yml"
        inventory.write_text(f"all:\n  hosts:\n    {HOST}:\n      ansible_connection: local\n")
        none = Setting("", "this machine")
        this_machine = replace(settings, inventory=Setting(str(inventory), none.origin), vault_password_file=none, vault_ids=none)
        return order, execution.carry_out(order, this_machine, show)


def _texts(given: Any) -> Iterator[str]:
    """Every text in it, however deep."""
    if isinstance(given, Mapping):
        given = [*given.values()]
    if isinstance(given, list):
        for value in given:
            yield from _texts(value)
    else:
        yield str(given)
