"""Time two commands in turns and compare their medians: what a busy machine does to one it does to the other."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent  # a link in a venv must not be resolved
IRCTL = str(BIN / "irctl")
KEPT = ("HOME", "LANG", "LC_ALL", "LOGNAME", "TMPDIR", "USER")


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: its name and what runs it once. `prepare` and `check` are not timed."""

    name: str
    run: Callable[[], None]
    prepare: Callable[[], None] = lambda: None
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Ratio:
    """What one benchmark found, in seconds."""

    name: str
    ours: str
    peer: str
    target: float
    our_seconds: tuple[float, ...]
    peer_seconds: tuple[float, ...]

    @property
    def our_median(self) -> float:
        return statistics.median(self.our_seconds)

    @property
    def peer_median(self) -> float:
        return statistics.median(self.peer_seconds)

    @property
    def ratio(self) -> float:
        return self.our_median / self.peer_median

    def document(self) -> dict[str, object]:
        found = {"name": self.name, "ours": self.ours, "peer": self.peer, "ratio": round(self.ratio, 3), "target": self.target}
        times = {"our_seconds": self.our_seconds, "peer_seconds": self.peer_seconds}
        return {**found, **{name: [round(second, 4) for second in seconds] for name, seconds in times.items()}}


def in_turns(name: str, ours: Side, peer: Side, *, target: float, pairs: int) -> Ratio:
    """Run both once to warm up, then in pairs, changing who goes first. Raises CalledProcessError or AssertionError."""
    seconds: dict[str, list[float]] = {ours.name: [], peer.name: []}
    for number in range(pairs + 1):
        for side in (ours, peer) if number % 2 else (peer, ours):
            took = _timed(side)
            if number:
                seconds[side.name].append(took)
    return Ratio(name, ours.name, peer.name, target, tuple(seconds[ours.name]), tuple(seconds[peer.name]))


def _timed(side: Side) -> float:
    side.prepare()
    begun = time.perf_counter()
    side.run()
    took = time.perf_counter() - begun
    side.check()
    return took


def command(*words: str | Path, path: Path = BIN, cwd: Path | None = None, **environment: str) -> Callable[[], None]:
    """What runs these words in a small environment, and raises CalledProcessError with their output where they fail."""
    return lambda: _run([str(word) for word in words], path, cwd, environment)


def _run(words: Sequence[str], path: Path, cwd: Path | None, more: Mapping[str, str]) -> None:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment = {**kept, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}", **more}
    done = subprocess.run(words, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, list(words), done.stdout[-2000:], done.stderr[-2000:])
