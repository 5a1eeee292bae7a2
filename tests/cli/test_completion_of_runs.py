"""What is completed from a home: runs, those that can be undone, incidents, and the files of lists."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pexpect
import pytest

from irctl.cli import completions
from tests.cli.test_completion import completed
from tests.conftest import Irctl

CHANGED, CHECKED, KEPT_NOTHING, UNDONE, UNDOING, FAILED = (
    f"20261121T02000{number}Z-block-ip{name}-00000{number}" for number, name in enumerate(("", "", "", "", "-revert", "-revert"))
)
NEWEST = "20261121T020009Z-block-ip-000009"


@pytest.fixture
def home(irctl: Irctl) -> Path:
    """Runs of every kind, as far as completion looks at them."""
    make(irctl.home, CHANGED, captured=True)
    make(irctl.home, CHECKED, captured=True, check=True)
    make(irctl.home, KEPT_NOTHING)
    make(irctl.home, UNDONE, captured=True)
    make(irctl.home, UNDOING, captured=True, reverts=UNDONE, outcome="changed")
    make(irctl.home, FAILED, captured=True, reverts=NEWEST, outcome="failed")
    return irctl.home


def make(home: Path, run: str, *, captured: bool = False, check: bool = False, reverts: str = "", outcome: str = "changed") -> None:
    evidence = home / "runs" / run / "evidence" / "h1"
    evidence.mkdir(parents=True)
    (evidence.parent.parent / "run.json").write_text(json.dumps({"check": check, "reverts": reverts}))
    (evidence.parent.parent / "result.json").write_text(json.dumps({"outcome": outcome}))
    if captured:
        (evidence / "revert.json").write_text("{}")


def test_only_runs_that_can_be_undone_are_offered_to_revert(irctl: Irctl, home: Path) -> None:
    assert completed(irctl, "irctl revert 2") == [CHANGED]
    make(home, NEWEST, captured=True)
    assert completed(irctl, "irctl revert 2") == [NEWEST, CHANGED], "what a failed revert was of"
    (home / "runs" / NEWEST / "run.json").write_text("{")
    assert completed(irctl, "irctl revert 2") == [CHANGED], "a damaged record is passed over"


def test_runs_and_incidents_are_offered_to_verify_and_show(irctl: Irctl, home: Path) -> None:
    opened = irctl("incident", "open", "--title", "x", "--severity", "P1", "--json").json["incident"]
    assert CHANGED in completed(irctl, "irctl evidence verify 2026")
    assert CHANGED in completed(irctl, "irctl runs 2026")
    assert completed(irctl, "irctl evidence verify INC") == [opened]
    for words in ("irctl remediate block-ip --incident INC", "irctl revert x --incident INC", "irctl incident show INC"):
        assert completed(irctl, words) == [opened], words


def test_files_are_offered_after_an_at_sign(irctl: Irctl, tmp_path: Path) -> None:
    (tmp_path / "block.txt").write_text("")
    (tmp_path / "blocks").mkdir()
    typed = f"@{tmp_path}/bloc"
    assert completed(irctl, f"irctl remediate block-ip --address {typed}") == [f"@{tmp_path}/block.txt", f"@{tmp_path}/blocks/"]
    assert completed(irctl, "irctl remediate block-ip --address 198") == []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("irctl completion ", ["bash", "zsh", "fish"]),
        ("irctl lab fault db-c", ["db-connections"]),
        ("irctl drill schedule block", ["block-ip"]),
        ("irctl help app", ["approvals"]),
    ],
)
def test_words_are_offered_where_only_some_are_known(irctl: Irctl, words: str, offered: list[str]) -> None:
    assert completed(irctl, words) == offered


def test_however_many_runs_there_are_only_the_newest_are_looked_into(irctl: Irctl, home: Path) -> None:
    """The time that a shell waits is that of so many small files, and of one listing."""
    for number in range(completions.NEWEST + 50):
        make(home, f"20270101T{number:06}Z-block-ip-{number:06x}", captured=True)
    assert len(completed(irctl, "irctl revert 2")) == completions.NEWEST


def test_bash_at_a_terminal_completes_a_file_after_the_at_sign(irctl: Irctl, tmp_path: Path) -> None:
    """Bash would break the word there, so the script tells it not to."""
    (tmp_path / "block.txt").write_text("")
    (tmp_path / "completion").write_text(irctl("completion", "bash").out)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    shell = pexpect.spawn(
        "bash", ["--norc", "-i"], env=irctl.surroundings(PATH=path, TERM="dumb", PS1="> "), encoding="utf-8", timeout=60
    )
    try:
        shell.sendline(f". {tmp_path}/completion")
        shell.send(f"irctl remediate block-ip --address @{tmp_path}/bloc\t")
        shell.expect_exact("block.txt")
    finally:
        shell.close(force=True)
