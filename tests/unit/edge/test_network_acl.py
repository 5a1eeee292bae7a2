"""Which entries of a network ACL block, and which numbers are free."""

from __future__ import annotations

from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import network_acl


def entry(number: int, cidr: str, action: str = "deny", **more: Any) -> dict[str, Any]:
    where = "CidrBlock" if "." in cidr else "Ipv6CidrBlock"
    return {"RuleNumber": number, where: cidr, "RuleAction": action, "Protocol": "-1", "Egress": False, **more}


ENTRIES = [
    entry(2, "91.1.2.3/32"),
    entry(3, "91.1.2.4/32", Protocol="6", PortRange={"From": 22, "To": 22}),
    entry(4, "91.1.2.5/32", Egress=True),
    entry(5, "2a00::/48"),
    entry(7, "0.0.0.0/0", "allow"),
    entry(8, "91.1.2.6/32"),
    entry(101, "::/0", "allow"),
    entry(32767, "0.0.0.0/0"),
    entry(32768, "::/0"),
]


def test_only_a_deny_of_everything_before_the_first_rule_that_allows_blocks() -> None:
    assert network_acl.denied(ENTRIES) == {networks.parse("91.1.2.3"): [2], networks.parse("2a00::/48"): [5]}
    assert network_acl.denied(ENTRIES, late=True) == {networks.parse("91.1.2.6"): [8]}


def test_free_numbers_lie_between_the_first_and_the_first_rule_that_allows() -> None:
    assert network_acl.free_numbers(ENTRIES, 1) == [1, 4, 6]
    assert network_acl.free_numbers(ENTRIES, 7) == []
    closed = [one for one in ENTRIES if one["RuleAction"] == "deny"]
    assert network_acl.free_numbers(closed, 32760)[-1] == 32766
    assert networks.parse("91.1.2.6") in network_acl.denied(closed)
    assert not any(one.prefixlen == 0 for one in network_acl.denied(closed)), "AWS's own last rule is no entry of ours"


def test_the_quota_counts_incoming_rules_of_each_version() -> None:
    assert (network_acl.incoming(ENTRIES, 4), network_acl.incoming(ENTRIES, 6)) == (5, 3)
