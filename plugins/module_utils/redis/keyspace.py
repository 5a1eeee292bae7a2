"""All the servers that hold the keys of one inventory host: a primary, or every primary of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.redis import cluster_nodes, server_info
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.cluster_nodes import Address, Layout
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.connection import Command, CommandRefused, Server
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.server_info import ServerInfo

REDIRECTIONS = 8  # of one key from server to server
_ELSEWHERE = ("MOVED", "ASK")


def introduce(server: Server) -> ServerInfo:
    """Who this is, asked anew. Raises Failure where it does not say so, ConnectionLost."""
    try:
        return server_info.server_info(server_info.parsed(server.ask("INFO")))
    except CommandRefused as error:
        if error.code == "NOAUTH":
            raise Failure(f"Redis at {server.address} asks for a password; name a file with it in redis_password_file.") from None
        raise Failure(f"Redis at {server.address} does not say who it is, so nothing may be done there. INFO: {error}") from None


@contextmanager
def opened(params: Mapping[str, Any]) -> Iterator[Keyspace]:
    """Connect to every server of the keyspace. Raises Unreachable, Failure or ConnectionLost."""
    keyspace = Keyspace(params)
    try:
        keyspace.look()
        yield keyspace
    finally:
        keyspace.close()


class Keyspace:
    """Carries out commands about single keys where those keys are."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._first = Server(params)
        self._servers: dict[Address, Server] = {}
        self._layout: Layout | None = None
        self.infos: dict[str, ServerInfo] = {}

    @property
    def servers(self) -> list[Server]:
        """Every server that may hold keys, in a fixed order."""
        if self._layout is None:
            return [self._first]
        return [self._server(address) for address in self._layout.primaries]

    @property
    def clustered(self) -> bool:
        return self._layout is not None

    @property
    def title(self) -> str:
        """'Redis 7.0.15', or 'a cluster of 3 primaries, Redis 7.0.15'."""
        title = next(iter(self.infos.values())).title
        return f"a cluster of {len(self.infos)} primaries, {title}" if self.clustered else title

    def look(self) -> Layout | None:
        """Ask every server anew who it is, and a cluster how it is laid out. Raises Failure or ConnectionLost."""
        info = introduce(self._first)
        self._layout = self._asked_layout() if info.mode == "cluster" else None
        if self._layout is None:
            self.infos = {self._first.address: info}
        else:
            self.infos = {server.address: introduce(server) for server in self.servers}
        return self._layout

    def _asked_layout(self) -> Layout:
        try:
            return cluster_nodes.layout(self._first.ask("CLUSTER", "NODES"), self._first.host)
        except (CommandRefused, ValueError) as error:
            raise Failure(f"How the cluster is laid out cannot be asked (CLUSTER NODES): {error}") from None

    def identities(self) -> dict[str, str]:
        """What tells each server from every other, by its address, as it was last asked."""
        return {address: info.identity for address, info in self.infos.items()}

    def objections(self) -> list[str]:
        """Say why nothing may be done with these keys; an empty list means it may."""
        reasons = [text for address, info in self.infos.items() for text in server_info.objections(info, address)]
        if self._layout and self._layout.missing:
            reasons.append(
                f"{self._layout.missing} of the cluster's slots have no primary that is well, so their keys cannot be seen."
            )
        return reasons

    def user_objections(self) -> list[str]:
        """Say where it is not the expected user that is logged in, or nobody can tell. Raises ConnectionLost."""
        expected = self._params.get("redis_username") or "default"
        reasons = []
        for server in self.servers:
            user, refusal = who_am_i(server)
            reasons += server_info.user_objections(self.infos[server.address], expected, user, refusal)
        return list(dict.fromkeys(reasons))

    def unlink_objections(self, names: Sequence[bytes]) -> list[str]:
        """Say where these keys could not be removed. None is: a command that is queued is checked, then discarded.

        Raises ConnectionLost.
        """
        reasons = []
        for server, numbers in self._by_owner(names, range(len(names))):
            if refusal := _refused_in_transaction(server, ("UNLINK", names[numbers[0]])):
                reasons.append(f"Keys at {server.address} cannot be removed (UNLINK). {refusal}")
        return reasons

    def number(self, command: str, names: Sequence[bytes]) -> tuple[int, CommandRefused | None]:
        """How many of these keys EXISTS or UNLINK counts, and the first refusal. Alone a server takes all names in one command."""
        if self._layout is None:
            answers = self._first.answers([(command, *names)]) if names else []
        else:
            answers = self.each(names, lambda name: (command, name))
        refused = [answer for answer in answers if isinstance(answer, CommandRefused)]
        return sum(answer for answer in answers if not isinstance(answer, CommandRefused)), next(iter(refused), None)

    def each(self, names: Sequence[bytes], command: Callable[[bytes], Command]) -> list[Any]:
        """The answer to one command for each key, in the order of the names; a CommandRefused where it was refused."""
        answers: list[Any] = [None] * len(names)
        waiting = [*range(len(names))]
        for _attempt in range(REDIRECTIONS):
            for server, numbers in self._by_owner(names, waiting):
                for number, answer in zip(numbers, server.answers([command(names[number]) for number in numbers]), strict=True):
                    answers[number] = self._asked_elsewhere(server, answer, command(names[number]))
            waiting = [number for number in waiting if _code(answers[number]) in ("MOVED", "TRYAGAIN")]
            if not waiting:
                break
            self.look()
        return answers

    def _by_owner(self, names: Sequence[bytes], numbers: Sequence[int]) -> list[tuple[Server, list[int]]]:
        if self._layout is None:
            return [(self._first, [*numbers])] if numbers else []
        from redis.crc import key_slot

        grouped: dict[Address, list[int]] = {}
        for number in numbers:
            owner = self._layout.owners[key_slot(names[number])]
            if owner is None:
                raise Failure("The cluster has lost the primary of some of these keys.")
            grouped.setdefault(owner, []).append(number)
        return [(self._server(address), mine) for address, mine in grouped.items()]

    def _asked_elsewhere(self, server: Server, answer: Any, command: Command) -> Any:
        """The answer; of the node that it sends to where a slot is on its way there."""
        if self._layout is None or _code(answer) != "ASK":
            return answer
        target = self._server(cluster_nodes.redirection(answer.message, server.host))
        return target.answers([("ASKING",), command])[1]

    def _server(self, address: Address) -> Server:
        if address not in self._servers:
            same = address == (self._first.host, self._first.port)
            self._servers[address] = self._first if same else Server(self._params, *address)
        return self._servers[address]

    def close(self) -> None:
        for server in {self._first, *self._servers.values()}:
            server.close()


def who_am_i(server: Server) -> tuple[str | None, str]:
    """The user that is logged in, or None and why that cannot be told. Raises ConnectionLost."""
    try:
        return server.ask("ACL", "WHOAMI").decode("utf-8", "replace"), ""
    except CommandRefused as error:
        return None, error.message


def _refused_in_transaction(server: Server, command: Command) -> CommandRefused | None:
    """Why the server would refuse a command. Nothing is sent unless a transaction was begun, and it is given up."""
    [begun] = server.answers([("MULTI",)])
    if isinstance(begun, CommandRefused):
        return None  # nobody can tell; the command itself will
    queued, _discarded = server.answers([command, ("DISCARD",)])
    return queued if isinstance(queued, CommandRefused) and queued.code not in _ELSEWHERE else None


def _code(answer: Any) -> str:
    return answer.code if isinstance(answer, CommandRefused) else ""
