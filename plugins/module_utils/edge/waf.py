"""A block list in IP sets of AWS WAF: one set for IPv4 and one for IPv6, and a rule of a web ACL that blocks what is in them."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked, Protected
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

MOST = 10_000  # entries that AWS lets a set have
RULE = "irctl-block-ip"  # the rule that `ready` makes
GLOBAL = "us-east-1"  # where everything of scope CLOUDFRONT lies
GIVE_UP = 120.0  # seconds of losing against other writers
PAUSE = (0.05, 2.0)  # seconds: the first pause at most, and any
AGAIN = {"WAFOptimisticLockException", "WAFUnavailableEntityException"}


@dataclass(frozen=True)
class IPSet:
    """One IP set as it was read; the token is worth nothing once somebody else has written."""

    name: str
    id: str
    arn: str
    token: str
    description: str
    texts: tuple[str, ...]

    def networks(self) -> dict[Network, str]:
        """The entries; what cannot be read is left out here, and left as it is when the set is written."""
        found: dict[Network, str] = {}
        for text in self.texts:
            try:
                found[ipaddress.ip_network(text, strict=False)] = text
            except ValueError:
                continue
        return found

    def with_changes(self, add: Iterable[Network], remove: Iterable[Network]) -> list[str]:
        """All entries as the set shall have them: what is there, in its own words, but for the changes."""
        there = self.networks()
        gone = {there[one] for one in remove if one in there}
        return [text for text in self.texts if text not in gone] + [
            as_stored(one) for one in networks.ordered(add) if one not in there
        ]


def as_stored(network: Network) -> str:
    """An entry as AWS stores it: always with its length, IPv6 in full."""
    return f"{network.network_address.exploded}/{network.prefixlen}"


class Backend:
    """The sets that the settings `wafv2_name_v4` and `wafv2_name_v6` name."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._names = {version: name for version in (4, 6) if (name := params[f"wafv2_name_v{version}"])}
        if not self._names:
            raise ValueError("edge_wafv2_name_v4 or edge_wafv2_name_v6: the name of an IP set is needed")
        self._scope, self._params = params["wafv2_scope"], params
        if self._scope == "CLOUDFRONT" and params["region"] not in (None, "", GLOBAL):
            raise ValueError(f"aws_region: sets of scope CLOUDFRONT lie in {GLOBAL} (got '{printable(params['region'], 40)}')")
        self._region = GLOBAL if self._scope == "CLOUDFRONT" else params["region"]
        self._asked = {one.version for one in networks.parse_all(params["addresses"])[0]}
        known = (params["found"] or {}).get("place") or {}
        self._ids: dict[int, str] = {version: known[f"v{version}"] for version in self._names if known.get(f"v{version}")}
        self._sets: dict[int, IPSet] = {}
        self._acl: dict[str, Any] | None = None
        self._waf: Any = None

    def read(self) -> Blocked:
        self._sets = {version: self._get(version) for version in self._names}
        held = {version: one.networks() for version, one in self._sets.items()}
        return Blocked(
            entries=frozenset().union(*held.values()),
            place=self._place(),
            room={version: max(MOST - len(one.texts), 0) for version, one in self._sets.items()},
            cannot={
                version: f"No set for IPv{version} is named; set edge_wafv2_name_v{version}."
                for version in (4, 6)
                if version not in self._names
            },
            notes=self._notes(),
        )

    def _place(self) -> dict[str, Any]:
        ids = {f"v{version}": one.id for version, one in self._sets.items()}
        named = " and ".join(printable(name, 130) for name in self._names.values())
        return {"backend": "wafv2", "name": named, "scope": self._scope, **ids}

    def learnt(self) -> Protected:
        return clients.own_networks(clients.client("ec2", self._params, region=self._region))

    def shortcomings(self) -> list[str]:
        if not self._params["wafv2_web_acl"]:
            return ["No web ACL is named, so it is not known whether a rule uses the set; set edge_wafv2_web_acl."]
        acl = self._web_acl()
        return [said for version in self._lacking() if (said := lacking(acl, self._set(version)))]

    def _lacking(self) -> list[int]:
        """The IP versions that are asked for and that no rule blocks."""
        acl, used = self._web_acl(), self._asked & set(self._names)
        return [version for version in sorted(used) if lacking(acl, self._set(version))]

    def _notes(self) -> tuple[str, ...]:
        if not self._params["wafv2_web_acl"] or self._params["record"] is not None:
            return ()
        arns = {one.arn for version, one in self._sets.items() if version in self._asked}
        allowing = allowed_before(self._web_acl(), arns)
        return (f"allowed before it by the web ACL: {', '.join(allowing)}",) if allowing else ()

    def ready(self, check_mode: bool) -> None:
        if not self._params["wafv2_web_acl"]:
            raise Failure("No web ACL is named, so no rule can be made; set edge_wafv2_web_acl.")

        def attempt() -> None:
            self._acl = None
            if versions := self._lacking():
                acl = self._web_acl()
                changed = {**acl, "Rules": with_rule(acl["Rules"], [self._set(version).arn for version in versions])}
                members = self._client().meta.service_model.operation_model("UpdateWebACL").input_shape.members
                given = {name: value for name, value in changed.items() if name in members and value not in (None, "", [], {})}
                if not check_mode:
                    self._client().update_web_acl(**given, Scope=self._scope)

        self._until_done("update_web_acl", attempt)
        self._acl = None

    def write(self, add: frozenset[Network], remove: frozenset[Network], seconds: int | None) -> None:
        for version in self._names:
            self._require_room(version, add, remove)
        for version in self._names:
            self._until_done("update_ip_set", partial(self._write, version, add, remove))

    def _write(self, version: int, add: frozenset[Network], remove: frozenset[Network]) -> None:
        held, wanted = self._require_room(version, add, remove)
        self._sets.pop(version, None)  # its token is spent, or was worth nothing
        if set(wanted) != set(held.texts):
            described = {"Description": held.description} if held.description else {}
            self._client().update_ip_set(
                Name=held.name, Scope=self._scope, Id=held.id, Addresses=wanted, LockToken=held.token, **described
            )

    def _require_room(self, version: int, add: frozenset[Network], remove: frozenset[Network]) -> tuple[IPSet, list[str]]:
        held = self._set(version)
        wanted = held.with_changes(*({one for one in part if one.version == version} for part in (add, remove)))
        if len(wanted) > max(MOST, len(held.texts)):
            raise Failure(
                f"{printable(held.name, 130)} would hold {len(wanted)} entries, and AWS takes {MOST}. It was left as it was."
            )
        return held, wanted

    def _until_done(self, what: str, attempt: Callable[[], None]) -> None:
        """Try until nobody else has written between our reading and our writing."""
        from botocore.exceptions import ClientError

        until, most = time.monotonic() + GIVE_UP, PAUSE[0]
        with clients.said(what):
            while True:
                try:
                    return attempt()
                except ClientError as error:
                    if clients.code_of(error) not in AGAIN or time.monotonic() > until:
                        raise
                time.sleep(random.uniform(0, most))
                most = min(most * 2, PAUSE[1])

    def _client(self) -> Any:
        self._waf = self._waf or clients.client("wafv2", self._params, region=self._region)
        return self._waf

    def _set(self, version: int) -> IPSet:
        if version not in self._sets:
            self._sets[version] = self._get(version)
        return self._sets[version]

    def _get(self, version: int) -> IPSet:
        name = self._names[version]
        if version not in self._ids:
            self._ids |= self._find_sets()
        with clients.said("get_ip_set"):
            answer = self._client().get_ip_set(Name=name, Scope=self._scope, Id=self._ids[version])
        about = answer["IPSet"]
        if about["IPAddressVersion"] != f"IPV{version}":
            raise Failure(f"The IP set {printable(name, 130)} holds {about['IPAddressVersion']} addresses, not IPV{version}.")
        return IPSet(
            name, about["Id"], about["ARN"], answer["LockToken"], about.get("Description") or "", tuple(about["Addresses"])
        )

    def _find_sets(self) -> dict[int, str]:
        found = {
            one["Name"]: one["Id"]
            for one in clients.pages(self._client(), "list_ip_sets", "IPSets", "NextMarker", **self._scoped())
        }
        for version, name in self._names.items():
            if name not in found:
                raise Failure(
                    f"There is no IP set {printable(name, 130)!r} of scope {self._scope}. Make it once: aws wafv2 create-ip-set "
                    f"--name NAME --scope {self._scope} --ip-address-version IPV{version} --addresses"
                )
        return {version: found[name] for version, name in self._names.items()}

    def _web_acl(self) -> dict[str, Any]:
        """The web ACL with its lock token, as last read."""
        if self._acl is None:
            name = self._params["wafv2_web_acl"]
            with clients.said("get_web_acl"):
                answer = self._client().get_web_acl(Name=name, Id=self._find_acl(name), **self._scoped(limit=False))
            self._acl = {**answer["WebACL"], "LockToken": answer["LockToken"]}
        return self._acl

    def _find_acl(self, name: str) -> str:
        for one in clients.pages(self._client(), "list_web_acls", "WebACLs", "NextMarker", **self._scoped()):
            if one["Name"] == name:
                return str(one["Id"])
        raise Failure(f"There is no web ACL {printable(name, 130)!r} of scope {self._scope}.")

    def _scoped(self, limit: bool = True) -> dict[str, Any]:
        return {"Scope": self._scope, **({"Limit": 100} if limit else {})}


