"""What a running nginx serves over TLS: the servers of a certificate by its configuration, and what a client of theirs is shown."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import ssl
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import x509
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.lineage import Lineage
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.x509 import Certificate
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import program
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import own
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.listening import DEFAULT, sockets
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Directive
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

SECONDS = 5.0  # for one handshake
PATIENCE = 15.0  # for a new certificate to be served after a reload
ANY = {"*": "127.0.0.1", "[::]": "[::1]"}
LINKS = 40  # as many as the kernel follows


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


class Candidate(NamedTuple):
    """A server that chooses its certificate by a variable, so that only a handshake tells which it is."""

    listeners: tuple[Listener, ...]
    names: frozenset[str]
    certificate: Directive


class Site(NamedTuple):
    """The servers of one certificate, those that may be, what cannot be judged, and what stands in the way, as sentences."""

    listeners: tuple[Listener, ...]
    names: frozenset[str]
    doubts: tuple[Doubt, ...]
    candidates: tuple[Candidate, ...] = ()
    obstacles: tuple[str, ...] = ()


class Nginx:
    """An nginx that `test` tests and `reload` reloads."""

    def __init__(self, test: list[str], reload: list[str]) -> None:
        if "-t" not in test:
            raise ValueError("certificates_nginx_test: the command has to contain -t, as in nginx -t")
        self._test, self._reload = test, reload

    def site(self, lineage: Lineage, leaf: Certificate) -> Site:
        """The servers whose certificate lies in this folder, or who show it where a variable names theirs. Raises Failure."""
        settings = program.settings(self._test)
        known = site(settings.directives, lineage.live, lineage.archive, settings.folder, leaf.names)
        return with_candidates(known, leaf.sha256)

    def serve(self, listeners: Sequence[Listener], sha256: str) -> None:
        """Take up what is stored, and see it served everywhere. Raises Failure where that does not come about."""
        program.running(program.settings(self._test)).renew(self._reload)
        until = time.monotonic() + PATIENCE
        while others := unlike(served(listeners), sha256):
            if time.monotonic() > until:
                raise Failure(f"After the reload another certificate is served: {'; '.join(others)}.")
            time.sleep(0.05)


def served(listeners: Sequence[Listener]) -> dict[Listener, Served]:
    return {one: handshake(one) for one in listeners}


def unlike(shown: Mapping[Listener, Served], sha256: str) -> list[str]:
    """Where another certificate than this is served, or none."""
    return [f"{one}{f', {what.why}' if what.why else ''}" for one, what in shown.items() if what.sha256 != sha256]


def with_candidates(known: Site, sha256: str) -> Site:
    """Add the servers that show this certificate by a variable; doubt those of which no handshake tells what they show."""
    result = known._replace(candidates=())
    for candidate in known.candidates:
        shown = served(candidate.listeners)
        ours = tuple(one for one, what in shown.items() if what.sha256 == sha256)
        result = result._replace(listeners=tuple(dict.fromkeys((*result.listeners, *ours))))
        if not shown or any(what.why for what in shown.values()):
            why = "; ".join(f"{one} gives no handshake ({what.why})" for one, what in shown.items() if what.why)
            doubt = Doubt(str(candidate.certificate), candidate.certificate.place, why or "no name is known by which to ask for it")
            result = result._replace(doubts=(*result.doubts, doubt))
    return result


def handshake(one: Listener) -> Served:
    """Shake hands with one server. Nothing is verified, so that an expired or foreign certificate is seen too."""
    try:
        with _connected(one.address) as plain:
            if one.proxied:
                plain.sendall(b"PROXY UNKNOWN\r\n")
            with _context().wrap_socket(plain, server_hostname=one.name or None) as session:
                leaf = session.getpeercert(binary_form=True) or b""
    except (OSError, ValueError) as error:
        return Served("", "", printable(f"no handshake: {_reason(error)}", 100))
    return Served(hashlib.sha256(leaf).hexdigest(), ssl.DER_cert_to_PEM_cert(leaf), "")


def _context() -> ssl.SSLContext:
    """For a look only, so whatever a server speaks is good enough: TLS 1.0 and weak ciphers too, and no name is checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)
    return context


def _reason(error: Exception) -> str:
    """Why there was no handshake; of TLS its own word, such as WRONG_VERSION_NUMBER."""
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error or type(error).__name__)


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
    certificates: list[Directive]
    ssl: bool  # by the old directive `ssl on`


