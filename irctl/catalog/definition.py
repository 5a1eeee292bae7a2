"""The one definition of a role, its meta/remediation.yml: what it is, its entry points, and the parameters of each.

A parameter of the role's own is written there once, by its short name; those that roles share stand in meta/parameters/ of the
collection, by their whole names, and `shared` names the file, one variable of it, or another role's parameter (ROLE.NAME).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog import compiled
from irctl.catalog.content import OURS, Content
from irctl.errors import Invalid

MAIN = "main"
USUAL = (MAIN, "verify")  # the entry points of a parameter that names none
KEYS = {"type", "elements", "kind", "choices", "required", "minimum", "maximum", "default", "example", "in", "description"}


@dataclass(frozen=True)
class Option:
    """One parameter of an entry point. `flag` is its name on the command line; '' where only an inventory sets it."""

    variable: str
    flag: str
    type: str
    description: str
    elements: str = "str"
    default: Any = None
    choices: tuple[str, ...] = ()
    required: bool = False
    example: Any = None
    kind: str = ""
    minimum: Any = None
    maximum: Any = None
    content: Content = OURS  # whose kinds it may have

    @property
    def negation(self) -> str:
        """The flag that says no to a boolean: --no-force for --force."""
        return f"--no-{self.flag.removeprefix('--')}"

    @property
    def typed_example(self) -> str:
        """The option as somebody might type it; '' where its definition has no example."""
        if self.type == "bool":
            return self.negation if self.default else self.flag
        value = self.example[0] if isinstance(self.example, list) else self.example
        return "" if value is None else f"{self.flag} {value}"


@dataclass(frozen=True)
class EntryPoint:
    """One thing that a role does: main, verify, fault, decoy, revert or restore."""

    name: str
    summary: str
    description: tuple[str, ...]
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Definition:
    """A role as its meta/remediation.yml has it."""

    content: Content
    role: str
    metadata: Mapping[str, Any]

    @property
    def source(self) -> Path:
        """Where it is written."""
        return source_of(self.content, self.role)

    @property
    def entry_points(self) -> tuple[str, ...]:
        return (MAIN, *self.metadata.get("entry_points", {}))

    def entry_point(self, name: str) -> EntryPoint:
        """Raises Invalid where a parameter is not defined well."""
        texts = self.metadata if name == MAIN else self.metadata["entry_points"][name]
        described = texts.get("description", [])
        return EntryPoint(
            name=name,
            summary=texts.get("summary", ""),
            description=tuple([described] if isinstance(described, str) else described),
            options=(*self._own(name), *self._shared()),
        )

    def parameter(self, short: str) -> Option:
        """One parameter of the role's own, whatever entry point has it. Raises Invalid."""
        parameters = self.metadata.get("parameters", {})
        if short not in parameters:
            raise Invalid(f"content: {self.role} has no parameter {short}")
        return _option(self.content, f"{self.role}_{short}", parameters[short], "--" + short.replace("_", "-"))

    def _own(self, entry_point: str) -> Iterator[Option]:
        for short, parameter in self.metadata.get("parameters", {}).items():
            if entry_point in parameter.get("in", USUAL):
                yield self.parameter(short)

    def _shared(self) -> Iterator[Option]:
        for name in self.metadata.get("shared", []):
            owner, _, short = name.partition(".")
            if short:
                whose = definition(self._content_of(f"roles/{owner}/meta/remediation.yml", name), owner)
                yield replace(whose.parameter(short), flag="")  # an option of that role's command only
            else:
                yield from self._of_group(name)

    def _of_group(self, name: str) -> Iterator[Option]:
        """All variables of meta/parameters/NAME.yml, or the one variable NAME of the file that its first word names."""
        first = name.partition("_")[0]
        options = {option.variable: option for option in group(self._content_of(f"meta/parameters/{first}.yml", name), first)}
        if first != name and name not in options:
            raise Invalid(f"content: {self.role} shares {name}, which meta/parameters/{first}.yml does not have")
        yield from options.values() if first == name else [options[name]]

    def _content_of(self, path: str, name: str) -> Content:
        for content in (self.content, OURS):
            if paths.exists(content.root / path):
                return content
        raise Invalid(f"content: {self.role} shares {name}, and there is no {path}")


def _option(content: Content, variable: str, parameter: Mapping[str, Any], flag: str = "") -> Option:
    if unknown := set(parameter) - KEYS:
        raise Invalid(f"content: the parameter {variable} has {min(unknown)}, which is none of {', '.join(sorted(KEYS))}")
    described = parameter.get("description", "")
    return Option(
        variable=variable,
        flag=flag,
        type=parameter.get("type", "str"),
        description=described if isinstance(described, str) else " ".join(described),
        elements=parameter.get("elements", "str"),
        default=parameter.get("default"),
        choices=tuple(parameter.get("choices", ())),
        required=parameter.get("required", False),
        example=parameter.get("example"),
        kind=parameter.get("kind", ""),
        minimum=parameter.get("minimum"),
        maximum=parameter.get("maximum"),
        content=content,
    )


def group(content: Content, name: str) -> Iterator[Option]:
    """The parameters that roles share under a name, as meta/parameters/NAME.yml has them. Raises Invalid."""
    for variable, parameter in read(content, content.root / "meta" / "parameters" / f"{name}.yml").items():
        yield _option(content, variable, parameter)


def definition(content: Content, role: str) -> Definition:
    """Read the definition of a role. Raises Invalid."""
    return Definition(content, role, read(content, source_of(content, role)))


def source_of(content: Content, role: str) -> Path:
    """The file that a role is defined in."""
    return content.root / "roles" / role / "meta" / "remediation.yml"


def read(content: Content, path: Path) -> dict[str, Any]:
    """Read a YAML file of this content that holds a mapping; of ours what was made of it as JSON will do. Raises Invalid."""
    try:
        if content == OURS and (known := compiled.read(path)) is not None:
            return known
    except OSError as error:
        raise Invalid(f"content: {path} cannot be read: {error.strerror}") from None
    return _of_yaml(path)


def _of_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        with path.open("rb") as file:
            document = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise Invalid(f"content: {path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise Invalid(f"content: {path} must hold a mapping")
    return document
