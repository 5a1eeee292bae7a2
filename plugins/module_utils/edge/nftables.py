"""A block list as two nftables sets of a host, one for each IP version. The kernel lets go of what has a time by itself.

Additive: of the elements that are there, only those are touched that are to be removed, or to last longer.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import networks, programs
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import host_network
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked, Protected
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network, shown
from ansible_collections.irctl.runbooks.plugins.module_utils.values import duration

TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}
PROTOCOLS = {4: "ip", 6: "ip6"}
CHAIN = "irctl_drop"
PRIORITY = -310  # before connection tracking and every filter, so that connections that are open already stop too
HOOKS = ("prerouting", "input")
LOCK = "/run/irctl-nftables.lock"
PASSES = {"accept", "return", "jump", "goto", "queue", "vmap", "dnat", "redirect", "tproxy", "xt"}  # with these a packet may get by
TRIES = 5  # for one change, where elements come and go meanwhile
SLOW = 1_000_000  # nft compares each element that it deletes with each that there is; 1.2 s for this many pairs
PATIENCE = 120  # seconds for one call of nft

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,29}", re.ASCII)


class Element(NamedTuple):
    """One element of a set. `left` is in seconds, None for ever; `plain` where nft can write it again just as it is."""

    timeout: int | None = None
    left: int | None = None
    comment: str = ""
    plain: bool = True


Elements = Mapping[Network, Element]


class Unfit(Failure):
    """The table or a set of it is no block list."""


class Backend:
    """The sets NAME_v4 and NAME_v6 of `nft_set`, in the table `nft_table`."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._table, name = names(params["nft_table"], params["nft_set"])
        self._sets = {version: f"{name}_v{version}" for version in (4, 6)}

    def read(self) -> Blocked:
        place = {"backend": "nftables", "name": f"table {self._table}, sets {self._sets[4]} and {self._sets[6]}"}
        try:
            listing = self._listing()
        except Unfit as error:
            if self._params["record"] is not None or self._params["state"] == "removed":
                raise
            return Blocked(frozenset(), place, cannot=dict.fromkeys(TYPES, str(error)))
        found = elements(listing, self._sets)
        expires = {one: element.left for one, element in found.items() if element.left is not None}
        asked = networks.parse_all(self._params["addresses"])[0]
        return Blocked(frozenset(found), place, cannot={**self._absent(listing), **clashes(asked, found)}, expires=expires)

    def _absent(self, listing: list[Mapping[str, Any]]) -> dict[int, str]:
        there = [one["set"]["name"] for one in listing if "set" in one]
        why = "There is no set {} in the table {}. --create-rule makes it."
        return {
            version: why.format(name, self._table)
            for version, name in self._sets.items()
            if name not in there and not self._params["create_rule"]
        }

    def learnt(self) -> Protected:
        return host_network.protected()

    def shortcomings(self) -> list[str]:
        try:
            listing = self._listing()
        except Unfit as error:
            return [str(error)]
        asked = {one.version for one in networks.parse_all(self._params["addresses"])[0]}
        lacking = [name for version, name in self._sets.items() if version in asked and not drops(listing, name, version)]
        why = "no rule drops what is in it before another may let it through. --create-rule makes one."
        return [f"The set {name} blocks nothing: {why}" for name in lacking]

    def ready(self, check_mode: bool) -> None:
        if check_mode:
            self._listing()
            return
        with programs.alone(LOCK):
            self._apply(missing(self._listing(), self._table, self._sets))

    def write(self, add: frozenset[Network], remove: frozenset[Network], seconds: int | None) -> None:
        with programs.alone(LOCK):
            for attempt in range(1, TRIES + 1):
                found = self._elements()
                script = change(found, add, remove, seconds, {v: f"{self._table} {name}" for v, name in self._sets.items()})
                try:
                    return self._apply(script)
                except Failure:
                    if attempt == TRIES or self._elements().keys() == found.keys():
                        raise

    def _apply(self, script: str) -> None:
        """All of the script or nothing of it, once the kernel has said that it would take it."""
        if script:
            programs.output(["nft", "-c", "-f", "-"], script, PATIENCE)
            programs.output(["nft", "-f", "-"], script, PATIENCE)

    def _elements(self) -> dict[Network, Element]:
        return elements(self._listing(), self._sets)

    def _listing(self) -> list[Mapping[str, Any]]:
        """What is in the table, as nft's JSON has it; nothing where there is no such table."""
        if f"table {self._table}" not in programs.output(["nft", "list", "tables"]).splitlines():
            return []
        family, table = self._table.split()
        # Not all of this is in the JSON of nft 1.0, and a dormant table makes it crash.
        if said := unfit(programs.output(["nft", "-t", "list", "table", family, table]), list(self._sets.values())):
            raise Unfit(said)
        return list(json.loads(programs.output(["nft", "-j", "list", "table", family, table], seconds=PATIENCE))["nftables"])


