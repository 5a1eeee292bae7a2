"""Ansible's process is begun before its run is ready, and is the one that ansible-runner then has; or else another is begun."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from irctl.running.private_folder import PrivateFolder
from tests.integration.conftest import Collection

COUNTED = """
import sys
from irctl.running.playbook_process import PlaybookProcess

begun, begin = [], PlaybookProcess._begin

def counted(process, start):
    begin(process, start)
    begun.append(process._child)

PlaybookProcess._begin = counted
{before}
sys.argv[1:] = ["remediate", "plain", "--host", "here"]
from irctl.cli import app
try:
    app.main()
finally:
    print("ended:", *[process.exitstatus for process in begun], begun[-1].ptyproc.delayafterclose)
"""
OTHER_ENVIRONMENT = """
from irctl.running import playbook_process
runners = playbook_process._runner_environment
playbook_process._runner_environment = lambda private: runners(private) | {"RUNNER_OMIT_EVENTS": "True"}
"""
OTHER_CONFIG = """
import pathlib
from irctl.running import playbook_process
playbook_process.ANSIBLE_CONFIG = pathlib.Path({config!r})
"""


@pytest.fixture
def plain(collection: Collection, tmp_path: Path) -> Collection:
    collection.role("plain", change=f"ansible.builtin.file: path={tmp_path}/done state=touch")
    return collection


def carried_out(plain: Collection, before: str = "") -> list[str]:
    """How the processes of one run ended, and for how long pexpect waits after the last."""
    done = plain.irctl.python(textwrap.dedent(COUNTED.replace("{before}", before)))
    assert "changed" in done.out, done.err
    return next(line for line in done.out.splitlines() if line.startswith("ended:")).split()[1:]


def test_the_process_that_was_begun_early_runs_the_playbook_and_its_end_is_not_waited_for(plain: Collection) -> None:
    assert carried_out(plain) == ["0", "0.01"]


def test_where_ansible_runner_would_have_begun_it_otherwise_it_is_begun_anew(plain: Collection) -> None:
    assert carried_out(plain, OTHER_ENVIRONMENT) == ["None", "0", "0.01"], "the first was killed"


def test_where_another_configuration_was_planned_with_it_is_begun_anew(plain: Collection, tmp_path: Path) -> None:
    (tmp_path / "other.cfg").write_text("[defaults]\nforks = 3\n")
    assert carried_out(plain, OTHER_CONFIG.format(config=str(tmp_path / "other.cfg"))) == ["None", "0", "0.01"], (
        "the first was killed"
    )


def test_an_order_that_is_refused_leaves_no_process_and_no_folder(plain: Collection, tmp_path: Path) -> None:
    done = plain.irctl("remediate", "plain", "--host", "here", "--incident", "INC-2026-0001", TMPDIR=str(tmp_path))
    assert done.code != 0
    assert list(tmp_path.glob("irctl-*")) == []
    assert [
        one for one in psutil.process_iter(["environ"]) if str(tmp_path) in str((one.info["environ"] or {}).get("ANSIBLE_HOME"))
    ] == []


def test_it_ends_with_its_parent_although_it_was_told_nothing(tmp_path: Path, wait_until: Callable[..., Any]) -> None:
    run = f"20261128T011500Z-plain-{os.getpid() % 1000000:06}"
    parent = textwrap.dedent(f"""
        import time
        from irctl.running import playbook_process
        with playbook_process.begun({run!r}) as process:
            print(process._child.pid, flush=True)
            time.sleep(600)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert process.stdout
    child = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
    shutil.rmtree(PrivateFolder(run).sockets)  # which is not below TMPDIR, and nobody sweeps that one any more
