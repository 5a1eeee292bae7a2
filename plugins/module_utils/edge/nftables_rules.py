"""The rules of an nftables table: whether what is in a set is dropped, and the script that makes what is missing. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.edge.nftables_sets import TYPES

PROTOCOLS = {4: "ip", 6: "ip6"}
CHAIN = "irctl_drop"
PRIORITY = -310  # before connection tracking and every filter, so that connections that are open already stop too
HOOKS = ("prerouting", "input")
PASSES = {"accept", "return", "jump", "goto", "queue", "vmap", "dnat", "redirect", "tproxy", "xt"}  # with these a packet may get by


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
    existing = {(kind, one[kind]["name"]) for one in listing for kind in ("set", "chain") if kind in one}
    lines = [] if listing else [f"add table {table}"]
    for version, name in sets.items():
        if ("set", name) not in existing:
            lines.append(f"add set {table} {name} {{ type {TYPES[version]}; flags interval,timeout; }}")
    rules = [
        f"insert rule {table} {CHAIN} {PROTOCOLS[version]} saddr @{name} counter drop"
        for version, name in sets.items()
        if not drops(listing, name, version)
    ]
    if rules and ("chain", CHAIN) not in existing:
        lines.append(f"add chain {table} {CHAIN} {{ type filter hook prerouting priority {PRIORITY}; policy accept; }}")
    return "".join(f"{line}\n" for line in [*lines, *rules])


def unfit(text: str, sets: Iterable[str]) -> str:
    """Say what of a table, as nft prints it, makes its sets no block list; '' for nothing."""
    if re.search(r"^\s*flags .*dormant", text, re.MULTILINE):
        return "The table is dormant, so nothing in it has any effect. Nothing was changed."
    for name in sets:
        definition = re.search(rf"^\tset {re.escape(name)} \{{\n(.*?)^\t\}}", text, re.MULTILINE | re.DOTALL)
        if definition and "auto-merge" in definition[1]:
            return f"The set {name} merges what it is given (auto-merge), so nothing can be taken out of it again just as it was."
        flags = re.search(r"^\s*flags (.*)$", definition[1], re.MULTILINE) if definition else None
        if definition and not {"interval", "timeout"} <= set(flags[1].split(",") if flags else ()):
            return f"The set {name} needs the flags interval and timeout. Name another, or remove it and let --create-rule make it."
    return ""
