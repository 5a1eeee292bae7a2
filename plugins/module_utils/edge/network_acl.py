"""A block list as deny entries of an AWS network ACL, below every rule of it that allows. Additive: no other entry is touched."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked, Protected, plan
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network, shown
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

LAST = 32766  # the highest number that a rule of a user's may have; AWS's own deny of everything comes after
EVERYTHING = "-1"  # the protocol of a rule for all of them
TRIES = 50  # numbers that somebody else may take from under us, for one entry

Entry = Mapping[str, Any]


class Backend:
    """The incoming deny entries of the network ACL that `nacl_id` names, from `nacl_first_rule` on."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        if not params["nacl_id"]:
            raise ValueError("edge_nacl_id: the id of a network ACL is needed, such as acl-0a1b2c3d4e5f60718")
        self._id, self._first, self._most, self._params = params["nacl_id"], params["nacl_first_rule"], params["nacl_most"], params
        self._ec2: Any = None
        self._acl: dict[str, Any] | None = None

    def read(self) -> Blocked:
        acl = self._look()
        entries = acl["Entries"]
        free = len(free_numbers(entries, self._first))
        present = frozenset(denied(entries))
        asked = networks.parse_all(self._params["addresses"])[0]
        new = plan(asked, present).add
        numbers = {4: free, 6: free - sum(one.version == 4 for one in new)}  # IPv4 and IPv6 share them
        room = {version: max(min(self._most - incoming(entries, version), numbers[version]), 0) for version in (4, 6)}
        place = {"backend": "nacl", "name": printable(self._id, 40), "id": self._id}
        late = {number: one for one, numbers_of in denied(entries, late=True).items() if one in asked for number in numbers_of}
        sentence = "rule {} denies {} after a rule that allows, and is left alone"
        return Blocked(present, place, room, notes=tuple(sentence.format(number, shown(one)) for number, one in late.items()))

    def protected(self) -> Protected:
        return clients.own_networks(self._client())

    def shortcomings(self) -> list[str]:
        acl = self._acl or self._look()
        if acl["Associations"]:
            return []
        return [f"{printable(self._id, 40)} blocks nothing: no subnet is associated with it."]

    def is_stale(self) -> bool:
        return False

    def doubts(self) -> list[Doubt]:
        return []

    def prepare(self, check_mode: bool) -> None:
        raise Failure("Which subnets a network ACL is for is not decided here; associate it yourself.")

    def write(self, add: frozenset[Network], remove: frozenset[Network], seconds: int | None) -> None:
        for number, network in self._to_delete(remove):
            self._delete(number, network)
        entries = self._look()["Entries"]
        present = denied(entries)
        new = [network for network in networks.ordered(add) if network not in present]
        self._require_room(entries, new)
        for done, network in enumerate(new):
            try:
                self._create(network)
            except Failure as error:
                raise Failure(f"{error} {done} of {len(new)} were added before that; irctl revert takes them out.") from None

    def _require_room(self, entries: Iterable[Entry], new: list[Network]) -> None:
        numbers = len(free_numbers(entries, self._first))
        for version in (4, 6):
            number = sum(one.version == version for one in new)
            if number and incoming(entries, version) + number > self._most:
                raise Failure(f"{printable(self._id, 40)} takes {self._most} incoming IPv{version} rules. Nothing was changed.")
        if len(new) > numbers:
            raise Failure(f"{printable(self._id, 40)} has {numbers} rule numbers left below its allow rules. Nothing was changed.")

    def _create(self, one: Network) -> None:
        """Add one entry under the lowest free number; take the next where somebody else was quicker."""
        from botocore.exceptions import ClientError

        for _try in range(TRIES):
            acl = self._acl or self._look()
            entries = acl["Entries"]
            if one in denied(entries):
                return
            free = free_numbers(entries, self._first)
            if not free:
                raise Failure(f"{printable(self._id, 40)} has no rule number left below its allow rules.")
            given = {"NetworkAclId": self._id, "RuleNumber": free[0], "Protocol": EVERYTHING, "RuleAction": "deny", "Egress": False}
            with clients.said("create_network_acl_entry"):
                try:
                    self._client().create_network_acl_entry(**given, **cidr(one))
                except ClientError as error:
                    if clients.code_of(error) != "NetworkAclEntryAlreadyExists":
                        raise
                    self._acl = None
                    continue
            self._acl = {**acl, "Entries": [*entries, given | cidr(one)]}  # so the next number is known without another look
            return
        raise Failure(f"Somebody else took {TRIES} rule numbers of {printable(self._id, 40)} before {shown(one)} could have one.")

    def _to_delete(self, remove: frozenset[Network]) -> list[tuple[int, Network]]:
        entries = self._look()["Entries"] if remove else []
        return [(number, one) for one, numbers in denied(entries).items() if one in remove for number in numbers]

    def _delete(self, number: int, one: Network) -> None:
        from botocore.exceptions import ClientError

        if number not in denied(self._look()["Entries"]).get(one, []):  # somebody else's by now
            return
        with clients.said("delete_network_acl_entry"):
            try:
                self._client().delete_network_acl_entry(NetworkAclId=self._id, RuleNumber=number, Egress=False)
            except ClientError as error:
                if clients.code_of(error) != "InvalidNetworkAclEntry.NotFound":
                    raise

    def _client(self) -> Any:
        self._ec2 = self._ec2 or clients.client("ec2", self._params)
        return self._ec2

    def _look(self) -> dict[str, Any]:
        with clients.said("describe_network_acls"):
            [self._acl] = self._client().describe_network_acls(NetworkAclIds=[self._id])["NetworkAcls"]
        return self._acl


def cidr(network: Network) -> dict[str, str]:
    return {"CidrBlock" if network.version == 4 else "Ipv6CidrBlock": str(network)}


def _of(entry: Entry) -> Network:
    return ipaddress.ip_network(entry.get("CidrBlock") or entry["Ipv6CidrBlock"], strict=False)


def incoming(entries: Iterable[Entry], version: int) -> int:
    """How many rules count against the quota of this IP version; AWS's own last one does too. Pure."""
    return sum(not entry["Egress"] and _of(entry).version == version for entry in entries)


def _end(entries: Iterable[Entry]) -> int:
    """The number of the first rule that allows anything in: a deny has to come before it. Pure."""
    allowing = (entry["RuleNumber"] for entry in entries if not entry["Egress"] and entry["RuleAction"] == "allow")
    return min(allowing, default=LAST + 1)


def denied(entries: Iterable[Entry], *, late: bool = False) -> dict[Network, list[int]]:
    """The networks that nothing comes in from, each with the numbers of its rules; `late` those denied after some allow. Pure."""
    entries = list(entries)
    end, numbers = _end(entries), dict[Network, list[int]]()
    for entry in entries:
        whole = entry["RuleAction"] == "deny" and entry["Protocol"] == EVERYTHING and not entry["Egress"]
        if whole and entry["RuleNumber"] <= LAST and (entry["RuleNumber"] > end) == late:
            numbers.setdefault(_of(entry), []).append(entry["RuleNumber"])
    return numbers


def free_numbers(entries: Iterable[Entry], first: int) -> list[int]:
    """The numbers for a deny entry, lowest first: from `first` to the first rule that allows. Pure."""
    entries = list(entries)
    taken = {entry["RuleNumber"] for entry in entries if not entry["Egress"]}
    return [number for number in range(first, _end(entries)) if number not in taken]
