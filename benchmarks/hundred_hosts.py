"""The full safe cycle over a hundred hosts, against one task that only ends; both with the same number of forks."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import peer
from benchmarks.crowd import crowd
from benchmarks.measure import Ratio, Side, in_turns

NAME = "hundred-hosts"
HOSTS = [f"db{number:03}" for number in range(100)]
SESSIONS = 3  # for each host


def run(pairs: int) -> Ratio:
    with crowd(max_connections=400) as people:
        ours = Side(
            f"irctl remediate, {len(HOSTS)} hosts",
            people.remediation("fleet", {host: f"ours-{host}" for host in HOSTS}),
            prepare=lambda: people.gather([f"ours-{host}" for host in HOSTS] * SESSIONS),
            check=lambda: people.must_be_gone("ours"),
        )
        theirs = peer.side(people, "ansible-playbook, one postgresql_query task", {host: f"peer-{host}" for host in HOSTS})
        theirs = replace(theirs, prepare=lambda: people.gather([f"peer-{host}" for host in HOSTS] * SESSIONS))
        return in_turns(NAME, ours, theirs, target=0.2, pairs=pairs)
