"""Where the servers of nginx listen: one form for each address, because its options hold for all servers that share it. Pure."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import own
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Directive

DEFAULT = "*:80"  # of a server of http that has no listen

_SOCKET = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[^:\[\]]*):)?(0*[0-9]{1,5})(?:-(0*[0-9]{1,5}))?", re.ASCII)
_NAMES = {"": "*", "0.0.0.0": "*", "localhost": "127.0.0.1"}  # for an address, where every host knows it


def sockets(server: Directive) -> dict[str, Directive]:
    """Each address that a server listens on over TCP, with its directive; the server itself where it has none."""
    listens = [one for one in own(server, "listen") if "quic" not in one.words]
    if not own(server, "listen"):
        return {DEFAULT: server}
    return {address: one for one in listens for address in sockets_of(one.words[1])}


def sockets_of(text: str) -> list[str]:
    """The addresses of one listen, each in one form, address:port or unix:path: a range of ports is many of them."""
    if text.startswith("unix:"):
        return [text]
    match = _SOCKET.fullmatch(text)
    host, first, last = (match[1] or "*", int(match[2]), int(match[3] or match[2])) if match else (text, 80, 80)
    return [f"{_host(host)}:{port}" for port in range(first, last + 1)]


def _host(text: str) -> str:
    """An IPv6 address in its shortest form, and one form of what has two names."""
    if text.startswith("["):
        with suppress(ValueError):
            return f"[{ipaddress.IPv6Address(text[1:-1])}]"
    return _NAMES.get(text.lower(), text.lower())
