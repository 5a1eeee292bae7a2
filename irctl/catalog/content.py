"""Where the collections with remediations lie: ours, in a wheel and a checkout at the same place, and the user's own folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from irctl.errors import Invalid
from irctl.trusted_paths import require_not_everybodys

ANSIBLE_CONFIG = Path(__file__).resolve().parents[1] / "running" / "ansible.cfg"
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
        yield Content(folder.resolve(), _name(folder))


def _name(folder: Path) -> str:
    import yaml

    try:
        about = yaml.safe_load((folder / "galaxy.yml").read_text())
        return f"{about['namespace']}.{about['name']}"
    except (OSError, yaml.YAMLError, TypeError, KeyError):
        raise Invalid(f"content: {folder} is not a collection: it needs a galaxy.yml with namespace and name") from None
