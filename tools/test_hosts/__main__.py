"""tools/test-hosts: start, list and remove hosts to test on."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.test_hosts import podman, sets
from tools.test_hosts.podman import Unable


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the words say. Returns the exit code."""
    given = _parser().parse_args(arguments)
    folder = given.folder or podman.folder() / "default"
    try:
        if why := podman.missing():
            raise Unable(why)
        commands = {"build": _build, "up": _up, "down": _down, "status": _status, "inventory": _inventory, "run": _run}
        commands[given.command](given, folder)
    except Unable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/test-hosts", description=(__doc__ or "").partition(": ")[2])
    commands = parser.add_subparsers(dest="command", required=True)
    of = argparse.ArgumentParser(add_help=False)
    of.add_argument("--folder", type=Path, help="where the set's files lie; without it there is one set, in the cache")
    commands.add_parser("build", parents=[of], help="build the image, once")
    up = commands.add_parser("up", parents=[of], help="start a set of hosts h1, h2, ...; print its inventory's path")
    up.add_argument("number", type=int, nargs="?", default=1, help="how many; 1 unless given")
    up.add_argument("--owner", type=int, metavar="PID", help="the set may go when this process is gone; else when `down` says so")
    down = commands.add_parser("down", parents=[of], help="remove the set, and sets that nobody owns any more")
    down.add_argument("--all", action="store_true", help="every set of this machine, whoever owns it")
    commands.add_parser("status", parents=[of], help="list the sets that there are")
    commands.add_parser("inventory", parents=[of], help="print the path of the set's inventory")
    run = commands.add_parser("run", parents=[of], help="run a command where the hosts can be reached, such as curl")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser


def _build(given: argparse.Namespace, folder: Path) -> None:
    seconds = podman.build()
    print(f"built in {seconds:.0f} s" if seconds else "it is there already")


def _up(given: argparse.Namespace, folder: Path) -> None:
    print(sets.up(given.number, folder, given.owner).inventory)


def _down(given: argparse.Namespace, folder: Path) -> None:
    """Removing what is not there is no error, so that whoever cleans up need not look first."""
    for found, _ in sets.listed():
        if given.all or found.folder == folder.absolute():
            sets.down(found)
    sets.sweep()


def _status(given: argparse.Namespace, folder: Path) -> None:
    for found, about in sets.listed():
        owner = f"process {about['owner']}" if about["owner"] else "nobody"
        print(f"{found.name}: {len(found.hosts)} hosts, owned by {owner}, in {found.folder}")


def _inventory(given: argparse.Namespace, folder: Path) -> None:
    print(sets.at(folder).inventory)


def _run(given: argparse.Namespace, folder: Path) -> None:
    if not given.words:
        raise Unable("run: say which command")
    words = [*sets.at(folder).within, *given.words]
    os.execvp(words[0], words)


if __name__ == "__main__":
    sys.exit(main())
