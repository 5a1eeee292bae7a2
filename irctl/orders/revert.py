"""The order that undoes a run, from what the run had captured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.phases import REVERT_RECORD
from irctl.catalog import catalog
from irctl.catalog.catalog import Remediation
from irctl.catalog.config import Settings
from irctl.errors import EvidenceError, Refused
from irctl.leases import journaled, register
from irctl.orders.order import Order
from irctl.record import runs, seal
from irctl.record.manifest_format import read_file


class NothingToUndo(Refused):
    """The run changed nothing that could be undone; its sealed record says so."""


def order(
    settings: Settings, folder: runs.Folder, *, force: bool = False, incident: str = "", unsealed: bool = False, **terms: Any
) -> Order:
    """The order that undoes this run on the hosts where it had captured something. Raises Refused or EvidenceError.

    `force` puts it back although somebody else has changed it since. `unsealed` takes a record that was never sealed, because its
    run was killed and there was no room. `terms` are those of the order.
    """
    sealed = require_as_sealed(folder, unsealed=unsealed)
    begun = _begun(folder, sealed)
    name = begun["remediation"]
    if begun["check"] or " " in name:
        raise NothingToUndo(f"{folder.run} changed nothing that can be undone")
    remediation = catalog.load(name, settings.contents)
    if not remediation.about["reversible"]:
        raise Refused(f"what {name} changes cannot be undone: {remediation.about['impact']}")
    hosts = tuple(host for host in begun["hosts"] if _captured(folder, host))
    if not hosts and (lost := uncaptured(folder)):
        raise EvidenceError(f"{folder.run} changed {lost[0]} and captured nothing of it, so nobody can undo that; look at it")
    if not hosts:
        raise NothingToUndo(f"{folder.run} captured nothing before it ended, so it changed nothing that could be undone")
    remediation = catalog.load(name, settings.contents, entry_point="revert")
    given = _parameters(remediation, begun["plan"]["parameters"], force=force)
    undone = {"reverts": folder.run, "sealed": sealed, "made_on": {} if force else begun["plan"]["hosts"]}
    incident = incident or begun["incident"]
    return Order(remediation, hosts, given, incident=incident, entry_point="revert", only_hosts=True, **undone, **terms)


def _begun(folder: runs.Folder, sealed: Mapping[str, Any] | None) -> dict[str, Any]:
    """run.json, just as it was sealed. Raises EvidenceError."""
    try:
        content = read_file(folder.path / "run.json")
        if sealed and hashlib.sha256(content).hexdigest() != sealed["files"].get("run.json", {}).get("sha256"):
            raise EvidenceError(f"the record of {folder.run} is not as it was sealed: run.json; nothing was undone")
        return dict(json.loads(content))
    except (OSError, ValueError, RecursionError) as error:
        raise EvidenceError(f"{folder.path / 'run.json'} cannot be read: {error}") from None


def _parameters(remediation: Remediation, given: dict[str, Any], *, force: bool) -> dict[str, Any]:
    """Those of the run's parameters that the undoing knows too. Pure."""
    known = {option.variable for option in remediation.options}
    kept = {name: value for name, value in given.items() if name in known}
    return kept | ({f"{remediation.role}_force": True} if force else {})


def require_as_sealed(folder: runs.Folder, *, unsealed: bool = False) -> dict[str, Any] | None:
    """What was captured decides what is put back, so it has to be what was captured: sealed, and as the journal knows it.

    Returns the manifest. With `unsealed` a record will do that was never sealed, as far as the journal knows, and None may be
    returned. Raises EvidenceError.
    """
    sealed = journaled.sealed(folder.home, folder.run, whole=not unsealed)
    manifest = folder.path / seal.MANIFEST
    if unsealed and not sealed and not paths.has_name(manifest):
        return None
    if not paths.has_name(manifest):
        raise EvidenceError(f"the record of {folder.run} is not as it was sealed: its {seal.MANIFEST} is gone; nothing was undone")
    if differences := seal.differences(folder.path):
        raise EvidenceError(f"the record of {folder.run} is not as it was sealed: {differences[0]}; nothing was undone")
    about, digest = seal.manifest(folder.path)
    if about.get("run") != folder.run or (digest != sealed and (sealed or not unsealed)):
        why = f"the journal knows another {seal.MANIFEST}" if sealed else "the journal does not know its seal"
        raise EvidenceError(f"the record of {folder.run} is not as it was sealed: {why}; nothing was undone")
    return about


def uncaptured(folder: runs.Folder) -> list[str]:
    """The hosts that a sealed run changed and of which it captured nothing: to undo it is beyond irctl."""
    if not paths.has_name(folder.path / "result.json"):
        return []
    results = folder.document("result.json")["hosts"]
    return [host for host, result in results.items() if result["changed"] and not _captured(folder, host)]


def _captured(folder: runs.Folder, host: str) -> bool:
    return paths.is_file(register.of_host(folder, host) / REVERT_RECORD)
