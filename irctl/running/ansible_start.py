"""The beginning of the process that runs a playbook: it imports Ansible, and waits for its command line.

It ends when its parent does, also while it imports.
"""

from __future__ import annotations

import gc
import json
import os
import sys

from irctl.running.processes import die_with_parent


def main() -> None:
    """Run the command line that comes into the working folder, once a line on standard input says that it is there."""
    gc.disable()  # this process is short; a collection costs time while modules are imported, and memory in a fork
    os.register_at_fork(before=gc.freeze)
    die_with_parent(int(sys.argv[1]))
    from irctl.running import playbook

    if not sys.stdin.readline():
        os._exit(1)
    with open("words.json") as file:
        playbook.run(json.load(file))


if __name__ == "__main__":
    main()
