"""The help of one remediation, which reads its meta files, against irctl --help, which reads none."""

from __future__ import annotations

from benchmarks.measure import IRCTL, Ratio, Side, command, in_turns

NAME = "remediation-help"


def run(pairs: int) -> Ratio:
    ours = Side("irctl remediate db-connections --help", command(IRCTL, "remediate", "db-connections", "--help"))
    peer = Side("irctl --help", command(IRCTL, "--help"))
    return in_turns(NAME, ours, peer, target=1.2, pairs=pairs * 3)
