"""A log that is written at full speed and rotated, until its time is over or somebody ends it. Runs as a process of its own.

Reads its plan on standard input: {"folder": ..., "seconds": ..., "largest": ...}. Holds a lock on the folder while it lives, and
ends when the file `writing` in it is gone. Nothing is imported from the collection: on a host its text alone is there.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time

LOG, MARK = "app.log", "writing"
ROTATED = 3  # files
BATCH = 200  # lines


def main() -> None:
    plan = json.load(sys.stdin)
    os.chdir(plan["folder"])
    lock = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    until, number = time.monotonic() + plan["seconds"], 0
    sys.stdout.write("ready\n")
    sys.stdout.close()
    while time.monotonic() < until and os.path.exists(MARK):
        number = _fill(number, plan["largest"], until)
        _rotate()


def _fill(number: int, largest: int, until: float) -> int:
    """Write to the log until it is full or the writer shall end; return the number of the last line."""
    with open(LOG, "a", encoding="ascii") as log:
        while log.tell() < largest and time.monotonic() < until and os.path.exists(MARK):
            log.write("".join(f"{time.time():.6f} request {number + one} was served\n" for one in range(BATCH)))
            log.flush()
            number += BATCH
    return number


def _rotate() -> None:
    for number in range(ROTATED - 1, 0, -1):
        if os.path.exists(f"{LOG}.{number}"):
            os.replace(f"{LOG}.{number}", f"{LOG}.{number + 1}")
    os.replace(LOG, f"{LOG}.1")


if __name__ == "__main__":
    main()
