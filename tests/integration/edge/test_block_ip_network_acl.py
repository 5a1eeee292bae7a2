"""block-ip by a network ACL, as far as moto is AWS: what goes out is looked at too, because moto takes what AWS refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from irctl.errors import FAILED, REFUSED
from tests.integration.edge.aws import Aws, addresses, block, do_all, refused, step

pytest.importorskip("moto")


def test_deny_entries_come_before_the_first_rule_that_allows_and_all_others_stay(edge: Aws) -> None:
    irctl = edge.irctl()
    edge.add_rule(2, "185.1.1.1/32")
    before = edge.rules()
    edge.forget()
    checked = block(irctl, "acl", "198.51.100.7", "2a00:1450:4::/48", "--check")
    assert (checked.code, checked.host("acl")["reason"]) == (0, "2 addresses would be blocked, 1 in the list"), checked.err
    assert edge.writes() == []
    done = block(irctl, "acl", "198.51.100.7", "185.1.1.1", "2a00:1450:4::/48")
    assert (done.code, done.host("acl")["reason"]) == (0, "2 addresses blocked, 3 in the list"), done.err
    assert edge.denied() == {1: "198.51.100.7/32", 2: "185.1.1.1/32", 3: "2a00:1450:4::/48"}
    for operation, asked in edge.writes():
        assert operation == "CreateNetworkAclEntry"
        assert (asked["Egress"], asked["Protocol"], asked["RuleAction"]) == ("false", "-1", "deny")
        assert "DryRun" not in asked, "moto's makes the entry"
    assert block(irctl, "acl", "198.51.100.7", "2a00:1450:4::/48").json["outcome"] == "unchanged"
    back = irctl("revert", done.json["run"], "--json")
    assert (back.code, back.host("acl")["reason"]) == (0, "2 addresses let through again, 1 in the list"), back.err
    assert edge.rules() == before


def test_an_entry_that_somebody_makes_meanwhile_is_stepped_over(edge: Aws, tamper: Any) -> None:
    came = iter([(1, "185.1.1.1/32"), (2, "185.1.1.2/32")])

    def meddle() -> None:
        for number, cidr in came:
            edge.add_rule(number, cidr)
            return

    tamper("ec2.CreateNetworkAclEntry", meddle)
    step(edge.params("nacl", "198.51.100.7", "198.51.100.7"), "changed")
    assert edge.denied() == {1: "185.1.1.1/32", 2: "185.1.1.2/32", 3: "198.51.100.7/32"}


def test_more_entries_than_the_quota_are_refused_before_any_is_made(edge: Aws) -> None:
    """Two of the twenty are the rule that allows and AWS's own last one."""
    done = block(edge.irctl(), "acl", *addresses(19))
    why = f"19 IPv4 entries would be added to {edge.nacl}, but it holds 0 and has room for 18 more."
    assert (done.code, done.host("acl")["reason"]) == (REFUSED, why)
    assert edge.writes() == []
    assert block(edge.irctl(), "acl", *addresses(18)).code == 0
    assert len(edge.denied()) == 18


def test_numbers_that_both_versions_share_are_counted_once(edge: Aws) -> None:
    edge.add_rule(4, "192.0.2.0/24", "allow")
    edge.forget()
    words = (*addresses(2), "2a00:1450:4::1", "2a00:1450:4::2")
    for more in ((), ("--check",)):
        done = block(edge.irctl(), "acl", *words, *more)
        assert (done.code, "has room for 1 more" in done.host("acl")["reason"]) == (REFUSED, True), done.out
    assert edge.writes() == []


def test_a_dry_run_makes_no_promise_that_the_change_would_not_keep(edge: Aws) -> None:
    vpc = edge.client("ec2").create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    edge.nacl = edge.client("ec2").create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    edge.forget()
    for host, more in (("acl", {}), ("waf", {"edge_wafv2_web_acl": ""})):
        about = edge.nacl_host() if host == "acl" else edge.waf_host(**more)
        done = block(edge.irctl(**{host: about}), host, "198.51.100.7", "--create-rule --check")
        assert (done.code, edge.writes()) == (FAILED, []), done.out


def test_no_number_below_the_first_rule_that_allows_is_no_room(edge: Aws) -> None:
    edge.add_rule(3, "192.0.2.0/24", "allow")
    edge.forget()
    done = block(edge.irctl(), "acl", *addresses(3))
    assert (done.code, "has room for 2 more" in done.host("acl")["reason"]) == (REFUSED, True), done.out
    assert edge.writes() == []


def test_a_deny_after_a_rule_that_allows_or_for_one_port_is_no_block(edge: Aws) -> None:
    edge.add_rule(200, "198.51.100.7/32")
    params = edge.params("nacl", "198.51.100.7")
    with pytest.raises(Failure, match=r"Not in the list: 198\.51\.100\.7"):
        step(params, "proved")
    do_all(params)
    assert edge.denied() == {1: "198.51.100.7/32", 200: "198.51.100.7/32"}


def test_a_revert_finds_its_entries_whatever_number_is_the_first_now_and_names_those_that_it_leaves(edge: Aws) -> None:
    edge.add_rule(200, "198.51.100.7/32")
    done = block(edge.irctl(acl=edge.nacl_host(edge_nacl_first_rule=10)), "acl", "198.51.100.7")
    assert edge.denied() == {10: "198.51.100.7/32", 200: "198.51.100.7/32"}, done.err
    moved = edge.irctl(acl=edge.nacl_host(edge_nacl_first_rule=50))
    assert block(moved, "acl", "198.51.100.7").json["outcome"] == "unchanged"
    back = moved("revert", done.json["run"], "--json")
    assert edge.denied() == {200: "198.51.100.7/32"}, back.err
    reason = "1 address let through again, 0 in the list, rule 200 denies 198.51.100.7 after a rule that allows, and is left alone"
    assert (back.code, back.host("acl")["reason"]) == (0, reason)


def test_what_was_made_before_aws_refused_in_the_middle_is_told_and_can_be_taken_out(edge: Aws, tamper: Any) -> None:
    calls = iter(range(9))
    tamper("ec2.CreateNetworkAclEntry", lambda: refused("NetworkAclEntryLimitExceeded", "full") if next(calls) == 2 else None)
    params = edge.params("nacl", *addresses(4))
    found = step(params, "listed")["found"]
    record = json.loads(step(params, "captured", found=found)["evidence"]["revert.json"])
    with pytest.raises(Failure, match=r"NetworkAclEntryLimitExceeded: full 2 of 4 were added before that"):
        step(params, "changed", found=found)
    assert len(edge.denied()) == 2
    assert step(params, "changed", record=record)["msg"] == "2 addresses let through again, 2 gone already"
    assert edge.denied() == {}


def test_a_network_acl_of_no_subnet_blocks_nothing(edge: Aws) -> None:
    vpc = edge.client("ec2").create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    edge.nacl = edge.client("ec2").create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    params = edge.params("nacl", "198.51.100.7")
    step(params, "changed")
    with pytest.raises(Failure, match="blocks nothing: no subnet is associated with it"):
        step(params, "proved")
