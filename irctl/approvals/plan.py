"""What would be run, as one document with one hash: remediation, content, hosts with their settings, parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from irctl.catalog import closure
from irctl.catalog.catalog import Remediation
from irctl.record.journal import canonical

SCHEMA = "irctl/plan/1"


def plan(found: Remediation, content: str, hosts: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """The plan for these hosts; `content` is the digest of the files that act in it.

    What a host's inventory does not say and nobody typed is the role's default.
    """
    defaults = {option.variable: option.default for option in found.options if option.default is not None}
    return {
        "schema": SCHEMA,
        "remediation": found.name,
        "content": content,
        "parameters": dict(given),
        "hosts": {host: {**defaults, **settings, **given} for host, settings in sorted(hosts.items())},
    }


def hash_of(document: Mapping[str, Any]) -> str:
    """The sha256 that names a plan, in hex."""
    return hashlib.sha256(canonical(document)).hexdigest()


def digest(found: Remediation) -> str:
    """The sha256 of every file that can act in a run of it."""
    return closure.snapshot(found).digest
