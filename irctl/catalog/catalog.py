"""The remediations and diagnoses there are, read from each role's meta/argument_specs.yml and meta/remediation.yml."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from irctl.catalog.content import Content
from irctl.errors import Invalid

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DIAGNOSIS = "diagnose_"


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
        for meta in content.root.glob("roles/*/meta/remediation.yml"):
            role = meta.parent.parent.name
            if role.startswith(DIAGNOSIS) == diagnoses:
                found.setdefault(role.removeprefix(DIAGNOSIS).replace("_", "-"), content)
    return dict(sorted(found.items()))


def entry_points(name: str, contents: Iterable[Content]) -> tuple[str, ...]:
    """The entry points that the named remediation has. Raises Invalid for an unknown name."""
    known = names(contents)
    if name not in known:
        raise _unknown(name, known, "remediation")
    return tuple(_specs(known[name].root / "roles" / name.replace("-", "_")))


def load(name: str, contents: Iterable[Content], *, diagnosis: bool = False, entry_point: str = "main") -> Remediation:
    """Read the named remediation or diagnosis. Raises Invalid for an unknown name, with the nearest known one."""
    known = names(contents, diagnoses=diagnosis)
    what = "diagnosis" if diagnosis else "remediation"
    if name not in known:
        raise _unknown(name, known, what)
    role = (DIAGNOSIS if diagnosis else "") + name.replace("-", "_")
    folder = known[name].root / "roles" / role
    about = _read(folder / "meta" / "remediation.yml")
    specs = _specs(folder)
    if entry_point not in specs:
        raise Invalid(f"{name} has no entry point {entry_point}; it has {', '.join(specs)}")
    spec = specs[entry_point]
    described = spec.get("description", [])
    return Remediation(
        name=name,
        role=role,
        content=known[name],
        summary=spec.get("short_description", ""),
        description=tuple([described] if isinstance(described, str) else described),
        options=tuple(_option(role, variable, option, about) for variable, option in spec.get("options", {}).items()),
        about=about,
    )


def _unknown(name: str, known: Iterable[str], what: str) -> Invalid:
    return Invalid(f"there is no {what} {printable(name)}.{nearest(name, known)} `irctl catalog` lists them all")


def _specs(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = _read(folder / "meta" / "argument_specs.yml")["argument_specs"]
    return found


def printable(name: str) -> str:
    return "'" + name.encode("unicode_escape").decode("ascii")[:80] + "'"


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean x?' where something known is near, else ''."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" Did you mean {near[0]}?" if near else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            read: dict[str, Any] = yaml.load(file, _Loader)
            return read
    except (OSError, yaml.YAMLError) as error:
        raise Invalid(f"content: {path} cannot be read: {' '.join(str(error).split())}") from None


def _option(role: str, variable: str, spec: Mapping[str, Any], about: Mapping[str, Any]) -> Option:
    described = spec.get("description", "")
    values = about.get("values", {}).get(variable, {})
    return Option(
        variable=variable,
        flag="--" + variable.removeprefix(f"{role}_").replace("_", "-") if variable.startswith(f"{role}_") else "",
        type=spec.get("type", "str"),
        description=described if isinstance(described, str) else " ".join(described),
        elements=spec.get("elements", "str"),
        default=spec.get("default"),
        choices=tuple(spec.get("choices", ())),
        required=spec.get("required", False),
        example=spec.get("example"),
        kind=values.get("kind", ""),
        minimum=values.get("minimum"),
        maximum=values.get("maximum"),
    )
