"""Every role of the collection, found by looking; a rule that a new role breaks fails without a line of test for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from irctl.catalog.content import OURS
from irctl.catalog.definition import Definition, Option, definition

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "irctl.runbooks."


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@dataclass(frozen=True)
class Role:
    """One role with all that the rules look at."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def about(self) -> dict[str, Any]:
        found: dict[str, Any] = read(self.folder / "meta" / "remediation.yml")
        return found

    @cached_property
    def specs(self) -> dict[str, Any]:
        found: dict[str, Any] = read(self.folder / "meta" / "argument_specs.yml")["argument_specs"]
        return found

    @cached_property
    def definition(self) -> Definition:
        return definition(OURS, self.name)

    @cached_property
    def parameters(self) -> dict[str, Option]:
        """The parameters of all entry points together, by their variables."""
        entries = [self.definition.entry_point(name) for name in self.definition.entry_points]
        return {option.variable: option for entry in entries for option in entry.options}

    @cached_property
    def options(self) -> dict[str, dict[str, Any]]:
        """The options of all entry points together."""
        return {name: option for spec in self.specs.values() for name, option in spec.get("options", {}).items()}

    @cached_property
    def defaults(self) -> dict[str, Any]:
        found: dict[str, Any] = read(self.folder / "defaults" / "main.yml")
        return found

    @property
    def task_files(self) -> list[Path]:
        return sorted((self.folder / "tasks").glob("*.yml"))

    def tasks(self, name: str = "main") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read(self.folder / "tasks" / f"{name}.yml")
        return found


ROLES = [Role(meta.parents[1]) for meta in sorted((ROOT / "roles").glob("*/meta/remediation.yml"))]
REMEDIATIONS = [role for role in ROLES if role.about["kind"] == "remediation"]


def flat(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every task that is not a block, those within blocks, rescues and always too."""
    for task in tasks:
        if "block" in task:
            for part in ("block", "rescue", "always"):
                yield from flat(task.get(part, []))
        else:
            yield task


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `role` runs for every role, one that takes `remediation` for every one that changes something."""
    for wanted, found in (("role", ROLES), ("remediation", REMEDIATIONS)):
        if wanted in metafunc.fixturenames:
            metafunc.parametrize(wanted, found, ids=lambda one: one.name)
