"""Whether what is about to run is what was requested, and the first thing in which it is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
from irctl.approvals.request import Request


@dataclass(frozen=True)
class PlannedRun:
    """What is about to run. `names` are the hosts and groups as they were typed; `lease` is in seconds, 0 for no lease."""

    plan: Mapping[str, Any]
    plan_hash: str
    names: tuple[str, ...]
    incident: str
    lease: int

    @property
    def remediation(self) -> str:
        return str(self.plan["remediation"])


def difference(request: Request, planned: PlannedRun) -> str:
    """The first thing in which a run is not what was requested, or ''."""
    if request.incident != planned.incident:
        return f"it is for {request.incident or 'no incident'}, not for {planned.incident or 'none'}"
    if (request.document["lease"] or 0) != planned.lease:
        requested = request.document["lease"] or "for good"
        return f"it lasts {planned.lease or 'for good'}, and {requested} was planned (in seconds)"
    if request.document["plan_hash"] == planned.plan_hash:
        return ""
    if request.remediation != planned.remediation:
        return f"it is {planned.remediation}, and {request.remediation} was planned"
    if request.plan["content"] != planned.plan["content"]:
        return "the content (playbook, role or plugins) is another by now"
    return _host_difference(request.plan["hosts"], planned.plan["hosts"]) or "its parameters are others"


def _host_difference(requested: Mapping[str, Any], planned: Mapping[str, Any]) -> str:
    for host in sorted({*requested} ^ {*planned}):
        return f"the hosts are others: {printable(host, 80)} is {'gone' if host in requested else 'new'}"
    for host in requested:
        for name in sorted({*requested[host], *planned[host]}):
            before, after = (_as_text(settings, name) for settings in (requested[host], planned[host]))
            if before != after:
                return f"{printable(name, 80)} of {printable(host, 80)} is {after} and was {before}"
    return ""


def _as_text(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name], sort_keys=True)[:80] if name in settings else "not set"
