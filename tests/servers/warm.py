"""The irctl command without the start of a Python: each call is a process of its own, forked from one that has imported irctl
and done nothing else. For tests that call the command by the hundred; what hangs on how a process starts has to be started.
"""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from irctl.cli.app import VERBS
from tests import timings

PRELOADED = ["tests.servers.warm", *(f"irctl.cli.commands.{verb}" for verb in VERBS), "irctl.cli.render", "irctl.cli.doctor"]
OUT, ERR, COST = "stdout", "stderr", "processor"


def call(words: Sequence[str], environment: Mapping[str, str], folder: Path, place: Path, seconds: float) -> tuple[int, str, str]:
    """Its exit code and what it printed, by way of files below `place`, an empty folder. Raises TimeoutError."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_be_irctl, args=(list(words), dict(environment), str(folder), str(place)))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"irctl {' '.join(words)} did not end within {seconds:.0f} s")
    timings.add(float((place / COST).read_text()))
    return process.exitcode, (place / OUT).read_text(), (place / ERR).read_text()


def _be_irctl(words: list[str], environment: dict[str, str], folder: str, place: str) -> NoReturn:
    files = [os.open(os.devnull, os.O_RDONLY), *(os.open(f"{place}/{name}", os.O_RDWR | os.O_CREAT) for name in (OUT, ERR))]
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # As Python makes them where the language is C.UTF-8.
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "surrogateescape")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", "surrogateescape")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace", line_buffering=True
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["irctl", *words]
    before = timings.processor()
    try:
        importlib.import_module("irctl.__main__").main()
    finally:
        Path(place, COST).write_text(str(timings.processor() - before))
