"""Which signals irctl answers."""

from __future__ import annotations

import signal

from irctl.running import signals


def test_a_hang_up_that_nohup_has_ignored_stays_so_and_an_interrupt_that_a_background_shell_has_does_not() -> None:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        assert signals.heeded() == [signal.SIGINT, signal.SIGTERM]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
