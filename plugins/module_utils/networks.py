"""IP addresses and networks that a person types: read strictly, and held against special and protected ranges. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

from ansible_collections.irctl.runbooks.plugins.module_utils.values import first_few, printable

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_V4 = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", re.ASCII)
_V6 = re.compile(r"(?=.*:)[0-9A-Fa-f:.]{2,45}", re.ASCII)
_BITS = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_HASH = re.compile(r"(\w+:)?[0-9A-Fa-f]{16,}", re.ASCII)
_NUMBER = re.compile(r"(0[xX][0-9A-Fa-f]+|[0-9]+)(\.(0[xX][0-9A-Fa-f]+|[0-9]+)){0,3}", re.ASCII)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def _table(lines: str) -> dict[Network, str]:
    pairs = (line.split(maxsplit=1) for line in lines.strip().splitlines())
    return {ipaddress.ip_network(text): name for text, name in pairs}


# No traffic that a block list is for comes from these.
NEVER = _table("""
0.0.0.0/8          "this network"
127.0.0.1/32       this host itself
169.254.0.0/16     link-local, the metadata address among it
224.0.0.0/4        multicast
240.0.0.0/4        reserved, broadcast among it
::/128             the unspecified address
::1/128            this host itself
fd00:ec2::/32      the metadata addresses of AWS
fe80::/10          link-local
ff00::/8           multicast
""")

# From the IANA registries of special-purpose addresses, because Python's own is_private changed from release to release.
SPECIAL = _table("""
10.0.0.0/8         private
100.64.0.0/10      shared by the customers of a carrier
127.0.0.0/8        loopback
172.16.0.0/12      private
192.0.0.0/24       for protocols
192.0.2.0/24       for documentation
192.88.99.0/24     6to4 relays
192.168.0.0/16     private
198.18.0.0/15      for benchmarks
198.51.100.0/24    for documentation
203.0.113.0/24     for documentation
64:ff9b::/96       IPv4 behind a translator
64:ff9b:1::/48     IPv4 behind a translator
100::/64           discarded
2001::/23          for protocols
2001:db8::/32      for documentation
2002::/16          6to4
3fff::/20          for documentation
fc00::/7           private
fec0::/10          private
""")


def parse(text: object) -> Network:
    """Read one address or CIDR, IPv4 or IPv6; whatever could be read in two ways is refused. Raises ValueError with the why."""
    if not isinstance(text, str):
        raise ValueError("text is needed, such as 203.0.113.0/24")
    return _parsed(text)


@lru_cache(1 << 15)  # a list of ten thousand is held against several things
def _parsed(text: str) -> Network:
    address, slash, bits = text.partition("/")
    _check_form(address)
    if slash and not _BITS.fullmatch(bits):
        raise ValueError("after the slash a plain number of bits is needed, such as /24")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("not an IP address or CIDR, such as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48") from None
    if network.prefixlen == 0:
        raise ValueError("that is every address there is")
    if network.network_address != ipaddress.ip_address(address):
        raise ValueError(f"bits are set after the first {bits}; {network} would be the network")
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError("an IPv4 address mapped into IPv6 matches no packet; give the IPv4 address")
    return network


def _check_form(address: str) -> None:
    if ":" in address and "%" in address:
        raise ValueError("a zone has no place in a block list; give the address without it")
    if _V4.fullmatch(address):
        if any(len(octet) > 1 and octet.startswith("0") for octet in address.split(".")):
            raise ValueError("a number with a leading zero is octal to some programs; write it without")
    elif _HASH.fullmatch(address):
        raise ValueError("a hash cannot be blocked; look up the raw address in the logs of the edge or the WAF")
    elif _NUMBER.fullmatch(address):
        raise ValueError("an IPv4 address has four decimal numbers, such as 203.0.113.7")
    elif not _V6.fullmatch(address):
        named = re.fullmatch(r"[\w.*-]+", address) and re.search(r"[A-Za-z]", address)
        host = "a host name can lead elsewhere at any time; give the addresses that the logs show"
        raise ValueError(host if named else "not an IP address or CIDR, such as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48")


def shown(network: Network) -> str:
    """The network as a person writes it: a single address without its length."""
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


def ordered(networks: Iterable[Network]) -> list[Network]:
    """IPv4 first, then by address; a network comes before those within it."""
    return sorted(networks, key=lambda one: (one.version, int(one.network_address), one.prefixlen))


def covering(networks: Iterable[Network]) -> Callable[[Network], Network | None]:
    """Make a function that finds the widest of these networks that holds the whole of a given one; quick for many."""
    find = _all_covering(networks)
    return lambda one: next(find(one), None)


def _all_covering(networks: Iterable[Network]) -> Callable[[Network], Iterator[Network]]:
    held = {(one.version, one.prefixlen, int(one.network_address)): one for one in networks}
    lengths = {version: sorted({key[1] for key in held if key[0] == version}) for version in (4, 6)}

    def find(one: Network) -> Iterator[Network]:
        start = int(one.network_address)
        for length in lengths[one.version]:
            shift = one.max_prefixlen - length
            if length <= one.prefixlen and (found := held.get((one.version, length, start >> shift << shift))):
                yield found

    return find


def overlaps(networks: Iterable[Network], others: Mapping[Network, str]) -> dict[Network, Network]:
    """Which of these networks share an address with one of the others, either way round: {network: the other}, in order."""
    wanted = ordered(networks)
    within, around = covering(others), _all_covering(wanted)
    inside = {one: other for other in others for one in around(other)}
    return {one: other for one in wanted if (other := within(one) or inside.get(one))}


def narrowed(networks: Iterable[Network]) -> frozenset[Network]:
    """Without those that lie within another of them."""
    kept: list[Network] = []
    for one in ordered(networks):
        if not kept or kept[-1].version != one.version or not one.subnet_of(kept[-1]):  # type: ignore[arg-type]
            kept.append(one)
    return frozenset(kept)


def listed(networks: Iterable[Network], most: int = 5) -> str:
    """Name some, and count the rest."""
    return first_few([shown(network) for network in ordered(networks)], most)


def parse_all(texts: Iterable[object]) -> tuple[frozenset[Network], list[str]]:
    """Read many; return the networks, and a sentence for each text that is none."""
    found, said = set(), []
    for text in texts:
        try:
            found.add(parse(text))
        except ValueError as error:
            said.append(f"{printable(text, 80)!r}: {error}.")
    return frozenset(found), said
