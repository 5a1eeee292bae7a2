"""Whose address nginx sees in each server: the client's, or that of a proxy before it. Pure.

nginx believes a proxy about the client's address only where set_real_ip_from names it; real_ip_header and real_ip_recursive say
what it believes. Each is inherited by a server, or location, that has none of its own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt, Findings
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import every, named, own
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.listening import sockets
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Directive

FORWARDED = re.compile(
    r"\$\{?(http_(x_forwarded_for|forwarded|x_real_ip|x_client_ip|true_client_ip|cf_connecting_ip|fastly_client_ip"
    r"|x_cluster_client_ip|x_original_forwarded_for)|proxy_add_x_forwarded_for|proxy_protocol_addr)\b"
)
KEYED = ("map", "geo", "split_clients", "set", "limit_req_zone", "limit_conn_zone", "if")
RECORDS = re.compile(r"log_format|access_log|add_header|\w+_set_header|\w+_param|error_log")  # what is only told on
ONLY_PROXY = "so nginx sees only the proxy's address there"


class RealIp(NamedTuple):
    """What holds in one place: whom nginx believes, about which header, and whether it looks past proxies that it believes."""

    trusted: tuple[Directive, ...] = ()
    header: Directive | None = None
    recursive: bool = False

    def within(self, block: Directive) -> RealIp:
        trusted, header = tuple(own(block, "set_real_ip_from")), own(block, "real_ip_header")
        recursive = own(block, "real_ip_recursive")
        return RealIp(
            trusted or self.trusted,
            header[-1] if header else self.header,
            recursive[-1].words[1] == "on" if recursive else self.recursive,
        )


def proxies(directives: Iterable[Directive]) -> list[str]:
    """Whom nginx believes somewhere about the client's address, but for those who believe everybody: addresses, networks, names."""
    words = [one.words[1] for one in named(directives, "set_real_ip_from") if len(one.words) > 1]
    return [word for word in words if word != "unix:" and not _is_everybody(word)]


def judge(directives: tuple[Directive, ...]) -> Findings:
    """Where nginx sees a proxy's address, and where that cannot be told."""
    result, servers = Findings(), list(_servers(directives))
    listens = [pair for server, _outer, _stream in servers for pair in sockets(server).items()]
    through_proxy = {address: listen for address, listen in listens if "proxy_protocol" in listen.words}
    for server, outer, stream in servers:
        for block, real_ip in _places(server, outer):
            result += _at(block, real_ip, server, through_proxy, stream)
    return result + _behind_stream(directives, servers) + _keys(directives, servers)


def _servers(directives: Iterable[Directive]) -> Iterator[tuple[Directive, RealIp, bool]]:
    for top in directives:
        if top.name in ("http", "stream"):
            outer = RealIp().within(top)
            yield from ((one, outer, top.name == "stream") for one in top.block or () if one.name == "server")


def _places(block: Directive, outer: RealIp) -> Iterator[tuple[Directive, RealIp]]:
    """A server, and each location in it that says anything of its own."""
    here = outer.within(block)
    if block.name == "server" or here != outer:
        yield block, here
    for inner in (one for one in block.block or () if one.name == "location"):
        yield from _places(inner, here)


def _at(block: Directive, real_ip: RealIp, server: Directive, through_proxy: Mapping[str, Directive], stream: bool) -> Findings:
    name = "proxy_protocol" if stream else real_ip.header.words[1].lower() if real_ip.header else "x-real-ip"
    listens = sockets(server)
    proxied = next((through_proxy[address] for address in listens if address in through_proxy), None)
    local = next((one for address, one in listens.items() if address.startswith("unix:")), None)
    if not real_ip.trusted:
        sign = proxied or real_ip.header or local
        return Findings((_blind(sign),)) if sign else Findings()
    doubts = []
    if proxied and name != "proxy_protocol":
        why = f"the client's address comes by the PROXY protocol, and nginx takes that of {name} in {block.place}"
        doubts.append(Doubt(str(proxied), proxied.place, why))
    if local and not any(one.words[1] == "unix:" for one in real_ip.trusted):
        doubts.append(Doubt(str(local), local.place, "no 'set_real_ip_from unix:' holds there, so its requests have no address"))
    doubts += [
        Doubt(str(one), one.place, "it believes everybody, so whoever is on the list may claim another address")
        for one in real_ip.trusted
        if _is_everybody(one.words[1])
    ]
    if name == "x-forwarded-for" and not real_ip.recursive and not _is_single(real_ip.trusted):
        header = real_ip.header or real_ip.trusted[0]
        why = "of two proxies in a row nginx takes one for the client; 'real_ip_recursive on' looks past those it trusts"
        doubts.append(Doubt(str(header), header.place, why))
    return Findings(doubts=tuple(doubts))