def uses(statement: Mapping[str, Any], arn: str) -> bool:
    """Whether a statement holds for every address of the set, whatever else it holds for. Pure."""
    if "OrStatement" in statement:
        return any(uses(one, arn) for one in statement["OrStatement"]["Statements"])
    return bool(statement.get("IPSetReferenceStatement", {}).get("ARN") == arn)


def lacking(acl: Mapping[str, Any], held: IPSet) -> str:
    """Say why no rule of the web ACL blocks what is in the set; '' where one does. Pure."""
    using = [rule for rule in acl["Rules"] if uses(rule["Statement"], held.arn)]
    if any("Block" in rule.get("Action", {}) for rule in using):
        return ""
    name, where = printable(held.name, 130), f"the web ACL {printable(acl['Name'], 130)}"
    if using:
        rule, does = printable(using[0]["Name"], 130), ", ".join(using[0].get("Action", {})) or "none"
        return f"The set {name} blocks nothing: the rule {rule} of {where} has the action {does}, not Block."
    if any(held.arn in repr(rule["Statement"]) for rule in acl["Rules"]):
        return f"The set {name} does not block by itself: the rules of {where} use it together with other conditions only."
    return f"The set {name} blocks nothing: no rule of {where} uses it. --create-rule yes makes one."


def allowed_before(acl: Mapping[str, Any], arns: Iterable[str]) -> list[str]:
    """The rules that let requests through before the first that blocks these sets sees them. Pure."""
    blocking = [
        rule["Priority"]
        for rule in acl["Rules"]
        if "Block" in rule.get("Action", {}) and any(uses(rule["Statement"], arn) for arn in arns)
    ]
    before = sorted(acl["Rules"], key=lambda rule: int(rule["Priority"]))
    last = max(blocking, default=-1)
    return [printable(rule["Name"], 130) for rule in before if "Allow" in rule.get("Action", {}) and rule["Priority"] < last]


def with_rule(rules: Iterable[Mapping[str, Any]], arns: Iterable[str]) -> list[dict[str, Any]]:
    """The rules with one of ours before all others that blocks these sets, and all that it blocked before. Pure."""
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
