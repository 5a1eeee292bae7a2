"""The pages about subjects, as they lie in the wheel: those of docs/, and of each remediation and diagnosis."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog import catalog
from irctl.catalog.content import Content

DOCS = Path(__file__).resolve().parents[1] / "docs"  # in a checkout a link to docs/
OF_DEVELOPERS = ("test-hosts",)


def subjects() -> dict[str, Path]:
    """The pages of docs/ by their names, sorted."""
    return {path.stem: path for path in sorted(DOCS.glob("*.md")) if path.stem not in OF_DEVELOPERS}


def roles(contents: Iterable[Content]) -> dict[str, Path]:
    """The pages of remediations and diagnoses by the names that a user types."""
    found: dict[str, Path] = {}
    listed = list(contents)
    for prefix in ("", catalog.DIAGNOSIS):
        for name, content in catalog.names(listed, diagnoses=bool(prefix)).items():
            path = content.root / "roles" / (prefix + name.replace("-", "_")) / "README.md"
            if paths.is_file(path):
                found.setdefault(name, path)
    return found


def title(path: Path) -> str:
    """The first heading of a page; '' where it has none."""
    match = re.search(r"^# (.+)$", path.read_text(), re.MULTILINE)
    return match[1].strip() if match else ""


def text(path: Path) -> str:
    """A page as a terminal shows it: without the comments of its source."""
    return re.sub(r"<!--.*?-->\n?", "", path.read_text(), flags=re.DOTALL).strip()
