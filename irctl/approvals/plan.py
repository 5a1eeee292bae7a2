"""What would be run, as one document with one hash: remediation, content, hosts with their settings, parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from irctl.catalog.catalog import Remediation
from irctl.catalog.content import OURS
from irctl.record.journal import canonical

SCHEMA = "irctl/plan/1"


def plan(found: Remediation, hosts: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """The plan for these hosts. What a host's inventory does not say and nobody typed is the role's default."""
    defaults = {option.variable: option.default for option in found.options if option.default is not None}
    return {
        "schema": SCHEMA,
        "remediation": found.name,
        "content": digest(found),
        "parameters": dict(given),
        "hosts": {host: {**defaults, **settings, **given} for host, settings in sorted(hosts.items())},
    }


def hash_of(document: Mapping[str, Any]) -> str:
    """The sha256 that names a plan, in hex."""
    return hashlib.sha256(canonical(document)).hexdigest()


def digest(found: Remediation) -> str:
    """The sha256 of every file that could act in this run: its playbook, its role, the shared role and the plugins."""
    whole = hashlib.sha256()
    for name, path in sorted(_files(found)):
        whole.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _files(found: Remediation) -> Iterator[tuple[str, Path]]:
    """Each file by its collection's name and its place there; the shared role and plugins are ours, whosever the role is."""
    theirs = [(found.content, part) for part in (f"playbooks/{found.role}.yml", f"roles/{found.role}", "plugins")]
    for content, part in {*theirs, (OURS, "roles/run"), (OURS, "plugins")}:
        place = content.root / part
        for path in [place] if place.is_file() else place.rglob("*"):
            if "__pycache__" not in path.parts and path.suffix != ".md" and path.is_file():
                yield f"{content.name}/{path.relative_to(content.root).as_posix()}", path
