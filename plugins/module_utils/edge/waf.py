"""A block list in IP sets of AWS WAF: one set for IPv4 and one for IPv6, and a rule of a web ACL that blocks what is in them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked, Protected
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.ip_set import IPSet
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.web_acl import allowed_before, objection, with_rule
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

MOST = 10_000  # entries that AWS lets a set have
GLOBAL = "us-east-1"  # where everything of scope CLOUDFRONT lies
GIVE_UP = 120.0  # seconds of losing against other writers
PAUSE = (0.05, 2.0)  # seconds: the first pause at most, and any
AGAIN = {"WAFOptimisticLockException", "WAFUnavailableEntityException"}


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
            unsupported={
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

    def protected(self) -> Protected:
        return clients.own_networks(clients.client("ec2", self._params, region=self._region))

    def shortcomings(self) -> list[str]:
        if not self._params["wafv2_web_acl"]:
            return ["No web ACL is named, so it is not known whether a rule uses the set; set edge_wafv2_web_acl."]
        acl = self._web_acl()
        return [reason for version in self._unblocked_versions() if (reason := objection(acl, self._set(version)))]

    def _unblocked_versions(self) -> list[int]:
        """The IP versions that are asked for and that no rule blocks."""
        acl, used = self._web_acl(), self._asked & set(self._names)
        return [version for version in sorted(used) if objection(acl, self._set(version))]

    def _notes(self) -> tuple[str, ...]:
        if not self._params["wafv2_web_acl"] or self._params["record"] is not None:
            return ()
        arns = {one.arn for version, one in self._sets.items() if version in self._asked}
        allowing = allowed_before(self._web_acl(), arns)
        return (f"allowed before it by the web ACL: {', '.join(allowing)}",) if allowing else ()

    def is_stale(self) -> bool:
        return False

    def doubts(self) -> list[Doubt]:
        return []

    def prepare(self, check_mode: bool) -> None:
        if not self._params["wafv2_web_acl"]:
            raise Failure("No web ACL is named, so no rule can be made; set edge_wafv2_web_acl.")

        def attempt() -> None:
            self._acl = None
            if versions := self._unblocked_versions():
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
        content = answer["IPSet"]
        if content["IPAddressVersion"] != f"IPV{version}":
            raise Failure(f"The IP set {printable(name, 130)} holds {content['IPAddressVersion']} addresses, not IPV{version}.")
        return IPSet(
            name, content["Id"], content["ARN"], answer["LockToken"], content.get("Description") or "", tuple(content["Addresses"])
        )

    def _find_sets(self) -> dict[int, str]:
        ids = {
            one["Name"]: one["Id"]
            for one in clients.pages(self._client(), "list_ip_sets", "IPSets", "NextMarker", **self._scoped())
        }
        for version, name in self._names.items():
            if name not in ids:
                raise Failure(
                    f"There is no IP set {printable(name, 130)!r} of scope {self._scope}. Make it once: aws wafv2 create-ip-set "
                    f"--name NAME --scope {self._scope} --ip-address-version IPV{version} --addresses"
                )
        return {version: ids[name] for version, name in self._names.items()}

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
