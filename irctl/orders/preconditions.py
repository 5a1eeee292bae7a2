"""What has to hold before an order is carried out, and the refusals where it does not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import first_few, printable
from irctl.catalog.unknown_names import nearest
from irctl.errors import Invalid, NoTarget, Refused
from irctl.leases import keeper, stops
from irctl.orders.masked import masked
from irctl.orders.order import Order
from irctl.record import locks, runs
from irctl.trusted_paths import require_folder_not_everybodys

_PLACE = re.compile(r"ansible_connection|[a-z_]+_(host|port|dbname|endpoint|region)")  # the settings that say where something is
DRILLS = "irctl_drills"  # an inventory sets it to `allowed` for the hosts that take faults


def require(order: Order, home: Path) -> None:
    """Raises IrctlError where this home allows no such run now: stopped, full, busy, no such incident, nothing to end a lease."""
    if order.incident:
        from irctl.incidents import incidents

        (incidents.find if order.entry_point == "revert" else incidents.require_open)(home, order.incident)
    if not order.urgent:
        require_folder_not_everybodys("--home", home)
        runs.require_room(home)
        if order.changes:
            stops.require_none(home)
        if order.lease and not order.check:
            keeper.require(home)
    locks.require_free(home, order.service, order.names)


def targets(order: Order, inventory: Mapping[str, Any], source: Path | None = None) -> dict[str, Any]:
    """The hosts that the order is for, with their settings, of what the inventory said. Raises IrctlError. Pure.

    `source` is where the inventory lies, for whoever has more than one.
    """
    for name in inventory["unknown"]:
        where = f" The inventory is {printable(source, 200)}" if source else ""
        raise NoTarget(f"--host: not in the inventory.{nearest(name, inventory['known'])}{where} (got '{name}')")
    for name in inventory["empty"]:
        raise NoTarget(f"--host: the group has no hosts (got '{name}')")
    for message in inventory["unresolved"]:
        raise Invalid(f"inventory: {printable(message)}")
    hosts = {host: masked(host, settings) for host, settings in inventory["hosts"].items()}
    _require_folders(hosts)
    _require_same_places(order, hosts)
    if order.drill:  # what a drill needs to know, drills say by themselves
        return _marked(hosts)
    _require_parameters(order, hosts)
    return hosts


def _require_parameters(order: Order, hosts: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises Invalid where a parameter that is required was not typed, and a host's inventory has none either."""
    for option in order.remediation.options:
        if option.required and option.variable not in order.given:
            without = [name for name, settings in hosts.items() if settings.get(option.variable) in (None, "", [])]
            if without:
                where = f"set in the inventory of {printable(first_few(without), 200)}"
                if order.entry_point != "main" or not option.flag:  # which nobody types
                    raise Invalid(f"{option.variable}: it must be {where}")
                example = f", such as {option.typed_example}" if option.typed_example else ""
                raise Invalid(f"{option.flag}: it must be given{example}, or {option.variable} {where}")


def _require_same_places(order: Order, hosts: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises NoTarget where the change that is undone was made elsewhere than where the inventory says by now that its host is."""
    for host, now in hosts.items():
        then = order.made_on.get(host, now)
        names = (then.keys() & now.keys()) | {name for name in (*then, *now) if name.startswith("ansible_")}
        for name in sorted(filter(_PLACE.fullmatch, names)):
            if then.get(name) != now.get(name):
                was = f"{printable(now.get(name), 80)} and was {printable(then.get(name), 80)} when {order.reverts} changed it"
                raise NoTarget(f"{printable(host, 80)} is elsewhere by now: its {name} is {was}. Put that right, or give --force")


def _require_folders(hosts: Iterable[str]) -> None:
    """Raises Refused where two hosts would keep their evidence in one folder: a revert would take one's state for the other's."""
    folders: dict[str, str] = {}
    for host in hosts:
        folder = runs.folder_of_host(host)
        if folder in (".", "..") or folder in folders:
            why = f"so is that of {printable(folders[folder], 80)}" if folder in folders else "which no folder can be"
            where = f"the folder of {printable(host, 80)} would be called {printable(folder, 80)}, {why}"
            raise Refused(f"--host: {where}; give it another name in the inventory. Nothing was run")
        folders[folder] = host


def _marked(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The hosts without the mark for drills, which each of them must have. Raises Refused."""
    unmarked = sorted(name for name, settings in hosts.items() if settings.get(DRILLS) != "allowed")
    if unmarked:
        others = f" and {len(unmarked) - 1} more" if len(unmarked) > 1 else ""
        raise Refused(f"--host: the inventory does not mark {unmarked[0]}{others} with {DRILLS}: allowed; nothing was run")
    return {name: {key: value for key, value in settings.items() if key != DRILLS} for name, settings in hosts.items()}
