"""10,000 of 1,010,000 Redis keys by their prefix, against redis-cli --scan and xargs redis-cli unlink."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.measure import BIN, IRCTL, Ratio, Side, command, in_turns
from irctl.lab.postgres import free_port

OTHERS, OURS = 1_000_000, 10_000
BATCH = 10_000
PEER = "redis-cli -p {port} --scan --pattern 'ratelimit:*' | xargs redis-cli -p {port} unlink"
PHASES = "from benchmarks import redis_prefix; redis_prefix.phases({port})"


@dataclass(frozen=True)
class Keys:
    """A Redis of Debian with all the keys."""

    folder: Path
    port: int

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(host="127.0.0.1", port=self.port)

    def fill(self, prefix: str, number: int) -> None:
        for start in range(0, number, BATCH):
            self.client.mset({f"{prefix}{one}": "117" for one in range(start, start + BATCH)})

    def refill(self) -> None:
        self.fill("ratelimit:", OURS)

    def must_be_gone(self) -> None:
        assert self.client.dbsize() == OTHERS, "exactly the keys of the prefix must be gone"

    def peer(self) -> Side:
        line = PEER.format(port=self.port)
        return Side("redis-cli --scan | xargs redis-cli unlink", command("sh", "-c", line), self.refill, self.must_be_gone)

    def side(self, name: str, run: Callable[[], None]) -> Side:
        return Side(name, run, self.refill, self.must_be_gone)


@contextmanager
def keys() -> Iterator[Keys]:
    """The server, with all keys but those that are to be removed."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", name]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            found = Keys(folder, port)
            _wait(found)
            found.fill("session:", OTHERS)
            yield found
        finally:
            process.kill()
            process.wait()


def _wait(found: Keys) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(redis.ConnectionError):
            found.client.ping()
            return
        time.sleep(0.05)
    raise OSError((found.folder / "log").read_text()[-500:])


class Run:
    """The whole command."""

    NAME = "redis-run"

    @staticmethod
    def run(pairs: int) -> Ratio:
        with keys() as found:
            hosts = {"all": {"hosts": {"cache": {"ansible_connection": "local", "redis_port": found.port}}}}
            inventory = found.folder / "hosts.json"
            inventory.write_text(json.dumps(hosts))
            words = (IRCTL, "remediate", "clear-rate-limit", "--host", "cache", "--inventory", inventory)
            ours = command(*words, IRCTL_HOME=str(found.folder / "home"), IRCTL_CONFIG="")
            return in_turns(Run.NAME, found.side("irctl remediate clear-rate-limit", ours), found.peer(), target=0.5, pairs=pairs)


class Phases:
    """What the run does at the server, without Ansible around it."""

    NAME = "redis-phases"

    @staticmethod
    def run(pairs: int) -> Ratio:
        with keys() as found:
            ours = command(BIN / "python", "-c", PHASES.format(port=found.port), cwd=Path(__file__).resolve().parent.parent)
            return in_turns(Phases.NAME, found.side("its phases alone", ours), found.peer(), target=0.25, pairs=pairs)


def phases(port: int) -> None:
    """Look, keep, remove and look again, as the role's tasks do."""
    from ansible_collections.irctl.runbooks.plugins.modules import redis_keys

    params = {name: spec.get("default") for name, spec in redis_keys.ARGUMENTS.items()} | {"redis_port": port}
    before = redis_keys.run(params, False)
    if before["refusals"]:
        sys.exit(" ".join(before["refusals"]))
    evidence = redis_keys.run({**params, "state": "described", "selection": before["selection"]}, False)
    redis_keys.run({**params, "state": "removed", "selection": evidence["selection"]}, False)
    redis_keys.run({**params, "selection": evidence["selection"]}, False)
