"""Whether the rules of a web ACL block a set, and the rule that is made where none does."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.edge import ip_set, web_acl
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure

ARN = "arn:aws:wafv2:eu-central-1:1:regional/ipset/blocked/7"
HELD = ip_set.IPSet("blocked", "7", ARN, "token", "", ())


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
    found = web_acl.objection({"Name": "shop", "Rules": rules}, HELD)
    assert why in found
    assert bool(found) == bool(why)


def test_a_rule_is_made_before_the_first_and_makes_room_where_there_is_none() -> None:
    [ours, theirs] = web_acl.with_rule([rule("Allow", OTHER, Priority=4)], [ARN])
    assert (ours["Priority"], theirs["Priority"], ours["Statement"]) == (3, 4, USES)
    [ours, *rest] = web_acl.with_rule([rule("Allow", OTHER, Priority=0), rule("Count", OTHER, Priority=1)], [ARN])
    assert (ours["Priority"], [one["Priority"] for one in rest]) == (0, [1, 2])
    [ours] = web_acl.with_rule([], [ARN])
    assert ours["Priority"] == 0


def test_what_somebody_has_added_to_a_rule_of_ours_stays_in_it() -> None:
    more = {"GeoMatchStatement": {"CountryCodes": ["KP"]}}
    theirs = rule("Block", {"OrStatement": {"Statements": [USES, more]}}, Name=web_acl.RULE, RuleLabels=[{"Name": "list"}])
    theirs["Action"] = {"Block": {"CustomResponse": {"ResponseCode": 429}}}
    [ours] = web_acl.with_rule([theirs], ["arn:v6"])
    added = {"IPSetReferenceStatement": {"ARN": "arn:v6"}}
    assert ours == {**theirs, "Statement": {"OrStatement": {"Statements": [USES, more, added]}}}
    assert web_acl.with_rule([theirs], [ARN]) == [theirs]


def test_a_rule_of_ours_that_somebody_has_changed_is_left_to_them() -> None:
    with pytest.raises(Failure, match="given it another action than Block"):
        web_acl.with_rule([rule("Count", USES, Name=web_acl.RULE)], [ARN])
