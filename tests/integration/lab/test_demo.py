"""The demonstration that the README promises: the whole story, in less than a minute, and again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 60


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the demonstration prints. It must end well and in time."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "USER") if name in os.environ}
    begun = time.monotonic()
    done = subprocess.run(
        [ROOT / "tools" / "demo"], env={**kept, "PATH": path, "TMPDIR": str(tmp_path_factory.mktemp("demo"))},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=3 * SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert time.monotonic() - begun < SECONDS
    return done.stdout


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
    assert "evidence/lab/sessions-before.json" in scene(story, 7)
    assert re.search(r"-db-connections-\w{6} is as it was sealed at .*: 4 files match", scene(story, 7))


def test_the_story_tells_where_the_record_lies(story: str):
    assert re.search(r"The records stay in \S+/runs; the database is stopped and removed now.", story)
