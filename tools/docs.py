"""Write the generated pages from specs, metadata and help: `python -m tools.docs`; with --check only name those that are stale."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from irctl.catalog import catalog
from irctl.catalog.content import OURS
from irctl.content import generated, page
from tools import catalogue, cli_pages, man_pages, verify_script

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with --check compare them. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with the names of stale pages")
    check = parser.parse_args(arguments).check
    texts = dict(pages())
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    there = [*(ROOT / "docs" / "cli").rglob("*.md"), *(ROOT / "man").glob("*")]
    removed = [path for path in there if path not in texts]
    unwritten = [path for path, text in texts.items() if page.UNWRITTEN in text]
    if not check:
        _write({path: texts[path] for path in stale}, removed)
    for path in stale:
        print(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}")
    for path in removed:
        print(f"{'stale' if check else 'removed'}: {path.relative_to(ROOT)}: nothing generates it")
    for path in unwritten:
        print(f"unwritten: {path.relative_to(ROOT)} lacks its 'When not to use this'")
    return int(bool(unwritten or (check and (stale or removed))))


def _write(texts: dict[Path, str], removed: Sequence[Path]) -> None:
    generated.write(texts)
    for path in removed:
        path.unlink()


def pages() -> Iterator[tuple[Path, str]]:
    """Every generated page and what must stand in it."""
    remediations = [catalog.load(name, [OURS]) for name in catalog.names([OURS])]
    diagnoses = [catalog.load(name, [OURS], diagnosis=True) for name in catalog.names([OURS], diagnoses=True)]
    yield from generated.files(OURS)
    yield ROOT / "docs" / "catalogue.md", catalogue.catalogue(remediations, diagnoses)
    for name, text in cli_pages.pages():
        yield ROOT / "docs" / name, text
    for name, text in man_pages.pages():
        yield ROOT / "man" / name, text
    yield verify_script.TARGET, verify_script.joined()


if __name__ == "__main__":
    sys.exit(main())
