"""Run the benchmarks and print a table of ratios. A missed target is shown, not an error: this measures, it does not judge."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks import (
    archive,
    empty_play,
    hundred_hosts,
    many_remediations,
    many_sessions,
    one_host,
    redis_prefix,
    remediation_help,
    verify,
)
from benchmarks import help as plain_help
from benchmarks.measure import Ratio

BENCHMARKS = {
    one.NAME: one.run
    for one in (
        plain_help,
        remediation_help,
        many_remediations,
        one_host,
        empty_play,
        many_sessions,
        hundred_hosts,
        verify,
        archive.Small,
        archive.Large,
        redis_prefix.Phases,
        redis_prefix.Run,
    )
}
LINE = "{:<17} {:>8} {:>8} {:>7} {:>8}  {:<6}  {}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios against named peers, in the same run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all where none is given")
    parser.add_argument("--pairs", type=int, default=5, help="repetitions of each side (default 5)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there too")
    given = parser.parse_args()
    if unknown := sorted(set(given.names) - set(BENCHMARKS)):
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    load = f"{os.getloadavg()[0]:.1f}"
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {load} at the start; medians, in seconds\n")
    print(LINE.format("benchmark", "ours", "peer", "ratio", "target", "", "what"), flush=True)
    found = [ratio for name in given.names or BENCHMARKS if (ratio := _measured(name, given.pairs))]
    if given.json:
        given.json.write_text(json.dumps({"load_at_start": load, "ratios": [one.document() for one in found]}, indent=1) + "\n")


def _measured(name: str, pairs: int) -> Ratio | None:
    try:
        ratio = BENCHMARKS[name](pairs)
    except subprocess.CalledProcessError as error:
        print(f"{name:<17} not measured: {error}: {(error.stderr or error.stdout or '').strip()[-600:]}", flush=True)
        return None
    except (AssertionError, OSError) as error:
        print(f"{name:<17} not measured: {error}", flush=True)
        return None
    times = (f"{ratio.our_median:.3f}", f"{ratio.peer_median:.3f}", f"{ratio.ratio:.2f}", f"<= {ratio.target}")
    said = "met" if ratio.ratio <= ratio.target else "MISSED"
    print(LINE.format(name, *times, said, f"{ratio.ours} / {ratio.peer}"), flush=True)
    return ratio


if __name__ == "__main__":
    sys.exit(main())
