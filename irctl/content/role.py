"""One role with all that the rules look at."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog.content import OURS, Content
from irctl.catalog.definition import Definition, EntryPoint, Option, definition
from irctl.content import generated

Task = dict[str, Any]


@dataclass(frozen=True)
class Role:
    """A role by its definition, its task files and the modules that these name."""

    content: Content
    name: str

    @property
    def folder(self) -> Path:
        return self.content.root / "roles" / self.name

    @cached_property
    def definition(self) -> Definition:
        return definition(self.content, self.name)

    @property
    def about(self) -> Mapping[str, Any]:
        return self.definition.metadata

    @property
    def changes(self) -> bool:
        return bool(self.about["kind"] == "remediation")

    @property
    def entry_points(self) -> tuple[str, ...]:
        return self.definition.entry_points

    @property
    def changing(self) -> list[str]:
        """The entry points that change something and are held to all phases."""
        return ["main", *(["revert"] if self.about["reversible"] else [])] if self.changes else []

    @cached_property
    def entries(self) -> dict[str, EntryPoint]:
        return {name: self.definition.entry_point(name) for name in self.entry_points}

    def options(self, entry_point: str) -> dict[str, Option]:
        """The parameters of an entry point, by their variables."""
        return {option.variable: option for option in self.entries[entry_point].options}

    @cached_property
    def parameters(self) -> dict[str, Option]:
        """The parameters of all entry points together, by their variables."""
        return {variable: option for name in self.entry_points for variable, option in self.options(name).items()}

    @property
    def task_files(self) -> list[Path]:
        return sorted((self.folder / "tasks").glob("*.yml"))

    def tasks(self, entry_point: str = "main") -> list[Task]:
        """Every task of an entry point, those within blocks too; none where it has no file."""
        return self._tasks.get(entry_point, [])

    @cached_property
    def _tasks(self) -> dict[str, list[Task]]:
        return {path.stem: list(_flat(_load(path) or [])) for path in self.task_files}

    def all_tasks(self) -> Iterator[tuple[str, Task]]:
        """The tasks of all files, each with the name of its file."""
        for path in self.task_files:
            yield from ((path.name, task) for task in self.tasks(path.stem))

    @cached_property
    def held(self) -> dict[str, Any]:
        """What vars/main.yml holds."""
        path = self.folder / "vars" / "main.yml"
        return _load(path) or {} if paths.is_file(path) else {}

    def modules_of(self, task: Task) -> Iterator[tuple[ModuleType, dict[str, Any]]]:
        """The modules of ours and of this content that a task names, with what it gives; those that have ARGUMENTS."""
        for word, given in task.items():
            collection, _, name = word.rpartition(".")
            if collection in (self.content.name, OURS.name) and self._has(collection, name):
                module = importlib.import_module(f"ansible_collections.{collection}.plugins.modules.{name}")
                if hasattr(module, "ARGUMENTS"):
                    yield module, dict(given or {})

    def _has(self, collection: str, name: str) -> bool:
        root = self.content.root if collection == self.content.name else OURS.root
        return paths.is_file(root / "plugins" / "modules" / f"{name}.py")


def phase(task: Task) -> str:
    """The first word of a task's name."""
    return str(task.get("name", "")).partition(" | ")[0]


def roles(content: Content) -> list[Role]:
    """Every role of a folder that has a definition."""
    return [Role(content, name) for name in generated.roles(content)]


def _load(path: Path) -> Any:
    return yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _flat(tasks: list[Task]) -> Iterator[Task]:
    for task in tasks:
        if "block" in task:
            for part in ("block", "rescue", "always"):
                yield from _flat(task.get(part, []))
        else:
            yield task
