"""Debian's Redis on loopback: with an administrator for the tests, and a user who must not do what slows or empties a server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import processes

NEEDED = pytest.mark.skipif(not shutil.which("redis-server"), reason="apt-get install redis-server")
ADMIN, OPS = "test-admin", "test-ops"  # passwords
CONFIG = f"""
bind 127.0.0.1
save ""
appendonly no
user default on nopass ~* &* +@all
user admin on >{ADMIN} ~* &* +@all
user ops on >{OPS} ~* &* +@all -keys -flushall -flushdb
"""


@dataclass(frozen=True)
class RedisServer:
    """A server below a folder; `variables` lead an inventory to it as the user ops."""

    folder: Path
    port: int

    @property
    def variables(self) -> dict[str, Any]:
        reach = {"ansible_connection": "local", "irctl_drills": "allowed", "redis_port": self.port, "redis_username": "ops"}
        return reach | {"redis_password_file": str(self.password_file("ops", OPS)), "flush_policy_cache_prefix": "policy:"}

    def password_file(self, name: str, password: str) -> Path:
        path = self.folder / f"{name}.password"
        path.write_text(f"{password}\n")
        path.chmod(0o600)
        return path

    def client(self, **settings: Any) -> redis.Redis:
        """The administrator, or whom the settings name."""
        given = {"username": "admin", "password": ADMIN} | settings
        return redis.Redis(host="127.0.0.1", port=self.port, protocol=2, **given)

    def commands(self) -> dict[str, int]:
        """How often each command was called since the last CONFIG RESETSTAT, refused calls not among them."""
        stats = self.client().info("commandstats")
        return {name.removeprefix("cmdstat_"): one["calls"] - one["rejected_calls"] for name, one in stats.items() if one["calls"]}


@contextmanager
def redis_server(
    *lines: str, port: int = 0, cluster: bool = False, tls: bool = False, program: str | Path = "redis-server"
) -> Iterator[RedisServer]:
    """A server with these lines of configuration beside the usual ones."""
    folder = Path(tempfile.mkdtemp(prefix="irctl-redis-"))
    port = port or int(processes.free_ports(1)[0])
    more = ["cluster-enabled yes", "cluster-config-file nodes.conf"] if cluster else []
    (folder / "redis.conf").write_text(
        "\n".join([CONFIG, f"{'tls-' if tls else ''}port {port}", f"dir {folder}", *more, *lines]) + "\n"
    )
    try:
        process = processes.start(folder, [program, folder / "redis.conf"])
        processes.wait_for_port(process, port, folder / "log")
        yield RedisServer(folder, port)
    finally:
        processes.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)
