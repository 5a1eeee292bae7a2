"""What block-ip reads of nftables and of the host's network, and the scripts that it hands to nft."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.edge import host_network, nftables
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.host_network import Ancestor, addresses, gateways, managers
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.nftables import Element, change, clashes, drops, elements, missing
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network, parse

SETS = {4: "blocked_v4", 6: "blocked_v6"}
FULL = {4: "inet irctl blocked_v4", 6: "inet irctl blocked_v6"}


def one(*texts: str) -> set[Network]:
    return set(map(parse, texts))


def held(*elem: Any, version: int = 4, **more: Any) -> list[dict[str, Any]]:
    """A listing as nft prints it."""
    about = {"name": SETS[version], "type": nftables.TYPES[version], "elem": list(elem), **more}
    return [{"metainfo": {}}, {"set": about}]


def rule(*parts: Any, chain: str = "irctl_drop", hook: str = "prerouting") -> list[dict[str, Any]]:
    return [{"chain": {"name": chain, "hook": hook}}, {"rule": {"chain": chain, "expr": list(parts)}}]


def source(name: str, operator: str = "==") -> dict[str, Any]:
    left = {"payload": {"protocol": "ip6" if name.endswith("6") else "ip", "field": "saddr"}}
    return {"match": {"op": operator, "left": left, "right": f"@{name}"}}


def test_elements_are_read_with_what_is_left_of_their_time() -> None:
    timed = {"elem": {"val": {"prefix": {"addr": "91.0.2.0", "len": 24}}, "timeout": 60, "expires": 59, "comment": "ana"}}
    found = elements(held("91.0.0.1", {"prefix": {"addr": "91.0.1.0", "len": 24}}, timed), SETS)
    assert found == {parse("91.0.0.1"): Element(), parse("91.0.1.0/24"): Element(), parse("91.0.2.0/24"): Element(60, 59, "ana")}


def test_a_range_is_read_as_the_networks_that_it_is_made_of_and_never_written_again() -> None:
    found = elements(held({"range": ["91.0.0.1", "91.0.0.3"]}), SETS)
    assert found == dict.fromkeys(one("91.0.0.1", "91.0.0.2/31"), Element(plain=False))


def test_a_set_of_another_type_is_no_block_list() -> None:
    with pytest.raises(Failure, match="blocked_v4 is of the type inet_service, not ipv4_addr"):
        elements(held(type="inet_service"), SETS)
    assert elements([{"set": {"name": "other", "type": "inet_service", "elem": [22]}}], SETS) == {}


def test_both_versions_are_added_in_one_script_and_nothing_else_is_in_it() -> None:
    script = change({parse("91.0.0.9"): Element()}, one("91.0.0.1", "2a00:1450::/48", "91.0.1.0/24"), [], 600, FULL)
    assert script.splitlines() == [
        "create element inet irctl blocked_v4 { 91.0.0.1 timeout 600s, 91.0.1.0/24 timeout 600s }",
        "create element inet irctl blocked_v6 { 2a00:1450::/48 timeout 600s }",
    ]


def test_without_a_lease_an_element_has_no_end() -> None:
    assert change({}, one("91.0.0.1"), [], None, FULL) == "create element inet irctl blocked_v4 { 91.0.0.1 }\n"


@pytest.mark.parametrize(("left", "seconds"), [(None, None), (None, 60), (600, 60), (60, 60)])
def test_what_lasts_longer_already_is_left_alone(left: int | None, seconds: int | None) -> None:
    assert change({parse("91.0.0.1"): Element(left, left)}, one("91.0.0.1"), [], seconds, FULL) == ""


@pytest.mark.parametrize(("seconds", "written"), [(600, "91.0.0.1 timeout 600s"), (None, "91.0.0.1")])
def test_what_ends_sooner_is_replaced_in_the_same_transaction(seconds: int | None, written: str) -> None:
    script = change({parse("91.0.0.1"): Element(60, 30)}, one("91.0.0.1"), [], seconds, FULL)
    assert script.splitlines() == [
        "delete element inet irctl blocked_v4 { 91.0.0.1 }",
        f"create element inet irctl blocked_v4 {{ {written} }}",
    ]


def test_only_what_is_there_is_removed_and_only_as_it_was_added() -> None:
    found = {parse("91.0.1.0/24"): Element(), parse("91.0.2.0/24"): Element()}
    script = change(found, [], one("91.0.1.0/24", "91.0.1.7", "91.0.0.0/22", "91.0.9.9"), None, FULL)
    assert script == "delete element inet irctl blocked_v4 { 91.0.1.0/24 }\n"


def test_many_are_removed_by_writing_the_others_again_with_the_time_that_they_have_left() -> None:
    many = {parse(f"91.{number >> 8}.{number & 255}.7"): Element() for number in range(2000)}
    others = {parse("45.155.205.9"): Element(86400, 3000, "ana"), parse("45.155.205.10"): Element(9, 0)}
    script = change({**many, **others}, [], many, None, FULL)
    assert script.splitlines() == [
        "flush set inet irctl blocked_v4",
        'create element inet irctl blocked_v4 { 45.155.205.9 timeout 86400s expires 3000s comment "ana" }',
    ]
    odd = {parse("45.155.205.9"): Element(plain=False)}
    assert change({**many, **odd}, [], many, None, FULL).startswith("delete element ")


def test_a_network_around_an_element_is_said_to_clash_and_one_within_an_element_is_not() -> None:
    found = {parse("45.155.205.9"): Element(600, 300), parse("91.0.0.0/24"): Element()}
    assert clashes(one("91.0.0.7", "91.0.0.0/24", "45.155.205.10", "2a00:1450::/48"), found) == {}
    said = clashes(one("45.155.205.0/24", "45.155.205.9"), found)
    assert list(said) == [4]
    assert said[4].startswith("45.155.205.0/24 overlaps 45.155.205.9, which is blocked for 5m more, and nftables takes no ")


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
    assert nftables.unfit(text.format("", "interval,timeout"), SETS.values()) == ""
    assert "auto-merge" in nftables.unfit(text.format("", "interval,timeout\n\t\tauto-merge"), SETS.values())
    assert "needs the flags interval and timeout" in nftables.unfit(text.format("", "interval"), SETS.values())
    odd = nftables.unfit(text.format("", "timeout\n\t\tgc-interval 1h"), SETS.values())
    assert "needs the flags interval and timeout" in odd
    assert "dormant" in nftables.unfit(text.format("\tflags dormant\n\n", "interval,timeout"), SETS.values())
    assert nftables.unfit(text.format("", "interval"), ["other"]) == ""


@pytest.mark.parametrize("table", ["irctl", "ip irctl", "inet a b", "inet a;b", "inet ", "inet -x", ""])
def test_a_table_is_named_with_the_family_inet(table: str) -> None:
    with pytest.raises(ValueError, match="edge_nft_table"):
        nftables.names(table, "blocked")


def test_the_name_of_a_set_is_no_way_into_the_script() -> None:
    with pytest.raises(ValueError, match="edge_nft_set"):
        nftables.names("inet irctl", "x { } ; flush ruleset")


def test_own_addresses_and_gateways_are_read_from_what_ip_prints() -> None:
    links = [{"addr_info": [{"local": "127.0.0.1"}, {"local": "fe80::1"}]}, {"addr_info": [{}, {"local": "91.0.0.1"}]}, {}]
    assert addresses(links) == one("127.0.0.1", "fe80::1", "91.0.0.1")
    hops = [{"gateway": "91.0.0.254"}, {"nexthops": [{"gateway": "91.0.0.253"}]}, {"via": {"host": "fe80::2"}}, {"dev": "ppp0"}]
    assert gateways(hops) == one("91.0.0.254", "91.0.0.253", "fe80::2")


def test_where_ssh_comes_from_is_read_from_sockets_and_from_what_ssh_told_its_children() -> None:
    sockets = """\
