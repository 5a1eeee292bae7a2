"""The elements of nftables sets, and the script that changes them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.edge import nftables_sets
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.nftables_sets import Element, change, clashes, elements
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network, parse

SETS = {4: "blocked_v4", 6: "blocked_v6"}
FULL = {4: "inet irctl blocked_v4", 6: "inet irctl blocked_v6"}


def one(*texts: str) -> set[Network]:
    return set(map(parse, texts))


def held(*elem: Any, version: int = 4, **more: Any) -> list[dict[str, Any]]:
    """A listing as nft prints it."""
    about = {"name": SETS[version], "type": nftables_sets.TYPES[version], "elem": list(elem), **more}
    return [{"metainfo": {}}, {"set": about}]


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
