"""The remediations and diagnoses there are, by the names that a user types."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog.content import OURS, Content
from irctl.catalog.definition import MAIN, Definition, Option, definition
from irctl.catalog.unknown_names import nearest, quoted
from irctl.errors import Invalid

DIAGNOSIS = "diagnose_"


@dataclass(frozen=True)
class Remediation:
    """One role that a user can run, with all that its meta files say."""

    name: str
    role: str
    content: Content
    summary: str
    description: tuple[str, ...]
    options: tuple[Option, ...]
    about: Mapping[str, Any] = field(repr=False)
    others: tuple[Content, ...] = ()  # collections beside its own and ours, of which its metadata names plugins

    @property
    def folder(self) -> Path:
        return self.content.root / "roles" / self.role

    @property
    def playbook(self) -> str:
        return f"{self.content.name}.{self.role}"

    @property
    def typed(self) -> tuple[Option, ...]:
        """The options that the command line takes."""
        return tuple(option for option in self.options if option.flag)


def names(contents: Iterable[Content], *, diagnoses: bool = False) -> dict[str, Content]:
    """The names a user types, sorted, with where each lies. Reads no file."""
    found: dict[str, Content] = {}
    for content in contents:
        for role in _listed(content.root / "roles"):
            if role.startswith(DIAGNOSIS) == diagnoses and paths.exists(content.root / "roles" / role / "meta" / "remediation.yml"):
                found.setdefault(role.removeprefix(DIAGNOSIS).replace("_", "-"), content)
    return dict(sorted(found.items()))


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def entry_points(name: str, contents: Sequence[Content]) -> tuple[str, ...]:
    """The entry points that the named remediation has. Raises Invalid for an unknown name."""
    return _definition(name, contents, "remediation").entry_points


def load(name: str, contents: Sequence[Content], *, diagnosis: bool = False, entry_point: str = MAIN) -> Remediation:
    """Read the named remediation or diagnosis. Raises Invalid for an unknown name, with the nearest known one."""
    role = _definition(name, contents, "diagnosis" if diagnosis else "remediation")
    if entry_point not in role.entry_points:
        raise Invalid(f"{name} has no entry point {entry_point}; it has {', '.join(role.entry_points)}")
    entry = role.entry_point(entry_point)
    return Remediation(name, role.role, role.content, entry.summary, entry.description, entry.options, role.metadata)


def _definition(name: str, contents: Sequence[Content], what: str) -> Definition:
    known = names(contents, diagnoses=what == "diagnosis")
    if name not in known:
        raise _unknown(name, known, what, other=names(contents, diagnoses=what != "diagnosis"))
    prefix = DIAGNOSIS if what == "diagnosis" else ""
    role = definition(known[name], prefix + name.replace("-", "_"))
    if role.content != OURS:  # those of ours are held by a test
        from irctl.catalog import validation

        validation.require(role)
    return role


def _unknown(name: str, known: Iterable[str], what: str, *, other: Iterable[str]) -> Invalid:
    """`other` are the names of the kind that was not asked for."""
    if name in other:
        kind, command = ("remediation", "remediate") if what == "diagnosis" else ("diagnosis", "diagnose")
        return Invalid(f"there is no {what} {quoted(name)}; it is a {kind}: irctl {command} {name} --help")
    return Invalid(f"there is no {what} {quoted(name)}.{nearest(name, known)} `irctl catalog` lists them all")
