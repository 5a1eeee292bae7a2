"""What a Redis or Valkey server says of itself in INFO, and whether keys may be changed there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

ACL_SINCE, UNLINK_SINCE = (6,), (4,)


class ServerInfo(NamedTuple):
    """Who a server is. `process` and `history` tell it from every other, and from itself after a failover.

    `features` is the version of Redis whose commands it has, which Valkey tells beside its own.
    """

    name: str
    version: str
    features: tuple[int, ...]
    process: str
    history: str
    role: str
    mode: str
    primary: str

    @property
    def title(self) -> str:
        """'Valkey 9.1.2'."""
        return f"{self.name} {self.version}"

    @property
    def identity(self) -> str:
        """The same as long as it is the same process, in the same role, with the same history of its data."""
        return f"{self.process}/{self.role}/{self.history}"


def parsed(text: bytes) -> dict[str, str]:
    """The lines of INFO as a mapping."""
    lines = (line.partition(":") for line in text.decode("utf-8", "replace").splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}


def server_info(info: Mapping[str, str]) -> ServerInfo:
    """Who answers, by the lines of its INFO; what is not said is ''."""
    name = "Valkey" if info.get("server_name") == "valkey" or "valkey_version" in info else "Redis"
    version = info.get("valkey_version" if name == "Valkey" else "redis_version", "")
    return ServerInfo(
        name=name,
        version=printable(version, 40),
        features=_numbers(info.get("redis_version", "")),
        process=info.get("run_id", ""),
        history=info.get("master_replid", ""),
        role=info.get("role", ""),
        mode=info.get("server_mode") or info.get("redis_mode", ""),
        primary=printable(f"{info.get('master_host', '')}:{info.get('master_port', '')}", 200),
    )


def _numbers(version: str) -> tuple[int, ...]:
    """(7, 0, 15); () where it is no version."""
    pieces = version.split(".")
    return tuple(map(int, pieces)) if all(piece.isdecimal() for piece in pieces) else ()


def objections(server: ServerInfo, address: str) -> list[str]:
    """Say why keys must not be looked for or changed on this server; an empty list means they may be."""
    if server.mode == "sentinel":
        return [f"{address} is a Sentinel, which holds no keys; name the primary's own host and port in the inventory."]
    if not server.process or not server.role:
        return [
            f"{address} does not say which server it is (run_id and role in INFO), as behind some proxies; name the server itself."
        ]
    if server.role != "master":
        return [
            f"{address} is a replica of {server.primary}. Name the primary in the inventory; a replica may be behind or writable."
        ]
    if server.features and server.features < UNLINK_SINCE:
        return [f"{server.title} has no UNLINK, which came with Redis 4."]
    return []


def user_objections(server: ServerInfo, expected: str, answer: str | None, refusal: str) -> list[str]:
    """Say why it is not known, or not as expected, who is logged in. `answer` is that of ACL WHOAMI, None where it was refused."""
    if answer == expected:
        return []
    if answer is not None:
        return [f"irctl is logged in as {printable(answer, 80)}, and the inventory says {printable(expected, 80)}."]
    if server.features and server.features < ACL_SINCE:
        return [] if expected == "default" else [f"{server.title} knows no users, and redis_username is set."]
    return [f"Who is logged in cannot be asked, so nothing may be changed (ACL WHOAMI: {printable(refusal, 200)})."]


def as_summary(server: ServerInfo) -> dict[str, Any]:
    """What a record keeps of a server."""
    return {"server": server.title, "run_id": server.process, "role": server.role, "mode": server.mode}
