"""What a client of a table feels while something is done to it: a small statement again and again, and how long each took."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import connect

BASELINE = 100  # probes before anything is done
PAUSE = 0.01  # seconds between two


class Probe:
    """Asks in a session of its own from the entry on until the exit. Where there can be none nothing is measured."""

    def __init__(self, params: Mapping[str, Any], statement: str) -> None:
        self._params, self._statement = params, statement
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._baseline_taken = threading.Event()
        self.before: list[float] = []
        self.during: list[float] = []

    def __enter__(self) -> Probe:
        self._thread.start()
        self._baseline_taken.wait(30)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(30)

    def in_words(self) -> str:
        """The 99th percentiles, before and during, in milliseconds."""
        if not self.before or not self.during:
            return "what a client felt was not measured"
        before, during = percentile(self.before, 99) * 1000, percentile(self.during, 99) * 1000
        return f"a client's p99 {during:.1f} ms, before {before:.1f} ms"

    def _ask(self) -> None:
        try:
            with connect(self._params) as server:
                while server.lasts and not self._over.is_set():
                    begun = time.monotonic()
                    server.ask(f"{self._statement} WHERE $1::text IS NOT NULL", {})
                    (self.during if self._baseline_taken.is_set() else self.before).append(time.monotonic() - begun)
                    if len(self.before) >= BASELINE:
                        self._baseline_taken.set()
                        time.sleep(PAUSE)
        except Failure:
            return
        finally:
            self._baseline_taken.set()


def percentile(numbers: Sequence[float], percent: int) -> float:
    """The smallest of the numbers that so many per cent of them do not exceed. Pure."""
    return sorted(numbers)[max(0, -(-len(numbers) * percent // 100) - 1)]
