"""Whether the rules of a table drop what is in a set, and the script that makes what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.edge import nftables_rules, nftables_sets
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.nftables_rules import doubts, missing, objection, short_lived

SETS = {4: "blocked_v4", 6: "blocked_v6"}


def held(*elem: Any, version: int = 4, **more: Any) -> list[dict[str, Any]]:
    """A listing as nft prints it."""
    about = {"name": SETS[version], "type": nftables_sets.TYPES[version], "elem": list(elem), **more}
    return [{"metainfo": {}}, {"set": about}]


def rule(*parts: Any, chain: str = "irctl_drop", hook: str = "prerouting") -> list[dict[str, Any]]:
    return [{"chain": {"name": chain, "hook": hook}}, {"rule": {"chain": chain, "expr": list(parts)}}]


def drops(listing: list[dict[str, Any]], name: str, version: int, forwards: bool = False) -> bool:
    return not objection(listing, name, version, forwards)


def source(name: str, operator: str = "==") -> dict[str, Any]:
    left = {"payload": {"protocol": "ip6" if name.endswith("6") else "ip", "field": "saddr"}}
    return {"match": {"op": operator, "left": left, "right": f"@{name}"}}


@pytest.mark.parametrize("working", [{"drop": None}, {"reject": {"type": "icmp"}}])
def test_a_rule_that_drops_all_of_the_set_makes_it_a_block_list(working: dict[str, Any]) -> None:
    listing = rule(source("blocked_v4"), {"counter": {"packets": 0}}, {"log": None}, working)
    assert drops(listing, "blocked_v4", 4)
    assert not drops(listing, "blocked_v6", 6)
    assert not drops(listing, "blocked", 4)


@pytest.mark.parametrize(
    "parts",
    [
        [source("blocked_v4", "!="), {"drop": None}],
        [source("blocked_v4"), {"limit": {"rate": 1}}, {"drop": None}],
        [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, source("blocked_v4"), {"drop": None}],
        [source("blocked_v4"), {"accept": None}],
        [source("blocked_v4"), {"counter": {}}],
    ],
)
def test_a_rule_that_drops_less_does_not(parts: list[Any]) -> None:
    assert not drops(rule(*parts), "blocked_v4", 4)


def test_a_rule_where_no_packet_comes_by_does_not() -> None:
    parts = [source("blocked_v4"), {"drop": None}]
    assert not drops([{"chain": {"name": "x"}}, {"rule": {"chain": "x", "expr": parts}}], "blocked_v4", 4)
    assert not drops(rule(*parts, hook="output"), "blocked_v4", 4)


@pytest.mark.parametrize("verdict", [{"accept": None}, {"jump": {"target": "x"}}, {"vmap": {}}])
def test_a_rule_before_which_another_lets_packets_by_does_not(verdict: dict[str, Any]) -> None:
    [chain, first] = rule({"match": {"op": "==", "left": {"payload": {}}, "right": 443}}, verdict)
    [_, dropping] = rule(source("blocked_v4"), {"drop": None})
    assert not drops([chain, first, dropping], "blocked_v4", 4)
    assert drops([chain, dropping, first], "blocked_v4", 4)


def test_only_what_is_missing_is_made() -> None:
    whole = missing([], "inet irctl", SETS)
    assert (whole.count("add "), whole.count("insert ")) == (4, 2)
    assert whole.startswith("add table inet irctl\nadd set inet irctl blocked_v4 { type ipv4_addr; flags interval,timeout; }\n")
    there = [*held(), *held(version=6), *rule(source("blocked_v4"), {"drop": None}), *rule(source("blocked_v6"), {"drop": None})]
    assert missing(there, "inet irctl", SETS) == ""
    assert missing(there[:-1], "inet irctl", SETS) == "insert rule inet irctl irctl_drop ip6 saddr @blocked_v6 counter drop\n"


def test_a_set_that_cannot_say_what_was_added_is_unfit() -> None:
    text = "table inet irctl {{\n{}\tset blocked_v4 {{\n\t\ttype ipv4_addr\n\t\tflags {}\n\t}}\n}}\n"
    assert nftables_rules.unfit(text.format("", "interval,timeout"), SETS.values()) == ""
    assert "auto-merge" in nftables_rules.unfit(text.format("", "interval,timeout\n\t\tauto-merge"), SETS.values())
    assert "needs the flags interval and timeout" in nftables_rules.unfit(text.format("", "interval"), SETS.values())
    odd = nftables_rules.unfit(text.format("", "timeout\n\t\tgc-interval 1h"), SETS.values())
    assert "needs the flags interval and timeout" in odd
    assert "dormant" in nftables_rules.unfit(text.format("\tflags dormant\n\n", "interval,timeout"), SETS.values())
    assert nftables_rules.unfit(text.format("", "interval"), ["other"]) == ""


DROP = [source("blocked_v4"), {"drop": None}]


def chain(name: str, hook: str = "", kind: str = "filter") -> dict[str, Any]:
    return {"chain": {"name": name, **({"hook": hook, "type": kind} if hook else {})}}


def rule_in(name: str, *parts: Any) -> dict[str, Any]:
    return {"rule": {"chain": name, "expr": list(parts)}}


@pytest.mark.parametrize("way", ["jump", "goto"])
def test_a_chain_that_logs_and_drops_is_followed(way: str) -> None:
    calls = rule_in("in", source("blocked_v4"), {way: {"target": "logdrop"}})
    log = rule_in("logdrop", {"limit": {"rate": 1}}, {"log": {"prefix": "x"}})
    listing = [chain("in", "prerouting"), chain("logdrop"), calls, log, rule_in("logdrop", {"counter": {}}, {"drop": None})]
    assert drops(listing, "blocked_v4", 4)
    some = rule_in("logdrop", {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}, {"return": None})
    assert not drops([*listing[:3], some, *listing[3:]], "blocked_v4", 4)
    assert not drops(listing[:4], "blocked_v4", 4)


def test_a_jump_before_the_drop_lets_by_only_where_its_chain_may() -> None:
    call, drop = rule_in("in", {"jump": {"target": "count"}}), rule_in("in", *DROP)
    match = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}
    listing = [chain("in", "prerouting"), chain("count"), call, drop]
    assert drops([*listing, rule_in("count", match, {"counter": {}}), rule_in("count", match, {"return": None})], "blocked_v4", 4)
    assert not drops([*listing, rule_in("count", match, {"accept": None})], "blocked_v4", 4)


def test_input_proves_nothing_where_the_host_forwards_unless_forward_drops_too() -> None:
    listing = [chain("in", "input"), rule_in("in", *DROP)]
    assert drops(listing, "blocked_v4", 4)
    assert "is dropped at the hook input only" in objection(listing, "blocked_v4", 4, True)
    assert drops([*listing, chain("fwd", "forward"), rule_in("fwd", *DROP)], "blocked_v4", 4, True)


def test_a_chain_of_type_nat_sees_new_connections_only() -> None:
    assert "of type nat" in objection([chain("in", "prerouting", "nat"), rule_in("in", *DROP)], "blocked_v4", 4, False)


def test_the_version_of_the_addresses_is_no_further_condition() -> None:
    version = {"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "ipv4"}}
    assert drops([chain("in", "input"), rule_in("in", version, *DROP)], "blocked_v4", 4)
    other = {"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "ipv6"}}
    assert not drops([chain("in", "input"), rule_in("in", other, *DROP)], "blocked_v4", 4)


def test_what_is_behind_a_flowtable_or_handed_on_is_doubted() -> None:
    table = {"flowtable": {"family": "inet", "table": "router", "name": "fast"}}
    handing = {"rule": {"family": "netdev", "table": "t", "chain": "c", "expr": [{"fwd": {"dev": "eth1"}}]}}
    assert [(one.what, one.place) for one in doubts([table, handing])] == [("flowtable", "inet router fast"), ("fwd", "netdev t c")]
    key = {"payload": {"protocol": "ip", "field": "saddr"}}
    writing = {"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [{"mangle": {"key": key, "value": "10.0.0.1"}}]}}
    marking = {
        "rule": {"family": "ip", "table": "t", "chain": "c", "expr": [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}}]}
    }
    assert [(one.what, one.place) for one in doubts([writing, marking])] == [("saddr set", "ip t c")]


def test_a_set_that_lets_go_of_everything_keeps_nothing_for_good() -> None:
    assert list(short_lived(held(timeout=3600), SETS.values())) == ["blocked_v4"]
    assert "after 1h" in short_lived(held(timeout=3600), SETS.values())["blocked_v4"]
    assert short_lived(held(), SETS.values()) == {}
