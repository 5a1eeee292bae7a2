"""The documentation does not lie: generated pages are current, and every console block does what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from irctl.catalog import catalog
from irctl.catalog.content import OURS
from irctl.cli.app import VERBS
from irctl.content import page as role_page
from irctl.incidents import incidents
from irctl.record import runs
from tools import cli_pages, docs

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@dataclass
class Shown:
    """One command of a console block: what the page says that it prints and how it ends."""

    command: str
    lines: list[str] = field(default_factory=list)
    code: int = 0


def shown(page: Path) -> Iterator[Shown]:
    for block in BLOCK.findall(page.read_text()):
        found: list[Shown] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Shown(line[2:]))
            elif ended := re.fullmatch(r"exit (\d)", line):
                found[-1].code = int(ended[1])
            elif line.strip():
                found[-1].lines.append(line)
        yield from found


def loosely(line: str) -> str:
    """The line without what differs from run to run: paths, ids, hashes, numbers, width of columns."""
    line = re.sub(r"(/[\w.~-]+)+", "PATH", runs.RUN_ID.sub("RUN", line))
    line = re.sub(r"\b[0-9a-f]{64}\b", "HASH", line)
    return " ".join(re.sub(r"\d+([.:T-]\d+)*Z?", "0", line).split())


@dataclass
class Shell:
    """Runs the commands of a page as its reader would, with a home and a lab of their own."""

    folder: Path

    def __call__(self, command: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "USER") if name in os.environ}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        settings = {"PATH": path, "IRCTL_HOME": str(self.folder / "home"), "XDG_CONFIG_HOME": str(self.folder)}
        return subprocess.run(
            ["bash", "-c", self._here(command)], env=kept | settings, cwd=self.folder, timeout=120,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def _here(self, command: str) -> str:
        """The command with the newest run and the newest incident that there are in the place of those of the page."""
        home = self.folder / "home"
        newest = next((folder.run for folder in runs.listed(home)), "none")
        return incidents.ID.sub(next(iter(incidents.listed(home)), "none"), runs.RUN_ID.sub(newest, command))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("reader"))
    assert shell("irctl lab up").returncode == 0
    yield shell
    shell("irctl lab down")


def test_every_generated_page_is_current():
    done = subprocess.run([sys.executable, "-m", "tools.docs", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run: make docs"


def test_every_generated_page_says_so_at_its_top():
    for path, _ in docs.pages():
        head = " ".join(path.read_text().splitlines()[:12]).lower()
        assert "generated" in head or "made by `make docs`" in head, path


def test_the_readme_names_every_remediation_and_diagnosis():
    readme = (ROOT / "README.md").read_text()
    names = [*catalog.names([OURS]), *catalog.names([OURS], diagnoses=True)]
    assert [name for name in names if not re.search(rf"^ +{name} ", readme, re.MULTILINE)] == []


def test_writing_the_pages_again_keeps_what_was_written_by_hand():
    page = ROOT / "roles" / "db_connections" / "README.md"
    by_hand = page.read_text().partition(role_page.BEGIN)[2].partition(role_page.END)[0]
    assert "leaks connections" in by_hand
    assert by_hand in dict(docs.pages())[OURS.root / page.relative_to(ROOT)]


def facts(name: str) -> list[str]:
    return [f"{key}: {value}" for key, value in role_page.facts(catalog.load(name, [OURS]))]


def test_what_is_to_know_of_a_remediation_is_what_its_own_meta_files_say():
    renew, sessions = facts("renew-certificate"), facts("db-connections")
    said = "Refuse to have more certificates of this name issued within seven days. `--max`: 4 by default, up to 50"
    assert f"blast radius: {said}" in renew
    assert "blast radius: Refuse when more sessions than this match. `--max`: 100 by default, up to 10000" in sessions
    assert not any("lab fault" in fact for fact in renew), "the lab has no certificate"
    assert any(fact.endswith("`irctl drill run renew-certificate --host HOST`") for fact in renew)
    assert "practise every: 30d; its fault: `irctl lab fault db-connections`" in sessions


@pytest.mark.parametrize("page", [page for page in PAGES if any(shown(page))], ids=lambda page: page.name)
def test_every_command_of_a_page_ends_as_shown_and_prints_what_is_shown(shell: Shell, page: Path):
    for one in shown(page):
        done = shell(one.command)
        assert done.returncode == one.code, f"$ {one.command}\n{done.stdout}"
        printed = iter([loosely(line) for line in done.stdout.splitlines()])
        missing = [line for line in one.lines if loosely(line) not in printed]
        assert not missing, f"$ {one.command}\n{done.stdout}"


LINKED = [
    *PAGES,
    *sorted((ROOT / "docs" / "cli").rglob("*.md")),
    *sorted((ROOT / "roles").glob("*/README.md")),
    ROOT / "benchmarks" / "README.md",
]


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page: Path):
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_stands_in_a_page_that_is_written_by_hand(verb: str):
    pages = [page.read_text() for page in PAGES if page.name not in ("cli.md", "catalogue.md")]
    assert any(f"irctl {verb}" in text for text in pages)


@pytest.mark.parametrize(
    ("words", "text"), [*cli_pages.helps()], ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_has_an_example_in_its_help(words: tuple[str, ...], text: str):
    assert f"Example: {'eval' if 'completion' in words else ' '.join(words)}" in text


def test_every_exit_code_is_explained():
    table = (ROOT / "docs" / "exit-codes.md").read_text()
    assert all(f"\n| {code} | " in table for code in range(9))
