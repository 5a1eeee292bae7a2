"""What a host must never block: its own addresses, its gateways, and where the people who manage it come from."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import programs
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

SSH_PORT = "22"
_SOCKET = re.compile(r"\S+\s+\S+\s+\S*:(?P<port>\d+)\s+\[?(?P<peer>[^\s\]]+)\]?:\d+(?P<owners>.*)", re.ASCII)


class Ancestor(NamedTuple):
    """A process that this one descends from, and the address it was reached from by ssh, where that can be read."""

    name: str
    client: str


def protected() -> dict[Network, str]:
    """What must stay reachable from here. Raises Failure where it cannot be learnt."""
    networks = dict.fromkeys(addresses(_ip("address", "show")), "one of the host's own addresses")
    routes = [*_ip("-4", "route", "show", "default"), *_ip("-6", "route", "show", "default")]
    networks |= dict.fromkeys(gateways(routes), "a gateway of the host")
    clients = managers(programs.output(["ss", "-tnpH", "state", "established"]), list(ancestors(os.getpid())))
    return networks | dict.fromkeys(clients, "the address that this host is managed from by ssh")


def _ip(*words: str) -> Any:
    printed = programs.output(["ip", "-j", *words])
    try:
        return json.loads(printed or "[]")
    except ValueError:
        raise Failure("ip -j does not print JSON, so the host's own addresses are unknown.") from None


def addresses(links: Iterable[Mapping[str, Any]]) -> set[Network]:
    """Every address of every interface, as `ip -j address` has them."""
    return {_single(address["local"]) for link in links for address in link.get("addr_info", []) if "local" in address}


def gateways(routes: Iterable[Mapping[str, Any]]) -> set[Network]:
    """The next hops of default routes, as `ip -j route` has them."""
    hops = [hop for route in routes for hop in (route, *route.get("nexthops", []))]
    named = [hop.get("gateway") or hop.get("via", {}).get("host") for hop in hops]
    return {_single(address) for address in named if address}


def managers(sockets: str, descent: list[Ancestor]) -> set[Network]:
    """Where ssh comes from: peers of sshd, and what ssh told the processes that this one descends from. Raises Failure."""
    clients = [ancestor.client for ancestor in descent if ancestor.client]
    for line in sockets.splitlines():
        match = _SOCKET.match(line)
        if match and (match["port"] == SSH_PORT or '"sshd' in match["owners"]):
            clients.append(match["peer"])
    if not clients and any(ancestor.name.startswith("sshd") for ancestor in descent):
        raise Failure("The host is managed by ssh, and where from cannot be read, so nothing is blocked on it.")
    return {_single(address) for address in clients}


def ancestors(pid: int) -> Iterator[Ancestor]:
    """This process and those that it descends from. Raises Failure where /proc does not show them."""
    while pid:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                name, _bracket, rest = file.read().partition("(")[2].rpartition(")")
        except OSError as error:
            raise Failure(f"/proc does not show who manages this host ({error.strerror}), so nothing is blocked on it.") from None
        yield Ancestor(name, _ssh_client(pid))
        pid = int(rest.split()[1])


def _ssh_client(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = dict(one.partition(b"=")[::2] for one in file.read().split(b"\0"))
    except OSError:
        return ""  # another user's; the sockets tell
    words = variables.get(b"SSH_CONNECTION", b"").decode("ascii", "replace").split()
    return words[0] if words else ""


def named(text: str, where: str) -> list[Network]:
    """What an address, a network or a host name stands for; bits behind a network's length mean nothing. Raises Failure."""
    try:
        return [ipaddress.ip_network(text, strict=False)]
    except ValueError:
        pass
    try:
        return sorted({_single(str(info[4][0])) for info in socket.getaddrinfo(text, None)}, key=str)
    except (OSError, UnicodeError):
        raise Failure(
            f"{where} names {printable(text, 80)}, which stands for no address now, so what to protect is unknown."
        ) from None


def _single(text: str) -> Network:
    """One address as a network, without its zone; an IPv4 address in IPv6 clothes is the IPv4 address. Raises Failure."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise Failure(f"{printable(text)} is no address, so what to protect is unknown.") from None
    return ipaddress.ip_network(getattr(address, "ipv4_mapped", None) or address)
