"""Runs whose process was killed: they are found, called indeterminate and sealed by the next command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl import errors
from irctl.errors import EvidenceError
from irctl.orders.order import SCHEMA
from irctl.record import locks, runs
from irctl.running.private_folder import PrivateFolder, sweep
from irctl.running.results import Host


def close(home: Path) -> list[str]:
    """Seal the records of killed runs; return a sentence for each."""
    messages = []
    sweep()
    for folder, lock in runs.killed(home):
        try:
            messages.append(_close(folder))
            PrivateFolder(folder.run).remove()
        except (EvidenceError, OSError, LookupError, TypeError, AttributeError) as error:  # the others go on
            messages.append(f"run {folder.run} was killed and its record cannot be closed: {' '.join(str(error).split())[:300]}")
        finally:
            locks.release([lock])
    return messages


def _close(folder: runs.Folder) -> str:
    if not paths.exists(folder.path / "run.json"):  # killed before anything was run
        folder.marker.unlink()
        return f"run {folder.run} was killed before it began; nothing was run"
    if paths.exists(folder.path / "result.json"):  # killed while it was sealed: the result is whole, or it would not be there
        result = folder.document("result.json")
        _seal(folder, result)
        return f"run {folder.run} was killed after its end; its outcome was: {result['outcome']}"
    begun = folder.document("run.json")
    seen = runs.last_steps(folder)
    steps = {name: seen.get(name) or seen.get("", "none") for name in begun["hosts"]}
    _seal(folder, _indeterminate(folder, begun, steps))
    where = ", ".join(f"{step} on {name}" for name, step in list(steps.items())[:5])
    look = f" Look: irctl diagnose {begun['diagnose']} --host {next(iter(steps))}" if begun["diagnose"] else ""
    return f"run {folder.run} was killed; the last step seen was {where}. Its hosts may have been changed.{look}"


def _indeterminate(folder: runs.Folder, begun: dict[str, Any], steps: dict[str, str]) -> dict[str, Any]:
    """result.json of a run that nobody saw end. `steps` is the last step that was seen of each host."""
    reason = "irctl was killed; the last step seen was {}"
    hosts = {name: Host("indeterminate", reason=reason.format(step)).document() for name, step in steps.items()}
    known = {key: begun[key] for key in ("run", "remediation", "check", "plan_hash", "started")}
    end = {"outcome": "indeterminate", "exit_code": errors.INDETERMINATE, "seconds": 0.0, "folder": str(folder.path)}
    return {"schema": SCHEMA, **known, "incident": begun["incident"] or None, **end, "hosts": hosts}


def _seal(folder: runs.Folder, result: dict[str, Any]) -> None:
    """Seal the record, and say in the incident's journal too that the run is over."""
    sealed = runs.finish(folder, result)
    if result["incident"]:
        from irctl.incidents import incidents

        what = {"run": folder.run, "remediation": result["remediation"], "check": result["check"], "manifest": sealed}
        changed = sorted(name for name, host in result["hosts"].items() if host["changed"])
        entry = {"event": "run-ended", "by": "irctl", **what, "outcome": result["outcome"], "changed": changed}
        incidents.record(folder.home, result["incident"], entry)
    runs.close(folder)
