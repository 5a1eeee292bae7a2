"""The two commands that the README begins with, as a newcomer gives them: in a fresh checkout, with an empty home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from irctl.lab.postgres import Postgres
from tests.conftest import ROOT, needs_root

SECONDS = 60  # for the story alone, once everything is installed
PATIENCE = 600.0  # for one command; installing may have to download
LAB = "tests/integration/lab/test_lab.py::test_the_lab_goes_up_and_down_and_says_so"
ANOTHER: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []}


@dataclass(frozen=True)
class Checkout:
    """A checkout that only its owner can reach, and what its owner runs in it."""

    folder: Path
    owner: dict[str, Any]  # for subprocess; empty for who runs the tests

    def __call__(self, *words: str) -> str:
        """Run a command with nothing of this process's surroundings; return what it prints. It must end well."""
        ours = str(Path(sys.executable).parent)
        path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != ours)
        reach = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.lower().endswith("_proxy")}
        settings = {"PATH": path, "HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp"), "PIP_COMPILE": "0"}
        done = subprocess.run(
            words, env=reach | settings, cwd=self.folder / "irctl", umask=0o077, timeout=PATIENCE, **self.owner,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a copy of what git has, or would have, of this checkout. It is not pytest's own, which root alone may enter."""
    folder = Path(tempfile.mkdtemp(prefix="irctl-fresh-", dir="/var/tmp"))
    try:
        words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(os.path.lexists, (ROOT / name for name in names.split("\0") if name)):
            path = folder / "irctl" / name.relative_to(ROOT)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy2(name, path, follow_symlinks=False)
        (folder / "irctl").chmod(0o700)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["a normal user", pytest.param("root", marks=needs_root)])
def checkout(request: pytest.FixtureRequest, folder: Path) -> Checkout:
    """The folder in the hands of such a user. Root gets what the normal user has installed, because installing takes longest."""
    for name in ("home", "tmp"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(mode=0o700)
    owner = {"root": {}, "a normal user": ANOTHER if os.geteuid() == 0 else {}}[request.param]
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{owner.get('user', 'root')}:", folder], check=True)
    return Checkout(folder, owner)


@pytest.fixture(scope="module")
def story(checkout: Checkout) -> str:
    """What the demonstration prints. It must end well and in time."""
    checkout("make", ".venv/lab.installed")
    begun = time.monotonic()
    told = checkout("make", "demo")
    assert time.monotonic() - begun < SECONDS
    return told


def scene(story: str, number: int) -> str:
    """One numbered part of the story."""
    return story.partition(f"\n{number}. ")[2].partition(f"\n{number + 1}. ")[0]


def test_the_diagnosis_names_the_remediation(story: str):
    assert "next: irctl remediate db-connections --host lab --check" in scene(story, 3)


def test_the_dry_run_says_what_would_be_ended(story: str):
    assert re.search(r"lab  would change  12 sessions would be ended, 17 of 100 in use", scene(story, 4))


def test_the_remediation_ends_the_idle_sessions_and_proves_it(story: str):
    assert re.search(r"lab  changed  12 sessions ended, 5 of 100 in use", scene(story, 5))
    assert re.search(r"Verify .* none left", scene(story, 5))


def test_it_says_what_was_spared_and_why(story: str):
    assert "spared: 1 protected, 1 listening, 1 holding an advisory lock, 2 idle in transaction" in scene(story, 5)


def test_the_second_run_changes_nothing(story: str):
    assert re.search(r"lab  unchanged  nothing to end, 5 of 100 in use", scene(story, 6))


def test_the_record_is_sealed_and_verifies(story: str):
    for name in ("affected.jsonl", "sessions-before.json"):
        assert f"evidence/lab/{name}" in scene(story, 7)
    assert re.search(r"-db-connections-\w{6} is as it was sealed at .*: 5 files match", scene(story, 7))


def test_the_story_tells_where_the_record_lies_and_nothing_else_is_left(story: str, checkout: Checkout):
    kept = re.search(r"The records stay in (\S+)/runs; the database is stopped and removed now.", story)
    assert kept
    home = Path(kept[1])
    assert list((checkout.folder / "tmp").iterdir()) == [home]
    assert not (home / "lab").exists()
    assert not Postgres(home / "lab" / "postgres").base.exists()


def test_the_story_ends_with_how_to_go_on_and_that_can_be_done(story: str, checkout: Checkout):
    end = story.partition("How to go on: irctl is .venv/bin/irctl here; to have it everywhere, pipx install '.[lab]'\n")[2]
    told = [line.partition("#")[0].split() for line in end.splitlines()]
    assert [words[1] for words in told] == ["catalog", "lab", "diagnose", "init"]
    try:
        for words in told[:3]:  # the fourth names a host of one's own
            checkout(*words)
        if checkout.owner:  # root's stands in test_lab_drills.py
            checkout(".venv/bin/irctl", "drill", "run", "capture-evidence", "--host", "lab")
    finally:
        checkout(".venv/bin/irctl", "lab", "down")


def test_make_test_installs_what_it_needs_and_its_lab_goes_up_and_down(checkout: Checkout):
    assert "1 passed" in checkout("make", "test", "CHECKS=", f"TESTS={LAB}")


def test_a_demonstration_that_fails_before_there_is_a_record_leaves_nothing(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "irctl"
    program.write_text("#!/bin/sh\nmkdir -p $IRCTL_HOME/locks\nexit 2\n")
    program.chmod(0o700)
    (tmp_path / "tmp").mkdir()
    env = {"PATH": f"{program.parent}:{os.environ['PATH']}", "TMPDIR": str(tmp_path / "tmp")}
    assert subprocess.run([ROOT / "tools" / "demo"], env=env, stdout=subprocess.DEVNULL).returncode == 2
    assert list((tmp_path / "tmp").iterdir()) == []
