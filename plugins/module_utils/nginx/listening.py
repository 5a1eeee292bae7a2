"""Where the servers of nginx listen: one form for each address, because its options hold for all servers that share it. Pure."""

from __future__ import annotations

import re

from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import own
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Directive

DEFAULT = "*:80"  # of a server of http that has no listen

_SOCKET = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[^:\[\]]*):)?([0-9]{1,5})", re.ASCII)


def sockets(server: Directive) -> dict[str, Directive]:
    """Each address that a server listens on over TCP, with its directive; the server itself where it has none."""
    listens = own(server, "listen")
    return {socket_of(one.words[1]): one for one in listens if "quic" not in one.words} if listens else {DEFAULT: server}


def socket_of(text: str) -> str:
    """A listen address in one form: address:port, or unix:path."""
    if text.startswith("unix:"):
        return text
    match = _SOCKET.fullmatch(text)
    host, port = (match[1] or "*", match[2]) if match else (text, "80")
    return f"{'*' if host == '0.0.0.0' else host}:{port}"
