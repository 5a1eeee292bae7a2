"""Checking a sealed record of 10,000 files and 1 GB, against sha256sum over the same files. Both read them from memory."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from benchmarks.measure import IRCTL, Ratio, Side, command, in_turns
from irctl.record import seal

NAME = "verify"
RUN = "20261121T022311Z-db-connections-7f3a01"
FILES, BYTES = 10_000, 100_000


def run(pairs: int) -> Ratio:
    with tempfile.TemporaryDirectory(prefix="irctl-bench-") as place:
        folder = Path(place) / RUN
        names = _fill(folder)
        seal.seal(folder, RUN)
        ours = Side("irctl evidence verify, 10,000 files", command(IRCTL, "evidence", "verify", folder, "--home", place))
        peer = Side("sha256sum, the same files", command("sha256sum", "--", *names, cwd=folder))
        return in_turns(NAME, ours, peer, target=1.3, pairs=pairs)


def _fill(folder: Path) -> list[str]:
    """A hundred folders of a hundred files each, no two alike."""
    chance = random.Random(1)
    names = [f"{number // 100:02}/{number % 100:02}" for number in range(FILES)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(chance.randbytes(BYTES))
    return names
