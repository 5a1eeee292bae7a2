"""Which signals irctl answers."""

from __future__ import annotations

import signal
import subprocess
import sys

from irctl.running import signals

INHERITED = """
import signal
from irctl.running import signals
signals.install()
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()) or "none", signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL)
"""


def test_a_hang_up_that_nohup_has_ignored_stays_so_and_an_interrupt_that_a_background_shell_has_does_not() -> None:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        assert signals.heeded() == [signal.SIGINT, signal.SIGTERM]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_who_starts_irctl_blocks_or_ignores_does_not_keep_children_from_ending_or_their_ends_from_being_heard() -> None:
    def block() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD))

    done = subprocess.run([sys.executable, "-c", INHERITED], preexec_fn=block, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["none", "True"]
