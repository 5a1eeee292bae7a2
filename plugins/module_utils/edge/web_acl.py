"""A web ACL of AWS WAF: whether its rules block what is in an IP set, and its rules with one that does. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.edge.ip_set import IPSet
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

RULE = "irctl-block-ip"  # the rule that `prepare` makes


def uses(statement: Mapping[str, Any], arn: str) -> bool:
    """Whether a statement holds for every address of the set, whatever else it holds for."""
    if "OrStatement" in statement:
        return any(uses(one, arn) for one in statement["OrStatement"]["Statements"])
    return bool(statement.get("IPSetReferenceStatement", {}).get("ARN") == arn)


def objection(acl: Mapping[str, Any], held: IPSet) -> str:
    """Say why no rule of the web ACL blocks what is in the set; '' where one does."""
    using = [rule for rule in acl["Rules"] if uses(rule["Statement"], held.arn)]
    if any("Block" in rule.get("Action", {}) for rule in using):
        return ""
    name, where = printable(held.name, 130), f"the web ACL {printable(acl['Name'], 130)}"
    if using:
        rule, does = printable(using[0]["Name"], 130), ", ".join(using[0].get("Action", {})) or "none"
        return f"The set {name} blocks nothing: the rule {rule} of {where} has the action {does}, not Block."
    if any(held.arn in repr(rule["Statement"]) for rule in acl["Rules"]):
        return f"The set {name} does not block by itself: the rules of {where} use it together with other conditions only."
    return f"The set {name} blocks nothing: no rule of {where} uses it. --create-rule makes one."


def allowed_before(acl: Mapping[str, Any], arns: Iterable[str]) -> list[str]:
    """The rules that let requests through before the first that blocks these sets sees them."""
    blocking = [
        rule["Priority"]
        for rule in acl["Rules"]
        if "Block" in rule.get("Action", {}) and any(uses(rule["Statement"], arn) for arn in arns)
    ]
    before = sorted(acl["Rules"], key=lambda rule: int(rule["Priority"]))
    last = max(blocking, default=-1)
    return [printable(rule["Name"], 130) for rule in before if "Allow" in rule.get("Action", {}) and rule["Priority"] < last]


def with_rule(rules: Iterable[Mapping[str, Any]], arns: Iterable[str]) -> list[dict[str, Any]]:
    """The rules with one of ours before all others that blocks these sets, and all that it blocked before."""
    others = [dict(rule) for rule in rules if rule["Name"] != RULE]
    ours = next((rule for rule in rules if rule["Name"] == RULE), None)
    if ours and "Block" not in ours.get("Action", {}):
        raise Failure(f"The rule {RULE} is there, but somebody has given it another action than Block. Put that right first.")
    parts = _parts(ours["Statement"]) if ours else []
    parts += [{"IPSetReferenceStatement": {"ARN": arn}} for arn in arns if not any(uses(one, arn) for one in parts)]
    statement = parts[0] if len(parts) == 1 else {"OrStatement": {"Statements": parts}}
    first = min((int(rule["Priority"]) for rule in others), default=1)
    if not ours and first == 0:
        others = [{**rule, "Priority": rule["Priority"] + 1} for rule in others]
    seen = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": RULE}
    new: Mapping[str, Any] = {"Name": RULE, "Priority": max(first - 1, 0), "Action": {"Block": {}}, "VisibilityConfig": seen}
    return [{**(ours or new), "Statement": statement}, *others]


def _parts(statement: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(statement.get("OrStatement", {}).get("Statements", [statement]))
