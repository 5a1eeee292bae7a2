"""The pages about subjects, as they lie in the wheel: those of docs/, and of each remediation and diagnosis."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog import catalog
from irctl.catalog.content import Content

DOCS = Path(__file__).resolve().parents[1] / "docs"  # in a checkout a link to docs/
PAGES = (  # links between pages, and the commands that show the same
    (r"([a-z-]+)\.md", "irctl help {}"),
    (r"\.\./(?:roles/)?([a-z_]+)/README\.md", "irctl help {}"),
    (r"cli/([a-z-]+)\.md", "irctl {} --help"),
    (r"cli/remediations/([a-z-]+)\.md", "irctl remediate {} --help"),
    (r"cli/diagnoses/([a-z-]+)\.md", "irctl diagnose {} --help"),
)
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
    """A page as a terminal shows it: without the comments of its source, and with commands in the place of links to pages."""
    page = re.sub(r"<!--.*?-->\n?", "", path.read_text(), flags=re.DOTALL).strip()
    return re.sub(r"\[([^]\n]+)\]\(([^)\s]+)\)", _as_command, page)


def _as_command(link: re.Match[str]) -> str:
    """A link as a terminal can follow it: the command that shows its page; a link to elsewhere stays as it is. Pure."""
    label, target = link[1], link[2]
    for form, command in PAGES:
        if match := re.fullmatch(form, target):
            shown = command.format(match[1].removeprefix(catalog.DIAGNOSIS).replace("_", "-"))
            plain = label.removesuffix(".md").replace("`", "")
            return f"`{shown}`" if plain in shown else f"{label} (`{shown}`)"
    return link[0]
