"""Whether a remediation can be drilled: what its metadata, this machine and the inventory must have for that."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from irctl.catalog import catalog
from irctl.catalog.config import Settings
from irctl.catalog.content import Content
from irctl.catalog.definition import Option
from irctl.drills import history
from irctl.drills.steps import HEALTH, DrillOrder, Steps
from irctl.errors import IrctlError, Refused


class MissingSetting(Refused):
    """The inventory does not say what a drill of this remediation needs to know."""


class _Ready(IrctlError):
    """The hosts are there and marked for drills; no more was asked."""


def obstacle(name: str, contents: Sequence[Content]) -> str:
    """Why a remediation cannot be drilled from here at all; '' where it can. Raises Invalid for an unknown name."""
    entry_points = catalog.entry_points(name, contents)
    if missing := [needed for needed in history.NEEDED if needed not in entry_points]:
        return f"it has no entry point {missing[0]}"
    metadata = catalog.load(name, contents).about
    if metadata.get("lease", {}).get("required"):
        return "it may only be on for a time, and a drill takes no lease"
    modules = metadata.get("needs", {}).get("python", [])
    if missing := [module for module in modules if importlib.util.find_spec(module) is None]:
        return f"the Python module {missing[0]} is not installed; irctl doctor says how"
    return ""


def drillable(contents: Sequence[Content]) -> list[str]:
    """The names of all remediations that can be drilled from here and say how often."""
    names = [name for name in catalog.names(contents) if "drill_every" in catalog.load(name, contents).about]
    return [name for name in names if not obstacle(name, contents)]


def require_drillable(name: str, contents: Sequence[Content]) -> None:
    """Raises Refused where it cannot be drilled, Invalid for an unknown name."""
    if why := obstacle(name, contents):
        raise Refused(f"{name} cannot be drilled: {why}")


def order_of(name: str, contents: Sequence[Content], names: tuple[str, ...], **terms: Any) -> DrillOrder:
    """The drill of a remediation on these hosts, as its metadata has it. Raises Refused or Invalid."""
    require_drillable(name, contents)
    metadata = catalog.load(name, contents).about.get("drill") or {}
    return DrillOrder(name, names, metadata.get("proof", HEALTH), metadata.get("parameters") or {}, **terms)


def require_settings(name: str, options: Iterable[Option], hosts: Mapping[str, Any]) -> None:
    """Raises MissingSetting for the first setting that is needed on a host and given by nobody. Pure."""
    for host, settings in hosts.items():
        for option in options:
            if option.required and settings.get(option.variable) in (None, "", []):
                raise MissingSetting(f"{name} cannot be drilled: the inventory does not say {option.variable} for {host}")


def require_hosts(settings: Settings, name: str, hosts: tuple[str, ...]) -> None:
    """Ask the inventory what a drill would: begin one up to where its hosts are known, and no further. Raises IrctlError."""

    def begin(known: Mapping[str, Any]) -> str:
        require_settings(name, catalog.load(name, settings.contents, entry_point="verify").options, known)
        raise _Ready(", ".join(known))

    steps = Steps(order_of(name, settings.contents, hosts), settings, lambda what, details: None)
    try:
        steps.verify("before", begin=begin)
    except _Ready:
        return
