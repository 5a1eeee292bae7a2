"""What block-ip refuses, adds, keeps and says, and how each AWS backend reads what it finds."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import block_list as lists
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import network_acl, waf
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.modules import block_list

PARAMS: dict[str, Any] = {
    "addresses": ["91.1.2.3"], "protected": ["91.9.0.0/16"], "protected_none": False, "allow_private": False,
    "widest_v4": 24, "widest_v6": 48, "limit": 10_000, "drills": None,
}  # fmt: skip
PLACE = {"backend": "wafv2", "name": "blocked"}
ARN = "arn:aws:wafv2:eu-central-1:1:regional/ipset/blocked/7"
HELD = waf.IPSet("blocked", "7", ARN, "token", "", ())


def said(*addresses: str, **more: Any) -> list[str]:
    return lists.misread({**PARAMS, "addresses": list(addresses), **more})


def nets(*texts: str) -> frozenset[networks.Network]:
    return frozenset(map(networks.parse, texts))


def test_what_may_be_blocked_is_not_refused() -> None:
    assert said("91.1.2.3", "91.1.2.0/24", "2a00:1450:4::/48") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.1.2.3", "10.1.2.3 is in 10.0.0.0/8, private; --allow-private yes blocks it all the same."),
        ("192.168.0.0/24", "192.168.0.0/24 is in 192.168.0.0/16, private; --allow-private yes blocks it all the same."),
        ("198.51.100.7", "198.51.100.7 is in 198.51.100.0/24, for documentation; --allow-private yes blocks it all the same."),
        ("fd12::/48", "fd12::/48 is in fc00::/7, private; --allow-private yes blocks it all the same."),
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
    assert (len(reasons), reasons[-1]) == (4, "So with 47 more.")


def test_protected_networks_that_are_missing_or_cannot_be_read_refuse() -> None:
    assert said("91.1.2.3", protected=None) == ["No networks are protected. Set edge_protected, or edge_protected_none: true."]
    assert said("91.1.2.3", protected=[], protected_none=True) == []
    assert said("91.1.2.3", protected=["91.9.0.0/16", "office"])[0].startswith("edge_protected cannot be read: 'office'")


def test_what_lies_within_an_entry_is_blocked_already_and_only_the_rest_is_added() -> None:
    plan = lists.plan(nets("91.1.2.3", "91.1.3.0/24", "91.1.3.9", "2a00::1"), nets("91.1.2.0/24", "91.1.3.7"))
    assert (plan.add, plan.there) == (nets("91.1.3.0/24", "2a00::1"), nets("91.1.2.3"))


def test_what_was_learnt_and_what_does_not_fit_refuses() -> None:
    blocked = Blocked(nets("91.1.2.3"), PLACE, room={4: 1, 6: 0}, cannot={6: "No set for IPv6."})
    assert lists.refusals(nets("91.1.2.3", "91.1.2.4"), blocked, {}) == []
    reasons = lists.refusals(nets("91.1.2.4", "91.1.2.5", "2a00::1"), blocked, {networks.parse("91.1.2.0/24"): "ours"})
    assert reasons == [
        "91.1.2.4 overlaps 91.1.2.0/24, ours.",
        "91.1.2.5 overlaps 91.1.2.0/24, ours.",
        "No set for IPv6.",
        "2 IPv4 entries would be added to blocked, but it holds 1 and has room for 1 more.",
    ]


def test_a_record_holds_what_was_there_and_what_is_added_and_only_that_is_taken_out() -> None:
    record = lists.record(lists.Plan(add=nets("91.1.2.4"), there=nets("91.1.2.3")), PLACE)
    assert record == {"captured": {"blocked": ["91.1.2.3"]}, "sets": {"blocked": ["91.1.2.4"]}, "on": PLACE}
    assert lists.check(record) == nets("91.1.2.4")


def test_an_entry_without_an_end_is_not_of_a_run_whose_entries_all_had_one() -> None:
    blocked = Blocked(nets("91.1.2.3", "91.1.2.4"), PLACE, expires=dict.fromkeys(nets("91.1.2.4"), 60))
    for ends, left in ((True, nets("91.1.2.4")), (False, nets("91.1.2.3", "91.1.2.4"))):
        record = lists.record(lists.Plan(add=blocked.entries, there=nets()), PLACE, ends)
        assert lists.left(lists.check(record), blocked, record) == left


@pytest.mark.parametrize(
    "spoil", [{"sets": {}}, {"sets": {"blocked": "91.1.2.4"}}, {"sets": {"blocked": ["office"]}}, {"on": {}}, {"captured": {}}]
)
def test_what_is_no_record_of_a_block_list_is_refused(spoil: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not what a block list keeps"):
        lists.check({"captured": {"blocked": []}, "sets": {"blocked": []}, "on": PLACE, **spoil})


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
    text = block_list._text(lists.record(lists.Plan(many, frozenset()), PLACE))
    assert len(text) < LARGEST_RECORD


# --- AWS WAF ---


def rule(action: str, statement: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Name": "r", "Priority": 1, "Action": {action: {}}, "Statement": statement, **more}


USES: dict[str, Any] = {"IPSetReferenceStatement": {"ARN": ARN}}
OTHER: dict[str, Any] = {"IPSetReferenceStatement": {"ARN": "arn:other"}}


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([rule("Block", USES)], ""),
        ([rule("Count", USES), rule("Block", {"OrStatement": {"Statements": [OTHER, USES]}})], ""),
        ([], "no rule of the web ACL shop uses it"),
        ([rule("Block", OTHER)], "no rule of the web ACL shop uses it"),
        ([rule("Count", USES)], "has the action Count, not Block"),
        ([rule("Block", {"NotStatement": {"Statement": USES}})], "together with other conditions only"),
        ([rule("Block", {"AndStatement": {"Statements": [USES, OTHER]}})], "together with other conditions only"),
        ([{"Name": "r", "Priority": 1, "OverrideAction": {"None": {}}, "Statement": OTHER}], "no rule of the web ACL shop uses it"),
    ],
)
def test_a_set_blocks_only_where_a_rule_blocks_every_address_in_it(rules: list[Any], why: str) -> None:
    found = waf.lacking({"Name": "shop", "Rules": rules}, HELD)
    assert why in found
    assert bool(found) == bool(why)


def test_a_rule_is_made_before_the_first_and_makes_room_where_there_is_none() -> None:
    [ours, theirs] = waf.with_rule([rule("Allow", OTHER, Priority=4)], [ARN])
    assert (ours["Priority"], theirs["Priority"], ours["Statement"]) == (3, 4, USES)
    [ours, *rest] = waf.with_rule([rule("Allow", OTHER, Priority=0), rule("Count", OTHER, Priority=1)], [ARN])
    assert (ours["Priority"], [one["Priority"] for one in rest]) == (0, [1, 2])
    [ours] = waf.with_rule([], [ARN])
    assert ours["Priority"] == 0


def test_what_somebody_has_added_to_a_rule_of_ours_stays_in_it() -> None:
    more = {"GeoMatchStatement": {"CountryCodes": ["KP"]}}
    theirs = rule("Block", {"OrStatement": {"Statements": [USES, more]}}, Name=waf.RULE, RuleLabels=[{"Name": "list"}])
    theirs["Action"] = {"Block": {"CustomResponse": {"ResponseCode": 429}}}
    [ours] = waf.with_rule([theirs], ["arn:v6"])
    added = {"IPSetReferenceStatement": {"ARN": "arn:v6"}}
    assert ours == {**theirs, "Statement": {"OrStatement": {"Statements": [USES, more, added]}}}
    assert waf.with_rule([theirs], [ARN]) == [theirs]


def test_a_rule_of_ours_that_somebody_has_changed_is_left_to_them() -> None:
    with pytest.raises(Failure, match="given it another action than Block"):
        waf.with_rule([rule("Count", USES, Name=waf.RULE)], [ARN])


def test_entries_are_written_as_aws_stores_them_and_read_however_it_tells_them() -> None:
    assert [waf.as_stored(one) for one in networks.ordered(nets("91.1.2.3", "2a00:1450:4::/48"))] == [
        "91.1.2.3/32",
        "2a00:1450:0004:0000:0000:0000:0000:0000/48",
    ]
    held = waf.IPSet("n", "i", "a", "t", "", ("2A00:1450:4::/48", "nonsense", "91.1.2.3/32"))
    assert held.with_changes(nets("2a00:1450:4::/48", "91.1.2.4"), nets("91.1.2.3")) == [
        "2A00:1450:4::/48",
        "nonsense",
        "91.1.2.4/32",
    ]


# --- network ACLs ---


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


# --- the module, without any place ---


class Place:
    """A backend that is a set in memory."""

    def __init__(self, entries: frozenset[networks.Network], lacks: list[str] | None = None, soon: int = 0) -> None:
        self.entries, self.lacks, self.soon, self.calls = set(entries), lacks or [], soon, list[str]()
        self.cannot = ""

    def read(self) -> Blocked:
        expires = dict.fromkeys(self.entries, self.soon) if self.soon else {}
        return Blocked(frozenset(self.entries), PLACE, expires=expires)

    def learnt(self) -> lists.Protected:
        return {networks.parse("91.7.0.0/16"): "a load balancer of ours"}

    def shortcomings(self) -> list[str]:
        return self.lacks

    def ready(self, check_mode: bool) -> None:
        if self.cannot:
            raise Failure(self.cannot)
        if not check_mode:
            self.calls.append("ready")
            self.lacks = []

    def write(self, add: frozenset[networks.Network], remove: frozenset[networks.Network], seconds: int | None) -> None:
        self.calls.append("write")
        self.entries = (self.entries | add) - remove


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    defaults = {name: about.get("default") for name, about in block_list.ARGUMENTS.items()}

    def do(place: Place, state: str, *addresses: str, check: bool = False, **more: Any) -> dict[str, Any]:
        monkeypatch.setattr(block_list, "_backend", lambda params: place)
        params = {**defaults, **PARAMS, "backend": "wafv2", "state": state, "addresses": list(addresses), **more}
        return block_list.run(params, check)

    return do


def test_a_dry_run_says_what_would_be_done_and_does_nothing(step: Any) -> None:
    place = Place(nets("91.1.2.3"), ["It blocks nothing."])
    done = step(place, "changed", "91.1.2.3", "91.1.2.4", check=True, create_rule=True)
    assert (done["changed"], done["msg"]) == (True, "1 address would be blocked, what blocks them would be made")
    assert step(place, "changed", "91.1.2.3", check=True)["changed"] is False
    assert "It blocks nothing." in step(place, "proved", "91.1.2.4", check=True)["in_short"]
    assert place.calls == []


def test_a_dry_run_says_too_that_what_is_missing_cannot_be_made(step: Any) -> None:
    place = Place(nets(), ["It blocks nothing."])
    place.cannot = "No web ACL is named."
    for check in (True, False):
        with pytest.raises(Failure, match="No web ACL is named"):
            step(place, "changed", "91.1.2.4", check=check, create_rule=True)
    assert place.calls == []


@pytest.mark.parametrize("state", ["captured", "changed", "proved", "removed"])
def test_what_cannot_be_read_is_never_passed_over(step: Any, state: str) -> None:
    place = Place(nets("91.1.2.3"))
    for address in ("91.1.2.3/33", "attacker.example.com", "91.1.2.3/24"):
        with pytest.raises(Failure, match=f"'{address}': .*Nothing was changed"):
            step(place, state, "91.1.2.3", address, found={"add": [], "entries": [], "place": PLACE})
    assert place.calls == []


def test_nothing_is_added_that_no_revert_would_take_out(step: Any) -> None:
    """It was in the list when this run captured what it adds; another run's lease has ended since."""
    place = Place(nets("91.1.2.3"))
    found = step(place, "listed", "91.1.2.3", "91.1.2.4")["found"]
    place.entries = set()
    with pytest.raises(Failure, match=r"^91\.1\.2\.3 was in the list a moment ago and has left it\. Run it again\. Nothing was "):
        step(place, "changed", "91.1.2.3", "91.1.2.4", found=found)
    assert place.calls == []


