"""Where a run cannot be carried out to its end, for want of what its process was given, it is refused before it begins."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Done, needs_root
from tests.integration.conftest import Collection

RUN = ("remediate", "mark", "--host", "here", "--json")


@pytest.fixture
def mark(collection: Collection, tmp_path: Path) -> Collection:
    """A remediation that leaves a mark."""
    collection.role("mark", change=f"ansible.builtin.file: {{path: {tmp_path}/mark, state: touch}}")
    return collection


def run(mark: Collection, prepare: Callable[[], object] | None = None, **environment: str) -> Done:
    """The run in a process that is prepared so."""
    done = subprocess.run(
        [sys.executable, "-m", "irctl", *RUN],
        env=mark.irctl.surroundings(**environment),
        cwd=mark.irctl.home.parent,
        preexec_fn=prepare,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def limit(number: int, soft: int, hard: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(number, (soft, hard))


def without_folder() -> None:
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir("../gone")


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (limit(resource.RLIMIT_NOFILE, 64, 64), "only 64 open files are allowed here and a run needs 256 (ulimit -n)"),
        (limit(resource.RLIMIT_FSIZE, 1 << 20, 1 << 20), "only 1048576 bytes in a file are allowed here"),
        (without_folder, "the working folder cannot be used (No such file or directory)"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_done(
    mark: Collection, tmp_path: Path, prepare: Callable[[], None], why: str
) -> None:
    done = run(mark, prepare)
    assert (done.code, why in done.err, "Nothing was run" in done.err) == (2, True, True), done
    assert not (tmp_path / "mark").exists()


def test_what_can_be_put_right_is_and_a_childs_end_is_heard_of(mark: Collection, tmp_path: Path) -> None:
    def prepare() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # which is inherited, and would make every child a success
        limit(resource.RLIMIT_NOFILE, 16, 4096)()

    done = run(mark, prepare)
    assert (done.code, done.json["outcome"]) == (0, "changed"), done
    assert (tmp_path / "mark").exists()


def test_a_home_whose_folder_leads_nowhere_is_said_and_no_run_is_left_behind(mark: Collection, tmp_path: Path) -> None:
    mark.irctl.home.mkdir(mode=0o700)
    (mark.irctl.home / "open").symlink_to(tmp_path / "nowhere")
    done = run(mark)
    assert (done.code, "open/" in done.err, "cannot be written: File exists" in done.err) == (8, True, True), done
    assert not (tmp_path / "mark").exists()
    (mark.irctl.home / "open").unlink()
    listed = mark.irctl("runs", "--json")
    assert (listed.json["runs"], listed.err) == ([], "")


@pytest.mark.parametrize("name", ["journal.jsonl", "locks", "runs", "open", "leases"])
def test_a_home_in_which_something_else_has_a_name_of_ours_is_said(mark: Collection, tmp_path: Path, name: str) -> None:
    mark.irctl.home.mkdir(mode=0o700)
    (mark.irctl.home / name).mkdir() if name == "journal.jsonl" else (mark.irctl.home / name).touch()
    done = run(mark)
    assert (done.code, name in done.err, "a fault in irctl" in done.err) == (8, True, False), done
    assert not (tmp_path / "mark").exists()


@needs_root
def test_a_home_that_is_read_only_is_said(mark: Collection, tmp_path: Path) -> None:
    home = tmp_path / "read-only"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,mode=0700", "tmpfs", home], check=True)
    try:
        done = run(mark, IRCTL_HOME=str(home))
    finally:
        subprocess.run(["umount", home], check=True)
    assert (done.code, "cannot be written: Read-only file system" in done.err) == (8, True), done
    assert not (tmp_path / "mark").exists()


def test_a_run_that_irctl_cannot_follow_is_indeterminate_and_sealed(mark: Collection, tmp_path: Path) -> None:
    done = mark.irctl.python(f"""
from irctl.cli import app
from irctl.running.results import Account

see = Account.see

def lose_track(self, event):
    if event["event"] == "playbook_on_task_start" and "Change |" in event["event_data"]["task"]:
        raise OSError(24, "Too many open files")
    see(self, event)

Account.see = lose_track
app.main({list(RUN)!r})
""")
    assert (done.code, done.json["outcome"]) == (7, "indeterminate"), done
    assert "irctl could not follow it: RuntimeError: [Errno 24] Too many open files" in done.host("here")["reason"]
    assert json.loads((Path(done.json["folder"]) / "result.json").read_text())["outcome"] == "indeterminate"
    assert mark.irctl("evidence", "verify", done.json["run"]).code == 0
