"""What earlier runs of the same role have kept of a host, on the controller: the only memory of what a run took away for good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

MOST_RUNS = 100


def kept(folder: str, name: str) -> Iterator[tuple[Path, Any]]:
    """Where a host's evidence lies and what this JSON file in it holds, of the runs beside this one, the newest first.

    What cannot be read is passed by.

    `folder` is the host's in this run: HOME/runs/RUN/evidence/HOST, or EVIDENCE/MOMENT/HOST of plain Ansible.
    """
    host, run = Path(folder), Path(folder).parent
    within = Path(host.name)
    if run.name == "evidence":
        run, within = run.parent, Path(run.name) / within
    with suppress(OSError):
        others = sorted((other for other in run.parent.iterdir() if other != run), key=lambda other: other.name, reverse=True)
        for other in others[:MOST_RUNS]:
            with suppress(OSError, ValueError, RecursionError):
                yield other / within, json.loads((other / within / name).read_bytes())
