"""Where the collections with remediations lie: ours, in a wheel and a checkout at the same place, and the user's own folders."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from irctl.errors import Invalid
from irctl.trusted_paths import require_not_everybodys

ANSIBLE_CONFIG = Path(__file__).resolve().parents[1] / "running" / "ansible.cfg"
_WORD = re.compile(r"[a-z][a-z0-9_]*")
COLLECTIONS = Path(__file__).resolve().parents[2] / "ansible_collections"


@dataclass(frozen=True)
class Content:
    """One collection: its root folder and its full name, such as irctl.runbooks."""

    root: Path
    name: str


OURS = Content(COLLECTIONS / "irctl" / "runbooks", "irctl.runbooks")


def contents(folders: Iterable[Path]) -> Iterator[Content]:
    """Ours, then each of the user's folders, which must be laid out like ours. Raises Invalid."""
    yield OURS
    for folder in folders:
        require_not_everybodys("content", folder / "galaxy.yml")
        yield content_of(folder)


def content_of(folder: Path) -> Content:
    """The collection that lies in a folder. Raises Invalid where none does."""
    about = galaxy_of(folder)
    if folder.resolve() == OURS.root.resolve():
        return OURS
    return Content(folder.resolve(), f"{about['namespace']}.{about['name']}")


def galaxy_of(folder: Path) -> dict[str, Any]:
    """What a collection says of itself in its galaxy.yml. Raises Invalid where that has no namespace and name."""
    import yaml

    try:
        about = yaml.safe_load((folder / "galaxy.yml").read_text())
        if all(_WORD.fullmatch(about[key]) for key in ("namespace", "name")):
            return dict(about)
    except (OSError, yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, RecursionError):
        pass
    raise Invalid(f"content: {folder} is not a collection: it needs a galaxy.yml with namespace and name") from None


def importable(content: Content) -> None:
    """Let Python import from a collection where it lies, as Ansible does, and forget what it had from another one of its name."""
    if content == OURS:
        return
    namespace = content.name.partition(".")[0]
    full = f"ansible_collections.{content.name}"
    for name in [name for name in sys.modules if name.startswith(f"{full}.")]:
        del sys.modules[name]
    sys.modules.setdefault(f"ansible_collections.{namespace}", _package(f"ansible_collections.{namespace}", []))
    sys.modules[full] = _package(full, [str(content.root)])


def _package(name: str, path: list[str]) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = path
    return package
