"""A remediation of one's own, by CONTRIBUTING alone: a few files by hand beside those of `irctl content new`, and it is drilled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Irctl, write_inventory

HAND_WRITTEN = Path(__file__).with_name("hand_written")
FILES = sorted(HAND_WRITTEN.rglob("*.in"))
HOST = {"ansible_connection": "local", "irctl_drills": "allowed"}


@pytest.fixture
def irctl(tmp_path: Path) -> Irctl:
    """The command, with a content folder of the remediation in force, and host `here` for its drills."""
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, {"here": HOST}))
    begun = irctl("content", "new", "close-permissions", "--dir", str(tmp_path / "acme"), "--collection", "acme.books")
    assert begun.code == 0, begun
    irctl.environment["IRCTL_CONTENT"] = str(tmp_path / "acme")
    for file in FILES:
        (tmp_path / "acme" / file.relative_to(HAND_WRITTEN)).with_suffix("").write_text(file.read_text())
    return irctl


def test_it_is_few_files_and_lines() -> None:
    assert len(FILES) <= 6
    assert sum(len(file.read_text().splitlines()) for file in FILES) <= 150


def test_it_keeps_every_rule_and_its_drill_ends_as_fixed(irctl: Irctl, tmp_path: Path) -> None:
    acme = str(tmp_path / "acme")
    assert irctl("content", "check", acme).code == 1, "what follows from the definition is not written yet"
    assert irctl("content", "build", acme).code == 0
    checked = irctl("content", "check", acme)
    assert (checked.code, checked.out) == (0, "acme.books: every rule is kept\n")
    drilled = irctl("drill", "run", "close-permissions", "--host", "here")
    assert (drilled.code, "close-permissions  here  fixed" in drilled.out) == (0, True), drilled
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_close_permissions.py"]
    tested = subprocess.run(words, cwd=acme, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout
