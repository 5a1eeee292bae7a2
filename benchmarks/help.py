"""irctl --help, against what ansible-playbook takes to say its version. Both from the same environment."""

from __future__ import annotations

from benchmarks.measure import BIN, IRCTL, Ratio, Side, command, in_turns

NAME = "help"


def run(pairs: int) -> Ratio:
    ours = Side("irctl --help", command(IRCTL, "--help"))
    peer = Side("ansible-playbook --version", command(BIN / "ansible-playbook", "--version"))
    return in_turns(NAME, ours, peer, target=0.15, pairs=pairs * 3)
