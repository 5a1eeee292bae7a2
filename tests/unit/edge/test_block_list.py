"""What block-ip refuses, adds and keeps."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import block_list as lists
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked

PARAMS: dict[str, Any] = {
    "addresses": ["91.1.2.3"], "protected": ["91.9.0.0/16"], "protected_none": False, "allow_private": False,
    "widest_v4": 24, "widest_v6": 48, "limit": 10_000, "drills": None,
}  # fmt: skip
PLACE = {"backend": "wafv2", "name": "blocked"}


def said(*addresses: str, **more: Any) -> list[str]:
    return lists.argument_errors({**PARAMS, "addresses": list(addresses), **more})


def nets(*texts: str) -> frozenset[networks.Network]:
    return frozenset(map(networks.parse, texts))


def test_what_may_be_blocked_is_not_refused() -> None:
    assert said("91.1.2.3", "91.1.2.0/24", "2a00:1450:4::/48") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.1.2.3", "10.1.2.3 is in 10.0.0.0/8, private; --allow-private blocks it all the same."),
        ("192.168.0.0/24", "192.168.0.0/24 is in 192.168.0.0/16, private; --allow-private blocks it all the same."),
        ("198.51.100.7", "198.51.100.7 is in 198.51.100.0/24, for documentation; --allow-private blocks it all the same."),
        ("fd12::/48", "fd12::/48 is in fc00::/7, private; --allow-private blocks it all the same."),
        ("100.64.0.0/24", "100.64.0.0/24 is in 100.64.0.0/10, shared by the customers of a carrier;"),
        ("91.1.0.0/16", "91.1.0.0/16 is wider than /24, the widest that may be blocked; --widest-v4 changes that."),
        ("2a00:1450::/32", "2a00:1450::/32 is wider than /48, the widest that may be blocked; --widest-v6 changes that."),
        ("91.9.1.1", "91.9.1.1 overlaps 91.9.0.0/16, protected by the inventory."),
    ],
)  # fmt: skip
def test_a_special_a_wide_and_a_protected_network_are_refused_with_the_reason(text: str, why: str) -> None:
    [found] = said(text)
    assert found.startswith(why)


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "169.254.169.254", "fd00:ec2::254", "fe80::1", "::1", "224.0.0.1", "0.1.2.3", "255.255.255.255"]
)
def test_some_addresses_are_never_blocked_whatever_is_allowed(text: str) -> None:
    assert len(said(text, allow_private=True, drills="allowed")) == 1


def test_private_ranges_are_blocked_where_that_is_asked_for() -> None:
    assert said("10.1.2.3", "fd12::/48", "127.0.0.2", allow_private=True) == []


def test_a_network_around_an_address_that_is_never_blocked_is_refused_too() -> None:
    assert "is never blocked" in said("169.254.169.0/24", allow_private=True)[0]


def test_the_address_of_the_drill_is_blocked_where_drills_are_allowed() -> None:
    assert said("198.51.100.7", drills="allowed") == []
    assert said("198.51.100.8", drills="allowed") != []
    assert said("198.51.100.7", drills="no") != []


def test_no_option_lets_a_whole_continent_be_blocked() -> None:
    assert "wider than /8" in said("64.0.0.0/5", widest_v4=0)[0]
    assert "wider than /19" in said("2a00::/12", widest_v6=0)[0]


def test_more_addresses_than_the_limit_are_refused_and_twice_the_same_is_one() -> None:
    assert said("91.1.2.3", "91.1.2.3/32", limit=1) == []
    assert said("91.1.2.3", "91.1.2.4", limit=1)[0].startswith("2 addresses are asked for and the limit is 1.")


def test_many_reasons_are_shortened() -> None:
    reasons = said(*(f"10.0.0.{number}" for number in range(50)))
    assert (len(reasons), reasons[-1]) == (4, "There are 47 more such reasons.")


def test_protected_networks_that_are_missing_or_cannot_be_read_refuse() -> None:
    assert said("91.1.2.3", protected=None) == ["No networks are protected. Set edge_protected, or edge_protected_none: true."]
    assert said("91.1.2.3", protected=[], protected_none=True) == []
    assert said("91.1.2.3", protected=["91.9.0.0/16", "office"])[0].startswith("edge_protected cannot be read: 'office'")


def test_what_lies_within_an_entry_is_blocked_already_and_only_the_rest_is_added() -> None:
    plan = lists.plan(nets("91.1.2.3", "91.1.3.0/24", "91.1.3.9", "2a00::1"), nets("91.1.2.0/24", "91.1.3.7"))
    assert (plan.add, plan.present) == (nets("91.1.3.0/24", "2a00::1"), nets("91.1.2.3"))


def test_what_was_learnt_and_what_does_not_fit_refuses() -> None:
    blocked = Blocked(nets("91.1.2.3"), PLACE, room={4: 1, 6: 0}, unsupported={6: "No set for IPv6."})
    assert lists.refusals(nets("91.1.2.3", "91.1.2.4"), blocked, {}) == []
    reasons = lists.refusals(nets("91.1.2.4", "91.1.2.5", "2a00::1"), blocked, {networks.parse("91.1.2.0/24"): "ours"})
    assert reasons == [
        "91.1.2.4 overlaps 91.1.2.0/24, ours.",
        "91.1.2.5 overlaps 91.1.2.0/24, ours.",
        "No set for IPv6.",
        "2 IPv4 entries would be added to blocked, but it holds 1 and has room for 1 more.",
    ]


def test_a_record_holds_what_was_there_and_what_is_added_and_only_that_is_taken_out() -> None:
    record = lists.record(lists.Plan(add=nets("91.1.2.4"), present=nets("91.1.2.3")), PLACE)
    assert record == {"captured": {"blocked": ["91.1.2.3"]}, "sets": {"blocked": ["91.1.2.4"]}, "on": PLACE}
    assert lists.added_networks(record) == nets("91.1.2.4")


def test_an_entry_without_an_end_is_not_of_a_run_whose_entries_all_had_one() -> None:
    blocked = Blocked(nets("91.1.2.3", "91.1.2.4"), PLACE, expires=dict.fromkeys(nets("91.1.2.4"), 60))
    for ends, left in ((True, nets("91.1.2.4")), (False, nets("91.1.2.3", "91.1.2.4"))):
        record = lists.record(lists.Plan(add=blocked.entries, present=nets()), PLACE, ends)
        assert lists.remaining(lists.added_networks(record), blocked, record) == left


@pytest.mark.parametrize(
    "spoil", [{"sets": {}}, {"sets": {"blocked": "91.1.2.4"}}, {"sets": {"blocked": ["office"]}}, {"on": {}}, {"captured": {}}]
)
def test_what_is_no_record_of_a_block_list_is_refused(spoil: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not what a block list keeps"):
        lists.added_networks({"captured": {"blocked": []}, "sets": {"blocked": []}, "on": PLACE, **spoil})


def test_a_revert_on_another_list_is_refused_and_on_another_backend_also_by_force() -> None:
    place = {**PLACE, "v4": "7"}
    record = lists.record(lists.Plan(nets(), nets()), place)
    assert lists.objections(Blocked(nets(), place), record, False) == []
    anew = Blocked(nets(), {**PLACE, "v4": "8"})
    assert (len(lists.objections(anew, record, False)), lists.objections(anew, record, True)) == (1, [])
    assert len(lists.objections(Blocked(nets(), {"backend": "nacl"}), record, True)) == 1


def test_a_set_that_is_named_beside_it_since_does_not_stand_in_the_way_of_a_revert() -> None:
    record = lists.record(lists.Plan(nets(), nets()), {**PLACE, "v4": "7"})
    both = Blocked(nets(), {"backend": "wafv2", "name": "blocked and blocked-v6", "v4": "7", "v6": "9"})
    assert lists.objections(both, record, False) == []
    by_name = lists.record(lists.Plan(nets(), nets()), PLACE)
    assert len(lists.objections(Blocked(nets(), {**PLACE, "name": "another"}), by_name, False)) == 1


def test_the_largest_record_fits_what_a_revert_reads() -> None:
    from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import LARGEST_RECORD

    many = frozenset(ipaddress.ip_network((0x2A00 << 112 | (1 << 80) - 1 - (number << 3), 128)) for number in range(10_000))
    text = lists.as_document(lists.record(lists.Plan(many, frozenset()), PLACE))
    assert len(text) < LARGEST_RECORD
