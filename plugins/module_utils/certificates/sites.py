"""Which servers of nginx have a certificate, by its configuration: those that are known, those that may be, and what is doubted."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import openssl, x509
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import server_names
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import own
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.listening import DEFAULT, sockets
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Directive
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

LINKS = 40  # as many as the kernel follows
TLS = ("http", "stream", "mail")  # the blocks whose servers may have a certificate


class Listener(NamedTuple):
    """Where a server answers, as nginx writes it, and the name by which it is asked; '' for none."""

    address: str
    name: str
    proxied: bool  # a PROXY line is expected before the handshake

    def __str__(self) -> str:
        return f"{self.address} ({self.name})" if self.name else self.address


class Candidate(NamedTuple):
    """A server of which only a handshake tells what it shows: it chooses by a variable, or no plain name leads to it .

    `ours` says that it is to be doubted where it shows another one: it has ours, or several.
    """

    listeners: tuple[Listener, ...]
    names: frozenset[str]
    certificate: Directive
    ours: bool = False


class Site(NamedTuple):
    """The servers of one certificate, those that may be, what cannot be judged, and what stands in the way, as sentences."""

    listeners: tuple[Listener, ...]
    names: frozenset[str]
    doubts: tuple[Doubt, ...]
    candidates: tuple[Candidate, ...] = ()
    obstacles: tuple[str, ...] = ()


class _Server(NamedTuple):
    sockets: Mapping[str, Directive]
    names: list[str]
    certificates: list[Directive]
    ssl: bool  # by the old directive `ssl on`
    unseen: list[Directive]  # by which it shows a certificate where no handshake is tried


def site(
    directives: tuple[Directive, ...],
    folder: str,
    archive: str,
    base: str,
    wanted: Collection[str] = (),
    issued: Collection[str] = (),
) -> Site:
    """Which servers have their certificate in this folder of links into `archive`; relative paths begin at `base`.

    `wanted` are the names that the certificate is for: by them servers are asked to which no plain name leads, or that choose
    theirs by a variable. `issued` are the sha256 of the lineage's certificates, by which copies of them are known.
    """
    servers = list(_servers(directives))
    tls = {address for one in servers for address, listen in one.sockets.items() if one.ssl or "ssl" in listen.words}
    proxied = {address for one in servers for address, listen in one.sockets.items() if "proxy_protocol" in listen.words}
    ours = [one for one in servers if any(leads_into(path.words[1], folder, base) for path in one.certificates)]
    others = [one for one in servers if one not in ours]
    addressed = [(one, address, _name_for(one, servers, address)) for one in ours for address in one.sockets if address in tls]
    listeners = [Listener(address, name, address in proxied) for _one, address, name in addressed if name is not None]
    names = frozenset(name for one in ours for name in x509.host_names(one.names))

    def candidate(one: _Server, is_ours: bool) -> Candidate:
        listeners = _asked(one, servers, tls, proxied, wanted)
        return Candidate(listeners, names, one.certificates[0], is_ours or len(one.certificates) > 1)

    nameless = [one for one in ours if any(server is one and name is None for server, _address, name in addressed)]
    variable = [one for one in others if any(may_lead_into(path.words[1], folder, base) for path in one.certificates)]
    candidates = [*(candidate(one, True) for one in nameless), *(candidate(one, False) for one in variable)]
    doubts = [*_unseen(ours, tls), *_pinned(others, archive, base), *_copies(others, archive, base, issued)]
    return Site(tuple(dict.fromkeys(listeners)), names, tuple(doubts), tuple(candidates), tuple(_obstacles(ours)))


def _obstacles(ours: Sequence[_Server]) -> Iterator[str]:
    for one in ours:
        if len(one.certificates) > 1:
            name, number = printable((one.names or ["_"])[0], 80), len(one.certificates)
            yield f"The server {name} has {number} certificates. Which of them is served cannot be told."


def _pinned(servers: Sequence[_Server], archive: str, base: str) -> Iterator[Doubt]:
    """Servers whose certificate lies in the archive itself."""
    for one in servers:
        for path in one.certificates:
            if _is_in_archive(path.words[1], archive, base):
                yield Doubt(str(path), path.place, "it leads to one version, past the links of certbot, so a new one is not served")


def _is_in_archive(path: str, archive: str, base: str) -> bool:
    return "$" not in path and _real_folder(os.path.join(base, path)) == os.path.realpath(archive)


def _copies(servers: Sequence[_Server], archive: str, base: str, issued: Collection[str]) -> Iterator[Doubt]:
    """Servers whose certificate is one of the lineage's, and lies elsewhere."""
    for one in servers:
        for path in one.certificates:
            if not _is_in_archive(path.words[1], archive, base) and _leaf(path.words[1], base) in issued:
                yield Doubt(str(path), path.place, "it is a copy of a certificate of this lineage, so a new one is not served")


def _leaf(text: str, base: str) -> str:
    """The sha256 of the certificate that a server is given as a file or as it is; '' where that is not known."""
    with suppress(Failure):
        if "$" not in text:
            found = openssl.blocks(text, text) if text.startswith("data:") else openssl.chain(os.path.join(base, text))
            return found[0].sha256
    return ""


def _unseen(servers: Sequence[_Server], tls: Collection[str]) -> Iterator[Doubt]:
    """Servers that show their certificate only in ways that are not tried: after STARTTLS, or over QUIC."""
    for one in servers:
        if not any(address in tls for address in one.sockets):
            for directive in one.unseen:
                yield Doubt(str(directive), directive.place, "no handshake is tried that way, so what is shown there is not seen")


def _servers(directives: tuple[Directive, ...]) -> Iterator[_Server]:
    for outer in (one for one in directives if one.name in TLS):
        shared, switched, starttls = own(outer, "ssl_certificate"), _is_on(outer), own(outer, "starttls")
        for server in (one for one in outer.block or () if one.name == "server"):
            names = [word for one in server.block or () if one.name == "server_name" for word in one.words[1:]]
            listens = sockets(server)
            if outer.name != "http" and DEFAULT in listens and listens[DEFAULT] is server:
                listens = {}
            unseen = [one for one in own(server, "starttls") or starttls if one.words[1] != "off"]
            unseen += [one for one in own(server, "listen") if "quic" in one.words]
            yield _Server(listens, names, own(server, "ssl_certificate") or shared, switched or _is_on(server), unseen)


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
    names = [name.replace("*", "irctl", 1) for name in sorted(wanted) if not x509.is_address(name)]
    listeners = []
    for address in (one for one in server.sockets if one in tls):
        leading = [name for name in names if server_names.selected(name, _sharing(servers, address)) == servers.index(server)]
        default = _name_for(server, servers, address)
        listeners += [Listener(address, name, address in proxied) for name in leading or ([default] if default is not None else [])]
    return tuple(dict.fromkeys(listeners))


def _name_for(server: _Server, servers: Sequence[_Server], address: str) -> str | None:
    """The name that leads to this server; '' where it answers whoever gives none, and None where no name is known."""
    sharing, this = _sharing(servers, address), servers.index(server)
    for name in x509.host_names(server.names):
        if server_names.selected(asked := name.replace("*", "irctl", 1), sharing) == this:
            return asked
    return "" if server_names.default(sharing) == this else None


def _sharing(servers: Sequence[_Server], address: str) -> list[server_names.Sharing]:
    """The servers of an address, in their order."""
    listening = [(number, one) for number, one in enumerate(servers) if address in one.sockets]
    return [server_names.Sharing(number, one.names, one.sockets[address].words) for number, one in listening]