def site(directives: tuple[Directive, ...], folder: str, archive: str, base: str, wanted: Collection[str] = ()) -> Site:
    """Which servers have their certificate in this folder of links into `archive`; relative paths begin at `base`.

    `wanted` are the names that the certificate is for: by them servers are asked that choose theirs by a variable.
    """
    servers = list(_servers(directives))
    tls = {address for one in servers for address, listen in one.sockets.items() if one.ssl or "ssl" in listen.words}
    proxied = {address for one in servers for address, listen in one.sockets.items() if "proxy_protocol" in listen.words}
    ours = [one for one in servers if any(leads_into(path.words[1], folder, base) for path in one.certificates)]
    listeners = [
        Listener(address, name, address in proxied)
        for one in ours
        for address in one.sockets
        if address in tls and (name := _name_for(one, servers, address)) is not None
    ]
    names = frozenset(name for one in ours for name in x509.host_names(one.names))
    candidates = [
        Candidate(_asked(one, servers, tls, proxied, wanted), names, path)
        for one in servers
        if one not in ours
        for path in one.certificates[:1]
        if any(may_lead_into(path.words[1], folder, base) for path in one.certificates)
    ]
    doubts = tuple(_pinned([one for one in servers if one not in ours], archive, base))
    return Site(tuple(dict.fromkeys(listeners)), names, doubts, tuple(candidates), tuple(_obstacles(ours)))


def _obstacles(ours: Sequence[_Server]) -> Iterator[str]:
    for one in ours:
        if len(one.certificates) > 1:
            name, number = printable((one.names or ["_"])[0], 80), len(one.certificates)
            yield f"The server {name} has {number} certificates. Which of them is served cannot be told."


def _pinned(servers: Sequence[_Server], archive: str, base: str) -> Iterator[Doubt]:
    """Servers whose certificate lies in the archive itself."""
    for one in servers:
        for path in one.certificates:
            if "$" not in path.words[1] and _real_folder(os.path.join(base, path.words[1])) == os.path.realpath(archive):
                yield Doubt(str(path), path.place, "it leads to one version, past the links of certbot, so a new one is not served")


def _servers(directives: tuple[Directive, ...]) -> Iterator[_Server]:
    for outer in (one for one in directives if one.name in ("http", "stream")):
        shared, switched = own(outer, "ssl_certificate"), _is_on(outer)
        for server in (one for one in outer.block or () if one.name == "server"):
            names = [word for one in server.block or () if one.name == "server_name" for word in one.words[1:]]
            listens = sockets(server)
            if outer.name == "stream" and DEFAULT in listens and listens[DEFAULT] is server:
                listens = {}
            yield _Server(listens, names, own(server, "ssl_certificate") or shared, switched or _is_on(server))


def _is_on(block: Directive) -> bool:
    return any(one.words[1] == "on" for one in own(block, "ssl"))


def leads_into(path: str, folder: str, base: str) -> bool:
    """Whether this path, or a link on its way, lies in the folder; of a text with a variable that is not known."""
    if "$" in path or path.startswith(("data:", "engine:", "store:")):
        return False
    current = os.path.join(base, path)
    for _link in range(LINKS):
        if _real_folder(current) == os.path.realpath(folder):
            return True
        if not paths.is_link(current):
            return False
        current = os.path.join(os.path.dirname(current), os.readlink(current))
    return False


def may_lead_into(text: str, folder: str, base: str) -> bool:
    """Whether a text with variables may stand for a path in the folder."""
    if "$" not in text or text.startswith("data:"):
        return "$" in text
    parts = re.split(r"\$\{\w+\}|\$\w+", text)
    whole = text if text.startswith(("/", "$")) else os.path.join(base, text)
    parts = re.split(r"\$\{\w+\}|\$\w+", whole)
    pattern = ".*".join(map(re.escape, parts))
    folders = {folder, os.path.realpath(folder)}
    return any(re.fullmatch(pattern, os.path.join(one, f"{kind}.pem")) for one in folders for kind in ("fullchain", "cert")) or (
        parts[0] == "" and parts[-1] == ""
    )


def _real_folder(path: str) -> str:
    return os.path.realpath(os.path.dirname(path))


def _asked(
    server: _Server, servers: Sequence[_Server], tls: Collection[str], proxied: Collection[str], wanted: Collection[str]
) -> tuple[Listener, ...]:
    """How to ask a server that chooses by a variable: by each name of the certificate that leads to it, else by its own."""
    own_names = x509.host_names(server.names)
    names = [name.replace("*", "irctl", 1) for name in sorted(wanted) if not own_names or not x509.uncovered([name], own_names)]
    listeners = []
    for address in (one for one in server.sockets if one in tls):
        default = _name_for(server, servers, address)
        listeners += [Listener(address, name, address in proxied) for name in names or ([default] if default is not None else [])]
    return tuple(dict.fromkeys(listeners))


def _name_for(server: _Server, servers: Sequence[_Server], address: str) -> str | None:
    """The name that leads to this server; '' where it answers whoever gives none, and None where no name is known."""
    if names := x509.host_names(server.names):
        return names[0].replace("*", "irctl", 1)
    sharing = [one for one in servers if address in one.sockets]
    chosen = [one for one in sharing if {"default_server", "default"} & set(one.sockets[address].words)]
    return "" if (chosen or sharing)[0] is server else None
