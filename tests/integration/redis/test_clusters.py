"""clear-rate-limit in a real cluster of three: every primary, and every key wherever it is just now. HAZARDS D27."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from redis.crc import key_slot

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.redis import key_scan
from ansible_collections.irctl.runbooks.plugins.modules import redis_keys
from tests.integration.redis.conftest import arguments, cleared, listed
from tests.servers import processes
from tests.servers.redis_servers import ADMIN, NEEDED, RedisServer, redis_server

pytestmark = NEEDED
SLOTS = 16384
SHARE = SLOTS // 3 + 1


class Cluster:
    """Three primaries without replicas, each with a third of the slots."""

    def __init__(self, servers: list[RedisServer]) -> None:
        self.servers = servers
        self.clients = [server.client() for server in servers]
        self.ids = [client.execute_command("CLUSTER", "MYID").decode() for client in self.clients]

    def owner(self, name: str) -> int:
        """Whose slot it was at first."""
        return key_slot(name.encode()) // SHARE

    def put(self, *names: str) -> None:
        for name in names:
            self.clients[self.owner(name)].set(name, 117, ex=600)

    def keys(self) -> set[bytes]:
        return {name for client in self.clients for name in client.keys("*")}

    def open_slot(self, slot: int, source: int, target: int) -> None:
        """Begin to move a slot."""
        self.clients[target].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source])
        self.clients[source].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target])

    def move(self, source: int, target: int, *names: str) -> None:
        where = ("127.0.0.1", self.servers[target].port, "", 0, 5000, "AUTH2", "admin", ADMIN, "KEYS")
        assert self.clients[source].execute_command("MIGRATE", *where, *names) in (b"OK", "OK")

    def close_slot(self, slot: int, target: int) -> None:
        for number in (target, *(one for one in range(3) if one != target)):
            self.clients[number].execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.ids[target])

    def well(self) -> bool:
        infos = [client.execute_command("CLUSTER", "INFO") for client in self.clients]
        return all(b"cluster_state:ok" in _raw(info) and b"cluster_known_nodes:3" in _raw(info) for info in infos)


def _raw(info: Any) -> bytes:
    return "\n".join(f"{name}:{value}" for name, value in info.items()).encode() if isinstance(info, dict) else bytes(info)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    with ExitStack() as stack:
        ports = processes.free_ports(6)
        more = "cluster-require-full-coverage no"
        started = [
            stack.enter_context(redis_server(f"cluster-port {bus}", more, port=int(port), cluster=True))
            for port, bus in zip(ports[:3], ports[3:], strict=True)
        ]
        cluster = Cluster(started)
        for number, client in enumerate(cluster.clients):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * SHARE, min(number * SHARE + SHARE, SLOTS) - 1)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for port, bus in zip(ports[1:3], ports[4:], strict=True):
            cluster.clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        until = time.monotonic() + processes.SECONDS
        while not cluster.well():
            assert time.monotonic() < until, "the nodes do not know each other"
            time.sleep(0.02)
        yield cluster


@pytest.fixture
def cluster(nodes: Cluster) -> Cluster:
    for client in nodes.clients:
        client.flushall()
        client.config_resetstat()
    return nodes


def test_every_primary_is_looked_at_and_exactly_the_keys_of_the_prefix_go(cluster: Cluster) -> None:
    cluster.put(*(f"ratelimit:{number}" for number in range(300)), "ratelimitx:1", "session:1", "session:2")
    seen = listed(cluster.servers[1])
    assert (seen["number"], seen["summary"]["keys"], seen["refusals"]) == (300, 303, [])
    assert "a cluster of 3 primaries, Redis " in seen["msg"]
    assert cleared(cluster.servers[1])["removed"] == 300
    assert not any({"keys", "flushall", "flushdb", "del"} & {*server.commands()} for server in cluster.servers)
    assert cluster.keys() == {b"ratelimitx:1", b"session:1", b"session:2"}


def test_keys_of_a_slot_that_is_half_moved_go_on_both_nodes(cluster: Cluster) -> None:
    names = [f"ratelimit:{{user}}:{number}" for number in range(40)]
    slot, source = key_slot(b"{user}"), cluster.owner("{user}")
    target = (source + 1) % 3
    cluster.put(*names, "session:{user}")
    cluster.open_slot(slot, source, target)
    try:
        cluster.move(source, target, *names[::2])
        assert cluster.clients[target].dbsize() == 20
        assert listed(cluster.servers[2])["number"] == 40
        assert cleared(cluster.servers[2])["removed"] == 40
        assert cluster.keys() == {b"session:{user}"}
    finally:
        cluster.clients[source].execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
        cluster.clients[target].execute_command("CLUSTER", "SETSLOT", slot, "STABLE")


def test_a_slot_that_moves_to_a_node_which_was_already_scanned_is_seen_in_the_next_round(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(f"ratelimit:{number}" for number in range(99) if cluster.owner(f"ratelimit:{number}") == 2)
    slot = key_slot(name.encode())
    cluster.put(name)
    names, scanned = key_scan._names, []

    def moving(server, wanted):  # type: ignore[no-untyped-def]
        yield from names(server, wanted)
        scanned.append(server.port)
        if len(scanned) == 1 and server.port != cluster.servers[2].port:
            target = [one.port for one in cluster.servers].index(server.port)
            cluster.open_slot(slot, 2, target)
            cluster.move(2, target, name)
            cluster.close_slot(slot, target)

    monkeypatch.setattr(key_scan, "_names", moving)
    seen = listed(cluster.servers[0])
    target = [one.port for one in cluster.servers].index(scanned[0])
    try:
        assert seen["number"] == 1
        assert len(scanned) >= 6
        monkeypatch.undo()
        assert cleared(cluster.servers[0])["removed"] == 1
    finally:
        if target != 2:
            cluster.close_slot(slot, 2)


def test_keys_are_followed_to_where_their_slot_has_gone_since_they_were_looked_at(cluster: Cluster) -> None:
    name = next(f"ratelimit:{number}" for number in range(99) if cluster.owner(f"ratelimit:{number}") == 1)
    slot = key_slot(name.encode())
    cluster.put(name)
    selection = listed(cluster.servers[0])["selection"]
    marked = redis_keys.run(arguments(cluster.servers[0], state="described", selection=selection), False)["selection"]
    cluster.open_slot(slot, 1, 2)
    cluster.move(1, 2, name)
    try:
        removed = redis_keys.run(arguments(cluster.servers[0], state="removed", selection=marked), False)  # ASK
        assert removed["removed"] == 1
        assert listed(cluster.servers[0], selection=marked)["msg"] == "none is as it was"
    finally:
        cluster.close_slot(slot, 2)
        cluster.close_slot(slot, 1)


def test_slots_without_a_primary_are_a_refusal(cluster: Cluster) -> None:
    cluster.put("ratelimit:1")
    for client in cluster.clients:
        client.execute_command("CLUSTER", "DELSLOTS", 5)
    try:
        [refusal] = listed(cluster.servers[0])["refusals"]
        assert refusal == "1 of the cluster's slots have no primary that is well, so their keys cannot be seen."
    finally:
        cluster.clients[0].execute_command("CLUSTER", "ADDSLOTS", 5)


def test_how_the_cluster_is_laid_out_must_be_told(cluster: Cluster) -> None:
    for client in cluster.clients:
        client.acl_setuser("few", enabled=True, reset=True, passwords=["+few"], keys=["*"], commands=["+@all", "-cluster|nodes"])
    few = {"redis_username": "few", "redis_password_file": str(cluster.servers[0].password_file("few", "few"))}
    with pytest.raises(Failure, match=r"How the cluster is laid out cannot be asked \(CLUSTER NODES\)"):
        listed(cluster.servers[0], **few)
