"""What irctl keeps is its owner's only, whatever the umask is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from irctl.record import documents
from tests.conftest import Irctl


def open_to_others(home: Path) -> list[str]:
    """What others may read, change or enter, and how. Sockets and links have no modes that matter."""
    found = {path: path.lstat().st_mode for path in [home, *home.rglob("*")] if not path.is_symlink()}
    return sorted(f"{path.relative_to(home)} {mode & 0o777:o}" for path, mode in found.items() if mode & 0o077)


@pytest.fixture(autouse=True)
def _usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_all_below_a_home_is_its_owner_s_only(tmp_path: Path) -> None:
    irctl = Irctl(tmp_path / "above" / "home", tmp_path / "above" / "home" / "lab" / "inventory")
    (tmp_path / "above").mkdir()
    try:
        assert irctl("lab", "up").code == 0
        assert open_to_others(irctl.home) == []
        assert irctl("incident", "open", "--title", "Slow", "--severity", "P1").code == 0
        assert irctl.mend("--check").code == 0
        documents.put(irctl.home / "approvals" / "abc" / "request.json", {"a": 1})
        assert (irctl.home / "approvals").is_dir()
        assert open_to_others(irctl.home) == []
    finally:
        irctl("lab", "down")
    assert irctl("lab", "status").code == 1


def test_a_home_that_a_run_makes_is_its_owner_s_only(irctl: Irctl) -> None:
    assert irctl.mend("--check").code == 0
    assert open_to_others(irctl.home) == []
