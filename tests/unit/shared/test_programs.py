"""Programs of the host, and why one did not end well."""

from __future__ import annotations

import select
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import programs
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure


def test_a_program_that_is_not_there_or_fails_or_takes_too_long_is_one_sentence() -> None:
    with pytest.raises(Failure, match=r"^The host has no program nosuchprogram\.$"):
        programs.output(["nosuchprogram"])
    with pytest.raises(Failure, match=r"^sleep did not end in 0 s\.$"):
        programs.output(["sleep", "5"], seconds=0.1)
    with pytest.raises(Failure, match=r"^sh says: nginx: \[emerg\] no\?$"):
        programs.output(["sh", "-c", "echo first >&2; printf 'nginx: [emerg] no\\033\\n' >&2; exit 1"])


def test_another_run_on_the_same_host_waits_until_the_first_is_done(tmp_path: Path) -> None:
    """Two controllers, or two homes, know nothing of each other: the file on the host is what they share."""
    place = str(tmp_path / "held.lock")
    code = (
        "import sys; from ansible_collections.irctl.runbooks.plugins.module_utils import programs\n"
        f"with programs.alone({place!r}): print('in', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code]
    first, second = (subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2))
    with first, second:
        ready = select.select([first.stdout, second.stdout], [], [], 60)[0]
        [holder] = [process for process in (first, second) if process.stdout in ready]
        waiting = second if holder is first else first
        assert holder.stdin
        assert holder.stdout
        assert waiting.stdin
        assert waiting.stdout
        assert holder.stdout.readline() == "in\n"
        assert select.select([waiting.stdout], [], [], 0.3)[0] == []
        holder.stdin.close()
        assert waiting.stdout.readline() == "in\n"
        waiting.stdin.close()