def _blind(sign: Directive) -> str:
    return f"'{sign}' in {sign.place} shows that proxies are before nginx, and no set_real_ip_from names them, {ONLY_PROXY}."


def _is_everybody(text: str) -> bool:
    return text.endswith("/0")


def _is_single(trusted: tuple[Directive, ...]) -> bool:
    """Whether one address alone is trusted, so that there are no two in a row."""
    try:
        return len({ipaddress.ip_network(one.words[1], strict=False) for one in trusted}) == 1 and (
            ipaddress.ip_network(trusted[0].words[1], strict=False).num_addresses == 1
        )
    except ValueError:
        return len(trusted) == 1 and trusted[0].words[1] == "unix:"


def _behind_stream(directives: Iterable[Directive], servers: list[tuple[Directive, RealIp, bool]]) -> Findings:
    """A stream server that hands connections on to a server of http here, whose clients all have this host's address then."""
    doubts = []
    ports = {address.rpartition(":")[2] for server, _outer, stream in servers if not stream for address in sockets(server)}
    plain = {
        address.rpartition(":")[2]
        for server, outer, stream in servers
        if not stream and not outer.within(server).trusted
        for address in sockets(server)
    }
    streams = [one for one in directives if one.name == "stream"]
    targets = [
        *named(streams, "proxy_pass"),
        *(one for up in named(streams, "upstream") for one in named(up.block or (), "server")),
    ]
    for one in (one for one in targets if len(one.words) > 1):
        host, _colon, port = one.words[1].rpartition(":")
        if port in plain & ports and (host in ("127.0.0.1", "localhost", "[::1]") or host.startswith("unix")):
            doubts.append(Doubt(str(one), one.place, "it hands connections on to a server of http here, which sees only this host"))
    return Findings(doubts=tuple(doubts))


def _keys(directives: Iterable[Directive], servers: list[tuple[Directive, RealIp, bool]]) -> Findings:
    """What decides by a header that only proxies write, while some server believes none about the client's address."""
    if all(outer.within(server).trusted for server, outer, stream in servers if not stream):
        return Findings()
    known = list(every(directives))
    why = "it decides by what a proxy says of the client, and some server has no set_real_ip_from, so it may see only a proxy"
    return Findings(doubts=tuple(Doubt(str(one), one.place, why) for one in known if _decides(one, known)))


def _decides(directive: Directive, known: list[Directive]) -> bool:
    """Whether it has such a key, and what it makes of that is used for more than to be told on."""
    if directive.name == "geo" and any(one.name == "proxy" for one in directive.block or ()):
        return True
    keyed = directive.name in KEYED and any(FORWARDED.search(word) for word in directive.words)
    return keyed and (not (result := _result(directive)) or _is_used(result, known, frozenset()))


def _result(directive: Directive) -> str:
    """The variable that a map, geo, split_clients or set makes; '' for what makes none."""
    if directive.name == "set":
        return directive.words[1]
    return directive.words[-1] if directive.block is not None and directive.words[-1].startswith("$") else ""


def _is_used(variable: str, known: list[Directive], seen: frozenset[str]) -> bool:
    """Whether something more than a record of requests depends on a variable, be it by way of other variables."""
    used = re.compile(rf"\$\{{?{re.escape(variable[1:])}\b")
    users = [one for one in known if _result(one) != variable and any(used.search(word) for word in one.words)]
    return any(
        _is_used(result, known, seen | {variable}) if (result := _result(one)) and result not in seen else not result
        for one in users
        if not RECORDS.fullmatch(one.name)
    )
