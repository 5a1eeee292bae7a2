"""The elements of the nftables sets of a block list: as they are, and the script that changes them. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network, shown
from ansible_collections.irctl.runbooks.plugins.module_utils.values import duration

TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}
SLOW = 1_000_000  # nft compares each element that it deletes with each that there is; 1.2 s for this many pairs


class Element(NamedTuple):
    """One element of a set. `left` is in seconds, None for ever; `plain` where nft can write it again just as it is."""

    timeout: int | None = None
    left: int | None = None
    comment: str = ""
    plain: bool = True


Elements = Mapping[Network, Element]


def elements(listing: Iterable[Mapping[str, Any]], sets: Mapping[int, str]) -> dict[Network, Element]:
    """The elements of these sets, of nft's JSON. Raises Failure where one of them holds something else than addresses."""
    result: dict[Network, Element] = {}
    for definition in (one["set"] for one in listing if "set" in one):
        for version in (version for version, name in sets.items() if name == definition["name"]):
            if definition["type"] != TYPES[version]:
                raise Failure(f"The set {definition['name']} is of the type {definition['type']}, not {TYPES[version]}.")
            for one in definition.get("elem", []):
                result |= _element(one)
    return result


def _element(one: Any) -> dict[Network, Element]:
    settings = one["elem"] if isinstance(one, dict) and "elem" in one else {"val": one}
    value = settings["val"]
    ranged = isinstance(value, dict) and "range" in value
    plain = not ranged and settings.keys() <= {"val", "timeout", "expires", "comment"}
    element = Element(settings.get("timeout"), settings.get("expires"), settings.get("comment", ""), plain)
    if ranged:
        first, last = map(ipaddress.ip_address, value["range"])
        return dict.fromkeys(ipaddress.summarize_address_range(first, last), element)
    text = f"{value['prefix']['addr']}/{value['prefix']['len']}" if isinstance(value, dict) else value
    return {ipaddress.ip_network(text): element}


def clashes(asked: Iterable[Network], current: Elements) -> dict[int, str]:
    """A sentence for each IP version of which something holds an element within it: nftables takes no such set."""
    wide = networks.covering(new := [one for one in networks.narrowed(asked) if one not in current])
    hit = {around: other for other in networks.ordered(current) if (around := wide(other))} if new else {}
    return {one.version: _overlap(one, other, current[other]) for one, other in hit.items()}


def _overlap(one: Network, other: Network, element: Element) -> str:
    until = "" if element.left is None else f" for {duration(element.left)} more"
    return (
        f"{shown(one)} overlaps {shown(other)}, which is blocked{until}, and nftables takes no overlapping elements. "
        f"Take that out first, or block the parts around it."
    )


def change(
    current: Elements, add: Iterable[Network], remove: Iterable[Network], seconds: int | None, sets: Mapping[int, str]
) -> str:
    """The script that makes the change; '' where there is nothing to do. One that was to last longer anyway stays as it is."""
    new = {one for one in add if one not in current or not _outlives(current[one], seconds)}
    gone = {one for one in remove if one in current} - new
    script = ""
    for version, name in sets.items():
        here = {one: element for one, element in current.items() if one.version == version}
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