def test_what_makes_the_list_take_effect_is_made_before_it_is_written(step: Any) -> None:
    place = Place(nets(), ["It blocks nothing."])
    assert step(place, "changed", "91.1.2.4", create_rule=True)["msg"] == "1 address blocked, what blocks them made"
    assert place.calls == ["ready", "write"]


def test_the_change_itself_refuses_too(step: Any) -> None:
    place = Place(nets())
    for address in ("10.0.0.1", "91.9.1.1", "91.7.1.1", "0.0.0.0/0"):
        with pytest.raises(Failure, match=r"Nothing was changed\."):
            step(place, "changed", address)
    assert place.calls == []


def test_an_entry_that_goes_by_itself_is_told(step: Any) -> None:
    found = step(Place(nets("91.1.2.3"), soon=90), "proved", "91.1.2.3")
    assert found["in_short"] == "1 in the list, 1 address of them only for 90 s and more"
    within = step(Place(nets("91.1.2.0/24"), soon=5), "proved", "91.1.2.3")
    assert within["in_short"] == "1 in the list, 1 address of them only for 5 s and more"


def test_a_list_without_effect_and_a_missing_address_are_failures(step: Any) -> None:
    with pytest.raises(Failure, match=r"1 address is in the list\. It blocks nothing\."):
        step(Place(nets("91.1.2.3"), ["It blocks nothing."]), "proved", "91.1.2.3")
    with pytest.raises(Failure, match=r"Not in the list: 91\.1\.2\.4\."):
        step(Place(nets("91.1.2.3")), "proved", "91.1.2.3", "91.1.2.4")


