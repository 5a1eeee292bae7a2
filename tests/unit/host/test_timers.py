"""What a change of the crontab may lose: nothing, should it not be told what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.modules import timers

CRONTAB = """#!/bin/sh
cd {folder}
[ "$1" = -l ] || exec cat > table
[ -e why ] && cat why >&2 && exit 1
[ -e table ] && exec cat table
echo "no crontab for ana" >&2; exit 1
"""
DRILL = {"name": "irctl-drill", "about": "x", "words": ["/bin/true"], "starts": [], "environment": {}, "service": []}
THEIRS = "MAILTO=ana\n0 2 * * * /usr/local/bin/backup\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a crontab of the test's own keeps its table, and says `why` where it cannot tell what is in it."""
    program = tmp_path / "crontab"
    program.write_text(CRONTAB.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(timers, "SYSTEMD", str(tmp_path / "nosuch"))
    return tmp_path


def run(state: str) -> dict[str, Any]:
    drill = {**DRILL, "minute": "1", "hour": "3", "log": False}
    return timers.run({"state": state, "made_by": "a test", "timers": [drill]}, False)


@pytest.mark.parametrize("state", ["listed", "present", "absent"])
def test_a_crontab_that_cannot_be_read_is_not_taken_for_an_empty_one(folder: Path, state: str) -> None:
    (folder / "table").write_text(THEIRS)
    (folder / "why").write_text("crontab: can't open your crontab file: Input/output error\n")
    with pytest.raises(Failure, match="Input/output error"):
        run(state)
    assert (folder / "table").read_text() == THEIRS


def test_a_user_without_a_crontab_gets_one_and_one_with_it_keeps_the_rest(folder: Path) -> None:
    assert run("present")["there"] == ["irctl-drill"]
    assert "/bin/true" in (folder / "table").read_text()
    (folder / "table").write_text(THEIRS)
    assert run("present")["changed"]
    assert (folder / "table").read_text().startswith(THEIRS)
    assert run("absent")["changed"]
    assert (folder / "table").read_text() == THEIRS
