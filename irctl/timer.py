"""Install on this machine what ends leases: the role lease_timer, run like any other, on an inventory of one host."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from irctl import flow
from irctl.catalog import Remediation
from irctl.config import Setting, Settings
from irctl.content import OURS
from irctl.flow import Order, Outcome

HOST = "controller"
ABOUT = {"kind": "remediation", "service": "lease-timer", "reversible": True, "approvals": []}


def install(settings: Settings, show: Callable[[str, Any], None], *, remove: bool = False) -> tuple[Order, Outcome]:
    """Install the timer of this home, or remove it; the order and what became of it. Raises IrctlError."""
    found = Remediation("lease-timer", "lease_timer", OURS, "The timer that ends leases", (), (), ABOUT)
    home = str(settings.home_path)
    given = {
        "lease_timer_state": "absent" if remove else "present",
        "lease_timer_command": str(Path(sys.executable).with_name("irctl")),
        "lease_timer_home": home,
        "lease_timer_path": os.environ.get("PATH", os.defpath),
        "lease_timer_name": f"irctl-leases-{hashlib.sha256(home.encode()).hexdigest()[:8]}",
    }
    order = Order(found, (HOST,), given, urgent=remove)
    with tempfile.TemporaryDirectory(prefix="irctl-inventory-") as folder:
        path = Path(folder) / "hosts.yml"
        path.write_text(f"all:\n  hosts:\n    {HOST}:\n      ansible_connection: local\n")
        here = replace(settings, inventory=Setting(str(path), "this machine"))
        return order, flow.carry_out(order, here, show)