0      0         91.0.0.1:22       91.0.0.7:50000 users:(("sshd",pid=7,fd=4),("sshd",pid=5,fd=4))
0      0      [2a00::1]:22     [2a00::7]:50000
0      0      [::ffff:91.0.0.1]:2222   [::ffff:91.0.0.8]:50000 users:(("sshd-session",pid=9,fd=4))
0      0      [fe80::1]%eth0:22 [fe80::7%eth0]:50000
0      0         91.0.0.1:443       91.0.0.9:50000 users:(("nginx",pid=8,fd=4))
"""
    descent = [Ancestor("python3", ""), Ancestor("bash", "91.0.0.10"), Ancestor("systemd", "")]
    assert managers(sockets, descent) == one("91.0.0.7", "2a00::7", "91.0.0.8", "fe80::7", "91.0.0.10")


def test_a_host_that_is_managed_by_ssh_from_nobody_knows_where_is_not_touched() -> None:
    with pytest.raises(Failure, match="where from cannot be read"):
        managers("", [Ancestor("python3", ""), Ancestor("sshd-session", "")])
    assert managers("", [Ancestor("python3", ""), Ancestor("tmux: server", "")]) == set()


def test_this_process_descends_from_others() -> None:
    found = list(host_network.ancestors(os.getpid()))
    assert len(found) > 1
    with pytest.raises(Failure, match="/proc does not show who manages this host"):
        list(host_network.ancestors(1 << 30))
