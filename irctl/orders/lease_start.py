"""The start of a lease: what ends a change is written down before the change is made."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.catalog.config import Settings
from irctl.leases import register
from irctl.leases.lease import Lease
from irctl.orders.order import Order
from irctl.record import moments


def arm(order: Order, settings: Settings, run: str, hosts: list[str]) -> list[str]:
    """Arm the lease of this order, if it has one; return what its caller should know of other leases. Raises IrctlError."""
    messages: list[str] = []
    home, name = settings.home_path, order.remediation.name
    terms = order.remediation.about.get("lease", {})
    if order.entry_point == "main" and terms.get("additive"):
        messages = list(register.overlaps(home, name, hosts, order.given))
    elif order.entry_point == "main" and not order.check:
        register.require_no_other(home, name, hosts)
    if order.lease and not order.check:
        register.arm(home, _lease(order, settings, run, hosts, values.seconds(terms["limit"])))
    return messages


def _lease(order: Order, settings: Settings, run: str, hosts: list[str], limit: int) -> Lease:
    return Lease(
        run=run,
        remediation=order.remediation.name,
        hosts=tuple(hosts),
        inventory=str(settings.inventory_path()),
        content=settings.content.value,
        incident=order.incident,
        owner=settings.operator,
        seconds=order.lease,
        limit=limit,
        armed=moments.now(),
    )
