"""The files of a content folder that follow from its definitions, and which of them are not what must stand there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog import compiled
from irctl.catalog.content import OURS, Content, galaxy_of
from irctl.catalog.definition import Definition, Option, definition, group
from irctl.content import ansible_files, module_files, page
from irctl.content.module_files import Named


def roles(content: Content) -> list[str]:
    """The roles of a folder that have a definition, sorted."""
    return [path.parents[1].name for path in sorted((content.root / "roles").glob("*/meta/remediation.yml"))]


def stale(content: Content) -> dict[Path, str]:
    """The generated files that are missing or hold something else, and what must stand in each. Raises Invalid."""
    return {path: text for path, text in files(content) if not paths.is_file(path) or path.read_text() != text}


def write(texts: dict[Path, str]) -> None:
    """Write these files; folders are made."""
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def files(content: Content) -> Iterator[tuple[Path, str]]:
    """Every generated file of a folder and what must stand in it. Raises Invalid where a definition is wrong."""
    galaxy = galaxy_of(content.root)
    defined = [definition(content, role) for role in roles(content)]
    shared = {name for role in defined for name in role.metadata.get("shared", [])}
    yield from _of_groups(content, shared)
    if content == OURS:
        yield from _compiled(content, [role.source for role in defined])
    for role in defined:
        yield from ansible_files.files(role, galaxy)
        yield from module_files.files(content, role.role, role.source, _own(role) | _lent(role, shared))
        yield page.path(role), page.text(role)
    yield from module_files.actions(content)


def _compiled(content: Content, sources: list[Path]) -> Iterator[tuple[Path, str]]:
    for source in [*sources, *sorted((content.root / "meta" / "parameters").glob("*.yml"))]:
        text = compiled.text(source, str(source.relative_to(content.root)), yaml.safe_load(source.read_text()))
        yield compiled.path_of(source), text


def _of_groups(content: Content, shared: Iterable[str]) -> Iterator[tuple[Path, str]]:
    for path in sorted((content.root / "meta" / "parameters").glob("*.yml")):
        options = {option.variable: option for option in group(content, path.stem)}
        alone: dict[str, Named] = {name.upper(): {name: option} for name, option in options.items() if name in shared}
        yield from module_files.files(content, path.stem, path, {"ARGUMENTS": options, **alone})


def _lent(role: Definition, shared: Iterable[str]) -> dict[str, Named]:
    """Those of a role's parameters that other roles share, by their whole names."""
    short = sorted(name.partition(".")[2] for name in shared if name.startswith(f"{role.role}."))
    return {"SHARED": {f"{role.role}_{name}": role.parameter(name) for name in short}} if short else {}


def _own(role: Definition) -> dict[str, Named]:
    """A role's own parameters by their short names, for each entry point that has some; verify takes those of main."""
    names = [name for name in role.entry_points if name != "verify"]
    own: dict[str, list[Option]] = {name: [option for option in role.entry_point(name).options if option.flag] for name in names}
    return {
        name.upper(): {option.variable.removeprefix(f"{role.role}_"): option for option in options}
        for name, options in own.items()
        if options
    }