def names(table: str, name: str) -> tuple[str, str]:
    """Check what the sets are called. Raises ValueError."""
    family, _, own = table.partition(" ")
    if family != "inet" or not _IDENTIFIER.fullmatch(own):
        raise ValueError("edge_nft_table: the family inet and a name are needed, such as 'inet irctl'")
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError("edge_nft_set: a name of letters, digits, dots and underscores is needed, such as blocked")
    return table, name


def unfit(text: str, sets: Iterable[str]) -> str:
    """Say what of a table, as nft prints it, makes its sets no block list; '' for nothing."""
    if re.search(r"^\s*flags .*dormant", text, re.MULTILINE):
        return "The table is dormant, so nothing in it has any effect. Nothing was changed."
    for name in sets:
        about = re.search(rf"^\tset {re.escape(name)} \{{\n(.*?)^\t\}}", text, re.MULTILINE | re.DOTALL)
        if about and "auto-merge" in about[1]:
            return f"The set {name} merges what it is given (auto-merge), so nothing can be taken out of it again just as it was."
        flags = re.search(r"^\s*flags (.*)$", about[1], re.MULTILINE) if about else None
        if about and not {"interval", "timeout"} <= set(flags[1].split(",") if flags else ()):
            return f"The set {name} needs the flags interval and timeout. Name another, or remove it and let --create-rule make it."
    return ""


def elements(listing: Iterable[Mapping[str, Any]], sets: Mapping[int, str]) -> dict[Network, Element]:
    """The elements of these sets, of nft's JSON. Raises Failure where one of them holds something else than addresses."""
    found: dict[Network, Element] = {}
    for about in (one["set"] for one in listing if "set" in one):
        for version in (version for version, name in sets.items() if name == about["name"]):
            if about["type"] != TYPES[version]:
                raise Failure(f"The set {about['name']} is of the type {about['type']}, not {TYPES[version]}.")
            for one in about.get("elem", []):
                found |= _element(one)
    return found


def _element(one: Any) -> dict[Network, Element]:
    about = one["elem"] if isinstance(one, dict) and "elem" in one else {"val": one}
    value = about["val"]
    ranged = isinstance(value, dict) and "range" in value
    plain = not ranged and about.keys() <= {"val", "timeout", "expires", "comment"}
    element = Element(about.get("timeout"), about.get("expires"), about.get("comment", ""), plain)
    if ranged:
        first, last = map(ipaddress.ip_address, value["range"])
        return dict.fromkeys(ipaddress.summarize_address_range(first, last), element)
    text = f"{value['prefix']['addr']}/{value['prefix']['len']}" if isinstance(value, dict) else value
    return {ipaddress.ip_network(text): element}


def clashes(asked: Iterable[Network], found: Elements) -> dict[int, str]:
    """A sentence for each IP version of which something holds an element within it: nftables takes no such set."""
    wide = networks.covering(new := [one for one in networks.narrowed(asked) if one not in found])
    hit = {around: other for other in networks.ordered(found) if (around := wide(other))} if new else {}
    return {one.version: _overlap(one, other, found[other]) for one, other in hit.items()}


