"""Colour: on a terminal that has it, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from tests.conftest import Irctl


def on_a_terminal(irctl: Irctl, *words: str, **environment: str) -> str:
    """What a terminal is sent by the command."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    settings = {"IRCTL_HOME": str(irctl.home), "IRCTL_INVENTORY": str(irctl.inventory), **irctl.environment, **environment}
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "irctl", *words], env=kept | settings, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    sent = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        sent += part
    os.close(ours)
    done.wait()
    return sent.decode()


@pytest.mark.parametrize("words", [["doctor"], ["remediate", "db-connections", "--host", "db1", "--check"]])
def test_a_terminal_that_has_no_colour_is_sent_none(irctl: Irctl, words: list[str]) -> None:
    assert "\x1b[3" in on_a_terminal(irctl, *words, TERM="xterm-256color")
    assert "\x1b[3" not in on_a_terminal(irctl, *words, TERM="xterm-256color", NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal(irctl, *words, TERM="dumb")


def test_a_pipe_is_sent_none(irctl: Irctl) -> None:
    assert "\x1b" not in (shown := irctl("doctor", TERM="xterm-256color")).out + shown.err
