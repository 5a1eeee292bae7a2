"""Reaching hosts and their services as a run would, and changing nothing."""

from __future__ import annotations

from irctl.catalog.catalog import Remediation
from irctl.catalog.config import Settings
from irctl.catalog.content import OURS
from irctl.orders import execution
from irctl.orders.order import Order, Outcome, Show

METADATA = {"kind": "diagnosis", "service": "host-checks", "reversible": True, "approvals": []}
REACH = 120  # seconds within which every host must have answered


def reach(settings: Settings, names: tuple[str, ...], show: Show) -> Outcome:
    """Each host of the outcome has findings: what answers, and what does not with the command that mends it. Raises IrctlError."""
    role = Remediation("host-checks", "host_checks", OURS, "How hosts are reached", (), (), METADATA)
    return execution.carry_out(Order(role, names, {}, timeout=REACH), settings, show)