def _overlap(one: Network, other: Network, element: Element) -> str:
    until = "" if element.left is None else f" for {duration(element.left)} more"
    return (
        f"{shown(one)} overlaps {shown(other)}, which is blocked{until}, and nftables takes no overlapping elements. "
        f"Take that out first, or block the parts around it."
    )


def change(found: Elements, add: Iterable[Network], remove: Iterable[Network], seconds: int | None, sets: Mapping[int, str]) -> str:
    """The script that makes the change; '' where there is nothing to do. One that was to last longer anyway stays as it is."""
    new = {one for one in add if one not in found or not _outlives(found[one], seconds)}
    gone = {one for one in remove if one in found} - new
    script = ""
    for version, name in sets.items():
        here = {one: element for one, element in found.items() if one.version == version}
        making = {one: Element(seconds) for one in new if one.version == version}
        ending = {one for one in here if one in gone or one in making}
        if len(ending) * len(here) > SLOW and all(element.plain for element in here.values()):
            making |= {one: element for one, element in here.items() if one not in ending and element.left != 0}
            script += f"flush set {name}\n"
        elif ending:
            script += f"delete element {name} {{ {', '.join(map(shown, networks.ordered(ending)))} }}\n"
        if making:
            script += f"create element {name} {{ {', '.join(_written(one, making[one]) for one in networks.ordered(making))} }}\n"
    return script


def _outlives(element: Element, seconds: int | None) -> bool:
    return element.left is None or (seconds is not None and element.left >= seconds)


def _written(one: Network, element: Element) -> str:
    words = [shown(one)]
    words += [f"timeout {element.timeout}s"] if element.timeout else []
    words += [f"expires {element.left}s"] if element.left else []
    words += [f'comment "{element.comment}"'] if element.comment else []
    return " ".join(words)


def drops(listing: Iterable[Mapping[str, Any]], name: str, version: int) -> bool:
    """Whether a rule that asks for nothing else, and before which none lets a packet by, drops all from the set as they come in."""
    listing = list(listing)
    chains = {one["chain"]["name"] for one in listing if "chain" in one and one["chain"].get("hook") in HOOKS}
    rules = [one["rule"] for one in listing if "rule" in one]
    for chain in chains:
        first = takewhile(lambda parts: not _passes(parts), (rule["expr"] for rule in rules if rule["chain"] == chain))
        if any(_drops(parts, name, version) for parts in first):
            return True
    return False


def _passes(parts: Iterable[Mapping[str, Any]]) -> bool:
    return any(part.keys() & PASSES for part in parts)


def _drops(parts: Iterable[Mapping[str, Any]], name: str, version: int) -> bool:
    source = {"payload": {"protocol": PROTOCOLS[version], "field": "saddr"}}
    wanted = {"op": "==", "left": source, "right": f"@{name}"}
    working = [part for part in parts if not part.keys() & {"counter", "log"}]
    return len(working) == 2 and working[0].get("match") == wanted and bool(working[1].keys() & {"drop", "reject"})


def missing(listing: list[Mapping[str, Any]], table: str, sets: Mapping[int, str]) -> str:
    """The script that makes what is not there yet of the table, the sets, our chain and its rules; '' where all is there."""
    there = {(kind, one[kind]["name"]) for one in listing for kind in ("set", "chain") if kind in one}
    lines = [] if listing else [f"add table {table}"]
    for version, name in sets.items():
        if ("set", name) not in there:
            lines.append(f"add set {table} {name} {{ type {TYPES[version]}; flags interval,timeout; }}")
    rules = [
        f"insert rule {table} {CHAIN} {PROTOCOLS[version]} saddr @{name} counter drop"
        for version, name in sets.items()
        if not drops(listing, name, version)
    ]
    if rules and ("chain", CHAIN) not in there:
        lines.append(f"add chain {table} {CHAIN} {{ type filter hook prerouting priority {PRIORITY}; policy accept; }}")
    return "".join(f"{line}\n" for line in [*lines, *rules])
