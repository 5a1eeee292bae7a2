"""The full safe cycle on one host, against ansible-playbook with an empty play for the same host: what Ansible costs by itself."""

from __future__ import annotations

from benchmarks import one_host
from benchmarks.crowd import crowd
from benchmarks.measure import BIN, Ratio, Side, command, in_turns
from irctl.catalog.content import ANSIBLE_CONFIG

NAME = "empty-play"
PLAY = "- hosts: all\n  gather_facts: false\n  tasks: []\n"


def run(pairs: int) -> Ratio:
    with crowd(max_connections=200) as people:
        playbook = people.folder / "empty-play.yml"
        playbook.write_text(PLAY)
        inventory = people.inventory("empty", {"db": {}})
        words = (BIN / "ansible-playbook", "-i", inventory, playbook)
        peer = Side("ansible-playbook, an empty play", command(*words, cwd=people.folder, ANSIBLE_CONFIG=str(ANSIBLE_CONFIG)))
        return in_turns(NAME, one_host.cycle(people), peer, target=1.2, pairs=pairs)
