"""What a running nginx serves over TLS: the servers of a certificate by its configuration, and what a client of theirs is shown."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import programs
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import x509 as certificates
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import configuration, workers
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import Directive
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

SECONDS = 5.0  # for one handshake
PATIENCE = 15.0  # for a new certificate to be served after a reload
ANY = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}

_SOCKET = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[^:\[\]]*):)?([0-9]{1,5})", re.ASCII)


class Listener(NamedTuple):
    """Where a server answers, as nginx writes it, and the name by which it is asked; '' for none."""

    address: str
    name: str
    proxied: bool  # a PROXY line is expected before the handshake

    def __str__(self) -> str:
        return f"{self.address} ({self.name})" if self.name else self.address


class Served(NamedTuple):
    """What a client is shown: the leaf certificate as PEM with its sha256, or why there was none."""

    sha256: str
    pem: str
    why: str


class Site(NamedTuple):
    """The servers of one certificate."""

    listeners: tuple[Listener, ...]
    names: frozenset[str]
    doubts: tuple[str, ...]


class Nginx:
    """An nginx that `test` tests and `reload` reloads."""

    def __init__(self, test: list[str], reload: list[str]) -> None:
        if "-t" not in test:
            raise ValueError("certificates_nginx_test: the command has to contain -t, as in nginx -t")
        self._test, self._reload = test, reload

    def site(self, folder: str) -> Site:
        """The servers whose certificate lies in this folder. Raises Failure where nginx would not start."""
        printed = programs.output(["-T" if word == "-t" else word for word in self._test])
        first = re.search(r"^# configuration file (.+):$", printed, re.MULTILINE)
        return site(configuration.parse(printed, ""), folder, os.path.dirname(first[1]) if first else "/")

    def serve(self, listeners: Sequence[Listener], sha256: str) -> None:
        """Take up what is stored, and see it served everywhere. Raises Failure where that does not come about."""
        printed = programs.output(["-T" if word == "-t" else word for word in self._test])
        pids = [one.words[1] for one in configuration.named(configuration.parse(printed, ""), "pid") if len(one.words) > 1]
        workers.of(pids[0] if pids else "", self._test).renew(self._reload)
        until = time.monotonic() + PATIENCE
        while others := unlike(served(listeners), sha256):
            if time.monotonic() > until:
                raise Failure(f"After the reload another certificate is served: {'; '.join(others)}.")
            time.sleep(0.05)


def served(listeners: Sequence[Listener]) -> dict[Listener, Served]:
    return {one: ask(one) for one in listeners}


def unlike(shown: Mapping[Listener, Served], sha256: str) -> list[str]:
    """Where another certificate than this is served, or none."""
    return [f"{one}{f', {what.why}' if what.why else ''}" for one, what in shown.items() if what.sha256 != sha256]


def ask(one: Listener) -> Served:
    """Shake hands with one server. Nothing is verified, so that an expired or foreign certificate is seen too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with _connected(one.address) as plain:
            if one.proxied:
                plain.sendall(b"PROXY UNKNOWN\r\n")
            with context.wrap_socket(plain, server_hostname=one.name or None) as session:
                leaf = session.getpeercert(binary_form=True) or b""
    except (OSError, ValueError) as error:
        return Served("", "", printable(f"no handshake: {getattr(error, 'strerror', None) or error}", 100))
    return Served(hashlib.sha256(leaf).hexdigest(), ssl.DER_cert_to_PEM_cert(leaf), "")


def _connected(address: str) -> socket.socket:
    if address.startswith("unix:"):
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(SECONDS)
        plain.connect(address.removeprefix("unix:"))
        return plain
    host, _colon, port = address.rpartition(":")
    return socket.create_connection((ANY.get(host, host).strip("[]"), int(port)), timeout=SECONDS)


class _Server(NamedTuple):
    sockets: Mapping[str, Directive]
    names: list[str]
    certificates: list[str]


def site(directives: tuple[Directive, ...], folder: str, base: str) -> Site:
    """Which servers of a configuration have their certificate in this folder; relative paths begin at `base`."""
    servers = list(_servers(directives))
    tls = {address for one in servers for address, listen in one.sockets.items() if "ssl" in listen.words}
    proxied = {address for one in servers for address, listen in one.sockets.items() if "proxy_protocol" in listen.words}
    ours = [one for one in servers if any(_within(path, folder, base) for path in one.certificates)]
    found = [
        Listener(address, name, address in proxied)
        for one in ours
        for address in one.sockets
        if address in tls and (name := _asked(one, servers, address)) is not None
    ]
    both = [one for one in ours if len(one.certificates) > 1]
    doubts = [f"The server {printable((one.names or ['_'])[0], 80)} has {len(one.certificates)} certificates." for one in both]
    names = (name for one in ours for name in certificates.host_names(one.names))
    return Site(tuple(dict.fromkeys(found)), frozenset(names), tuple(doubts))


def _servers(directives: tuple[Directive, ...]) -> Iterator[_Server]:
    for outer in (one for one in directives if one.name in ("http", "stream")):
        shared = _values(outer, "ssl_certificate")
        for server in (one for one in outer.block or () if one.name == "server"):
            listens = [one for one in server.block or () if one.name == "listen" and len(one.words) > 1]
            names = [word for one in server.block or () if one.name == "server_name" for word in one.words[1:]]
            sockets = {_socket(one.words[1]): one for one in listens if "quic" not in one.words}
            yield _Server(sockets, names, _values(server, "ssl_certificate") or shared)


def _values(block: Directive, name: str) -> list[str]:
    return [one.words[1] for one in block.block or () if one.name == name and len(one.words) > 1]


def _socket(text: str) -> str:
    """A listen address in one form: address:port, or unix:path."""
    found = _SOCKET.fullmatch(text)
    if text.startswith("unix:") or not found:
        return text if text.startswith("unix:") else f"{text}:80"
    return f"{found[1] or '*'}:{found[2]}"


def _within(path: str, folder: str, base: str) -> bool:
    return os.path.realpath(os.path.dirname(os.path.join(base, path))) == os.path.realpath(folder)


def _asked(server: _Server, servers: Sequence[_Server], address: str) -> str | None:
    """The name that leads to this server; '' where it answers whoever gives none, and None where no name is known."""
    if names := certificates.host_names(server.names):
        return names[0].replace("*", "irctl", 1)
    there = [one for one in servers if address in one.sockets]
    chosen = [one for one in there if "default_server" in one.sockets[address].words]
    return "" if (chosen or there)[0] is server else None
