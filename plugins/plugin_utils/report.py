"""The Report phase: what was found, changed and proved on each host, published once for all of them."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.irctl.runbooks.plugins.module_utils.phases import PHASE_OF
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

PARTS = tuple(PHASE_OF)


class ActionModule(ActionBase):
    """Collects what the role registered as __ROLE_before, _change, _after and _evidence, for every host that got that far."""

    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(PARTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        role = self._task._role.get_name(include_role_fqcn=False) if self._task._role else ""
        named = {part: str(name) for part, name in self._task.args.items()}
        usual = {part: f"__{role}_{part}" for part in PARTS if not named}
        found = {}
        for host in variables["ansible_play_hosts"]:
            held = variables["hostvars"].raw_get(host)
            results = self._results(held, named or {part: name for part, name in usual.items() if name in held})
            if results is not None:
                found[host] = _report(results)
        if path := variables.get("irctl_report_file"):
            _write(str(path), found)
        return {"changed": False, "ansible_stats": {"data": {"irctl_report": found}, "per_host": False, "aggregate": True}}

    def _results(self, variables: dict[str, Any], names: dict[str, str]) -> dict[str, Any] | None:
        results = {part: variables.get(name) for part, name in names.items()}
        sound = all(isinstance(result, dict) and not result.get("failed") for result in results.values())
        return results if sound and results else None


def _report(results: dict[str, Any]) -> dict[str, Any]:
    before, change, after = (results.get(part) or {} for part in ("before", "change", "after"))
    last = after or before
    looked = after or (before if change else {})  # where something was only looked at, the whole of it is said already
    words = [printable(word) for word in (change.get("msg") or last.get("msg"), looked.get("in_short")) if word]
    return {
        "changed": bool(change.get("changed")),
        "reason": ", ".join(words),
        "before": before.get("summary") or {},
        "after": last.get("summary") or {},
        "evidence": (results.get("evidence") or {}).get("kept") or [],
        "findings": last.get("findings") or [],
    }


def _write(path: str, found: dict[str, Any]) -> None:
    """A file, because an event is lost without a word when it grows beyond ansible-runner's 700,000 bytes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(found, file)
