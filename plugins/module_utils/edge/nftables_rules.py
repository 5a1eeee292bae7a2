"""The rules of nftables: whether what is in a set is dropped, what cannot be judged, and what would mend it. Pure.

A drop proves that nothing comes in only where each packet passes it: in a base chain of type filter at the hook prerouting, or at
input, and also at forward where the host forwards (DNAT leads packets there, which is how Docker publishes ports). A chain of type
nat sees new connections only. Behind a flowtable, packets of connections under way pass no chain at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.edge.nftables_sets import TYPES
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt
from ansible_collections.irctl.runbooks.plugins.module_utils.values import duration

PROTOCOLS = {4: "ip", 6: "ip6"}
CHAIN = "irctl_drop"
PRIORITY = -310  # before connection tracking and every filter, so that connections that are open already stop too
DROPS = {"drop", "reject"}
HARMLESS = {"counter", "log", "limit", "mangle", "notrack"}  # these decide nothing; of a limit only without a verdict behind it
LEADS = {"jump", "goto"}
DEEPEST = 16  # chains that lead to chains, as many as the kernel takes

Rule = Sequence[Mapping[str, Any]]  # its parts, as nft's JSON has them


class Chain(NamedTuple):
    """A chain with its rules. `kind` and `hook` are '' where it is no base chain."""

    name: str
    kind: str
    hook: str
    rules: tuple[Rule, ...]


def chains(listing: Iterable[Mapping[str, Any]]) -> dict[str, Chain]:
    """The chains of one table."""
    listing = list(listing)
    rules = [one["rule"] for one in listing if "rule" in one]
    return {
        one["name"]: Chain(
            one["name"],
            one.get("type", "filter") if one.get("hook") else "",
            one.get("hook", ""),
            tuple(rule["expr"] for rule in rules if rule["chain"] == one["name"]),
        )
        for one in (entry["chain"] for entry in listing if "chain" in entry)
    }


def objection(listing: Iterable[Mapping[str, Any]], name: str, version: int, forwards: bool) -> str:
    """Say why not every packet from what is in the set is dropped as it comes in; '' where it is."""
    known = chains(listing)
    hooks = {chain.hook for chain in known.values() if chain.kind == "filter" and _drops_all(chain, known, name, version)}
    if "prerouting" in hooks or ("input" in hooks and ("forward" in hooks or not forwards)):
        return ""
    if "input" in hooks:
        return (
            f"What is in the set {name} is dropped at the hook input only, and this host forwards: packets that are forwarded, "
            "as to a published port, are let through."
        )
    using = [chain for chain in known.values() if any(f"'@{name}'" in repr(rule) for rule in chain.rules)]
    if any(chain.kind == "nat" for chain in using):
        return f"The set {name} is asked in a chain of type nat, which sees new connections only: those under way go on."
    if using:
        return f"The set {name} is asked in the chain {using[0].name}, but no rule there drops all that is in it."
    return f"The set {name} blocks nothing: no rule asks for it."


def doubts(ruleset: Iterable[Mapping[str, Any]]) -> Iterator[Doubt]:
    """What of all tables leads packets past the chains that are judged."""
    for entry in ruleset:
        if about := entry.get("flowtable"):
            place = f"{about['family']} {about['table']} {about['name']}"
            yield Doubt("flowtable", place, "packets of connections under way pass no chain behind it")
        chain = entry.get("rule", {}).get("chain", "")
        if any("fwd" in part for part in entry.get("rule", {}).get("expr", [])):
            place = f"{entry['rule']['family']} {entry['rule']['table']} {chain}"
            yield Doubt("fwd", place, "it hands packets to another interface before any other chain")
        if any(_writes_source(part) for part in entry.get("rule", {}).get("expr", [])):
            place = f"{entry['rule']['family']} {entry['rule']['table']} {chain}"
            yield Doubt("saddr set", place, "it writes another source into packets, and the sets are asked for that one")


def _writes_source(part: Mapping[str, Any]) -> bool:
    """Whether it changes the source address of a packet, or a place in it that only a number names."""
    payload = part["mangle"].get("key", {}).get("payload", {}) if "mangle" in part else {}
    return payload.get("field") == "saddr" or "base" in payload


def _drops_all(chain: Chain, known: Mapping[str, Chain], name: str, version: int) -> bool:
    """Whether a rule that asks for nothing else drops all from the set, and none before it lets any packet by."""
    for rule in chain.rules:
        if _is_from_set(rule, name, version) and _ends_in_drop(_verdict(rule), known):
            return True
        if _may_pass(rule, known):
            return False
    return False


def _is_from_set(rule: Rule, name: str, version: int) -> bool:
    """Whether the set is all that a rule asks for, but for the IP version that its addresses have anyway."""
    source = {"payload": {"protocol": PROTOCOLS[version], "field": "saddr"}}
    wanted = {"op": "==", "left": source, "right": f"@{name}"}
    matches = [part["match"] for part in rule if "match" in part]
    rest = [match for match in matches if match != wanted and not _is_version(match, version)]
    return wanted in matches and not rest and not any("limit" in part or "vmap" in part for part in rule)


def _is_version(match: Mapping[str, Any], version: int) -> bool:
    key = match.get("left", {}).get("meta", {}).get("key") if isinstance(match.get("left"), dict) else None
    return match.get("op") == "==" and (key, match.get("right")) in (("nfproto", f"ipv{version}"), ("protocol", PROTOCOLS[version]))


def _verdict(rule: Rule) -> Mapping[str, Any]:
    """The last part of a rule that decides anything; empty where none does."""
    parts = [part for part in rule if not part.keys() & (HARMLESS | {"match"})]
    return parts[0] if len(parts) == 1 else {}


def _ends_in_drop(verdict: Mapping[str, Any], known: Mapping[str, Chain], depth: int = 0) -> bool:
    """Whether a packet with this verdict is dropped, whichever it is; a jump is followed."""
    if verdict.keys() & DROPS:
        return True
    [target] = [verdict[way]["target"] for way in LEADS if way in verdict] or [""]
    if target not in known or depth == DEEPEST:
        return False
    for rule in known[target].rules:
        bare = not any("match" in part or "limit" in part for part in rule)
        if bare and _ends_in_drop(_verdict(rule), known, depth + 1):
            return True
        if _may_pass(rule, known, depth + 1, jumped=True):
            return False
    return False


def _may_pass(rule: Rule, known: Mapping[str, Chain], depth: int = 0, jumped: bool = False) -> bool:
    """Whether a packet may get by with this rule, or by what it leads to. In a chain that was jumped to, `return` passes too."""
    for part in rule:
        if part.keys() <= HARMLESS | DROPS | {"match", "set", "map", "continue", "ct helper", "quota", "comment"}:
            continue
        if not part.keys() & LEADS or depth == DEEPEST:
            return True
        target = next(part[way]["target"] for way in LEADS if way in part)
        inner = known[target].rules if target in known else None
        if inner is None or "goto" in part or any(_may_pass(one, known, depth + 1) for one in inner if not _returns(one)):
            return True
    return False


def _returns(rule: Rule) -> bool:
    return any("return" in part for part in rule)


def missing(listing: list[Mapping[str, Any]], table: str, sets: Mapping[int, str], forwards: Collection[int] = ()) -> str:
    """The script that makes what is not there yet of the table, the sets, our chain and its rules; '' where all is there.

    `forwards` are the IP versions that the host forwards.
    """
    existing = {(kind, one[kind]["name"]) for one in listing for kind in ("set", "chain") if kind in one}
    lines = [] if listing else [f"add table {table}"]
    for version, name in sets.items():
        if ("set", name) not in existing:
            lines.append(f"add set {table} {name} {{ type {TYPES[version]}; flags interval,timeout; }}")
    rules = [
        f"insert rule {table} {CHAIN} {PROTOCOLS[version]} saddr @{name} counter drop"
        for version, name in sets.items()
        if objection(listing, name, version, version in forwards)
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


def short_lived(listing: Iterable[Mapping[str, Any]], sets: Iterable[str]) -> dict[str, str]:
    """Of each set that lets go of everything by itself, a sentence: nothing lasts in it for good."""
    sets = set(sets)
    timed = [one["set"] for one in listing if "set" in one and one["set"]["name"] in sets and one["set"].get("timeout")]
    why = "The set {} lets go of everything after {}, so nothing stays in it for good. Block with --for, or name another set."
    return {one["name"]: why.format(one["name"], duration(one["timeout"])) for one in timed}