def test_nothing_ever_means_all_of_them(step: Any) -> None:
    with pytest.raises(ValueError, match="at least one is needed"):
        step(Place(nets()), "changed")


# --- what AWS says ---


def test_a_message_of_aws_is_one_line_without_keys_or_tokens() -> None:
    text = "User: AKIAIOSFODNN7EXAMPLE\nhas wJalrXUtnFEMIKxK7MDENGxbPxRfiCYEXAMPLEKEY\x1b[31m and may not"
    shown = str(clients.explained("get_ip_set", {"Code": "AccessDeniedException", "Message": text}))
    assert "AKIA" not in shown
    assert "wJalr" not in shown
    assert "\x1b" not in shown
    assert "\n" not in shown
    assert shown.startswith("AWS refused get_ip_set: the role may not do that (User: (hidden) has (hidden)")


def test_an_address_of_a_load_balancer_is_learnt_from_its_interface() -> None:
    class Ec2:
        def describe_vpcs(self, **given: Any) -> dict[str, Any]:
            first = {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "CidrBlockAssociationSet": [{"CidrBlock": "10.1.0.0/16"}]}
            second = {"VpcId": "vpc-2", "Ipv6CidrBlockAssociationSet": [{"Ipv6CidrBlock": "2a05:d014::/56"}]}
            return {"Vpcs": [second]} if given else {"Vpcs": [first], "NextToken": "more"}

        def describe_network_interfaces(self, **given: Any) -> dict[str, Any]:
            balancer = {"NetworkInterfaceId": "eni-1", "Description": "ELB app/shop", "Association": {"PublicIp": "91.7.1.1"}}
            other = {"NetworkInterfaceId": "eni-2", "PrivateIpAddresses": [{"Association": {"PublicIp": "91.7.1.2"}}, {}]}
            return {"NetworkInterfaces": [balancer, other]}

        def describe_addresses(self) -> dict[str, Any]:
            return {"Addresses": [{"PublicIp": "91.7.1.1"}, {"PublicIp": "91.7.1.3"}]}

    found = clients.own_networks(Ec2())
    assert {networks.shown(one): what for one, what in found.items()} == {
        "10.0.0.0/16": "a network of vpc-1",
        "10.1.0.0/16": "a network of vpc-1",
        "2a05:d014::/56": "a network of vpc-2",
        "91.7.1.1": "an address of our own (ELB app/shop)",
        "91.7.1.2": "an address of our own (eni-2)",
        "91.7.1.3": "an Elastic IP address of our own",
    }
