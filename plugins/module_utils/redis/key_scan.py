"""See every key that is meant, on every server that may hold one. Never KEYS: SCAN gives way to others after each thousand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.redis import cluster_nodes
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.cluster_nodes import Layout
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.connection import CommandRefused, ConnectionLost, Server
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.key_names import Selection, Wanted
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.keyspace import Keyspace, opened

COUNT = 1000  # keys that the server looks at in one step
ROUNDS = 2  # over all primaries of a cluster: a key that moves meanwhile shows in one of them
ATTEMPTS = 3  # where the servers change under a scan


class Unsettled(Failure):
    """The servers changed under each of several scans, so not everything was seen."""


class Seen(NamedTuple):
    """What a scan saw, all of it unless there is `more` than was asked for; and out of how many keys."""

    selection: Selection
    more: bool
    keys: int


@contextmanager
def scanned(params: Mapping[str, Any], wanted: Wanted, most: int) -> Iterator[tuple[Keyspace, Seen | None]]:
    """The servers with what was seen there, None where they object to be looked at. Begins anew where one fails over meanwhile.

    Raises Unsettled, Unreachable or Failure.
    """
    for attempt in range(ATTEMPTS):
        with opened(params) as keyspace:
            if keyspace.objections():
                yield keyspace, None
                return
            try:
                seen = _seen(keyspace, wanted, most)
            except ConnectionLost:
                if attempt == ATTEMPTS - 1:
                    raise
                continue
            if seen:
                yield keyspace, seen
                return
    raise Unsettled(f"The servers failed over, or their slots moved on, during each of {ATTEMPTS} scans.")


def _seen(keyspace: Keyspace, wanted: Wanted, most: int) -> Seen | None:
    """One scan of everything; None where the servers are others at its end. Raises ConnectionLost or Failure.

    Within one round a key that moves to a node which was already scanned is missed; the next round sees it there.
    """
    identities, layouts = keyspace.identities(), [keyspace.look()]
    keys = sum(map(_size, keyspace.servers))
    names: set[bytes] = set()
    for _round in range(ROUNDS if keyspace.clustered else 1):
        for server in keyspace.servers:
            for name in _names(server, wanted):
                names.add(name)
                if len(names) > most:
                    return Seen(Selection((), identities), True, keys)
        layouts.append(keyspace.look())
        if keyspace.identities() != identities:
            return None
    clustered: list[Layout] = [layout for layout in layouts if layout]
    if clustered and cluster_nodes.moved_twice(clustered):
        return None
    return Seen(Selection(tuple(sorted(names)), identities), False, keys)


def _size(server: Server) -> int:
    """How many keys there are; 0 where that may not be asked: it is told to people only."""
    [answer] = server.answers([("DBSIZE",)])
    return 0 if isinstance(answer, CommandRefused) else int(answer)


def _names(server: Server, wanted: Wanted) -> Iterator[bytes]:
    """The keys that are meant on one server, some maybe twice. Raises Failure or ConnectionLost."""
    cursor = b"0"
    while True:
        try:
            cursor, names = server.ask("SCAN", cursor, "MATCH", wanted.pattern, "COUNT", COUNT)
        except CommandRefused as error:
            raise Failure(f"The keys at {server.address} cannot be looked at (SCAN). {error}") from None
        yield from filter(wanted.includes, names)
        if cursor == b"0":
            return
