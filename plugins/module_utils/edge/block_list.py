"""A block list: what a backend is, what is asked of it, what speaks against that, what to keep and what to say. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network, shown
from ansible_collections.irctl.runbooks.plugins.module_utils.values import counted

REVERT = "revert.json"
DRILL = networks.parse("198.51.100.7")  # nobody's address, so a drill may block it and let it through
WIDEST = {4: 8, 6: 19}  # bits; nothing wider is ever blocked, whatever the options say
SHOWN = 3  # of the reasons of one kind

Protected = Mapping[Network, str]  # what each network is, such as 'the address of a load balancer'


@dataclass(frozen=True)
class Blocked:
    """What one list blocks now, as its backend read it."""

    entries: frozenset[Network]
    place: Mapping[str, Any]  # which list this is; a revert refuses another
    room: Mapping[int, int] = field(default_factory=dict)  # how many entries more of IP version 4 or 6 fit; missing: no limit
    unsupported: Mapping[int, str] = field(default_factory=dict)  # a sentence for an IP version of which it takes none
    expires: Mapping[Network, int] = field(default_factory=dict)  # seconds after which the place lets go of an entry by itself
    notes: tuple[str, ...] = ()  # what a person should know, though nothing stands in the way


class Backend(Protocol):
    """One kind of place that blocks addresses. Made as Backend(params) from the module's arguments; making it does nothing yet.

    Every method raises Failure, or Unreachable where the place did not answer at all, and ValueError where a setting is missing.
    """

    def read(self) -> Blocked:
        """What the list blocks now; no entry where there is no such list yet but `prepare` could make it."""

    def protected(self) -> Protected:
        """Networks that must never be blocked, learnt from the place itself. Raises Failure where they cannot be learnt."""

    def shortcomings(self) -> list[str]:
        """Why the list blocks nothing, or not everything that it holds, as the place is now; each a sentence."""

    def is_stale(self) -> bool:
        """Whether the list has to be written again, though not changed, because it may not be in effect as it is."""

    def doubts(self) -> list[Doubt]:
        """What stands in the way of judging whether the list blocks all that it holds."""

    def prepare(self, check_mode: bool) -> None:
        """Make what lets the list take effect: the rule, the table, the include. Leaves alone what is there.

        In check mode nothing is made. Raises Failure where it cannot be made, in check mode too.
        """

    def write(self, add: frozenset[Network], remove: frozenset[Network], seconds: int | None) -> None:
        """Add and remove these entries and touch no other, all at once where the place can; for so long where it can do that.

        What is there already is no error, nor is what is gone already.
        """


@dataclass(frozen=True)
class Request:
    """One step that is to be done: on which list, with which addresses, and the module's arguments."""

    backend: Backend
    addresses: frozenset[Network]
    params: Mapping[str, Any]
    check_mode: bool


@dataclass(frozen=True)
class Plan:
    """What is to be added, and what of that which was asked for is blocked already."""

    add: frozenset[Network]
    present: frozenset[Network]


def plan(asked: Iterable[Network], entries: Iterable[Network]) -> Plan:
    """Hold what is asked for against the list; what lies within an entry is blocked already."""
    wanted, find = networks.narrowed(asked), networks.covering(entries)
    present = frozenset(one for one in wanted if find(one))
    return Plan(add=wanted - present, present=present)


def addresses_counted(number: int) -> str:
    """'1 address' or '12 addresses'."""
    return counted(number, "address", "addresses")


def argument_errors(params: Mapping[str, Any]) -> list[str]:
    """Say what of the arguments alone speaks against the change, before anything is asked of anybody."""
    asked, reasons = networks.parse_all(params["addresses"])
    if len(asked) > params["limit"]:
        few = f"{addresses_counted(len(asked))} are asked for and the limit is {params['limit']}."
        return [f"{few} Block networks instead of single addresses, or raise --max where it is below 10000."]
    exempt = {DRILL} if params["drills"] == "allowed" else set()
    reasons += _too_wide(asked, params) + _special(asked - exempt, params["allow_private"]) + _own(asked, params)
    return shortened(reasons)


def _too_wide(asked: Iterable[Network], params: Mapping[str, Any]) -> list[str]:
    widest = {version: max(params[f"widest_v{version}"], WIDEST[version]) for version in (4, 6)}
    return [
        f"{one} is wider than /{widest[one.version]}, the widest that may be blocked; --widest-v{one.version} changes that."
        for one in networks.ordered(asked)
        if one.prefixlen < widest[one.version]
    ]


def _special(asked: Iterable[Network], allowed: bool) -> list[str]:
    never = networks.overlaps(asked, networks.NEVER)
    reasons = [f"{shown(one)} is never blocked: {shown(other)} is {networks.NEVER[other]}." for one, other in never.items()]
    if allowed:
        return reasons
    private = networks.overlaps([one for one in asked if one not in never], networks.SPECIAL)
    why = "{} is in {}, {}; --allow-private blocks it all the same."
    return reasons + [why.format(shown(one), other, networks.SPECIAL[other]) for one, other in private.items()]


def _own(asked: Iterable[Network], params: Mapping[str, Any]) -> list[str]:
    """The protected networks of the inventory."""
    if not params["protected"]:
        return [] if params["protected_none"] else ["No networks are protected. Set edge_protected, or edge_protected_none: true."]
    protected, unreadable = networks.parse_all(params["protected"])
    reasons = [f"edge_protected cannot be read: {one}" for one in unreadable]
    return reasons + protected_overlaps(asked, dict.fromkeys(protected, "protected by the inventory"))


def protected_overlaps(asked: Iterable[Network], protected: Protected) -> list[str]:
    """A sentence for each network that overlaps a protected one, either way round."""
    overlapping = networks.overlaps(asked, protected)
    return [f"{shown(one)} overlaps {shown(other)}, {protected[other]}." for one, other in overlapping.items()]


def shortened(reasons: list[str]) -> list[str]:
    return reasons if len(reasons) <= SHOWN else [*reasons[:SHOWN], f"There are {len(reasons) - SHOWN} more such reasons."]


def refusals(asked: Iterable[Network], blocked: Blocked, protected: Protected) -> list[str]:
    """Say what of the place speaks against the change; an empty list means it may be made."""
    add = plan(asked, blocked.entries).add
    reasons = shortened(protected_overlaps(asked, protected))
    for version, why in blocked.unsupported.items():
        if any(one.version == version for one in add):
            reasons.append(why)
    for version, room in blocked.room.items():
        number = sum(one.version == version for one in add)
        if number > room and version not in blocked.unsupported:
            current = sum(one.version == version for one in blocked.entries)
            most = f"it holds {current} and has room for {room}"
            reasons.append(f"{number} IPv{version} entries would be added to {list_name(blocked.place)}, but {most} more.")
    return reasons


def unrecorded(add: Iterable[Network], listing: Mapping[str, Any] | None) -> str:
    """Say what has left the list since it was captured what is added: no revert would take it out. '' for nothing."""
    if not listing or "add" not in listing:
        return ""
    late = frozenset(add) - networks.parse_all(listing["add"])[0]
    return f"{networks.listed(late)} was in the list a moment ago and has left it. Run it again." if late else ""


def list_name(place: Mapping[str, Any]) -> str:
    return str(place.get("name") or place["backend"])


def record(wanted: Plan, place: Mapping[str, Any], ends: bool = False) -> dict[str, Any]:
    """What a revert needs to know: what was blocked before, what this run adds, to which list, and if that lets go by itself."""
    sets = {"blocked": as_texts(wanted.add), **({"ends": True} if ends else {})}
    return {"captured": {"blocked": as_texts(wanted.present)}, "sets": sets, "on": dict(place)}


def list_summary(blocked: Blocked) -> dict[str, Any]:
    """Which list it is and how many entries it has, for a record."""
    return {"list": dict(blocked.place), "entries": len(blocked.entries)}


def rows(entries: Iterable[str], place: Mapping[str, Any]) -> list[dict[str, str]]:
    """The entries that are added to this list or taken out of it, one row each."""
    return [{"address": entry, "list": list_name(place)} for entry in entries]


def as_document(value: Any) -> str:
    """The JSON text of a file of evidence."""
    return json.dumps(value, indent=0, ensure_ascii=False) + "\n"


def as_texts(entries: Iterable[Network]) -> list[str]:
    return list(map(shown, networks.ordered(entries)))


def added_networks(record: Mapping[str, Any]) -> frozenset[Network]:
    """The networks that the run of this record added. Raises ValueError where it is no record of this remediation."""
    parts = [record[part].get("blocked") for part in ("captured", "sets")]
    if not all(isinstance(part, list) for part in parts) or not isinstance(record["on"].get("backend"), str):
        raise ValueError("record: not what a block list keeps")
    read = [networks.parse_all(part) for part in parts]
    if any(unreadable for _networks, unreadable in read):
        raise ValueError("record: not what a block list keeps")
    return read[1][0]


def remaining(added: frozenset[Network], blocked: Blocked, record: Mapping[str, Any]) -> frozenset[Network]:
    """What of a run's entries is there still. One without an end, where all of that run's had one, is somebody else's."""
    present = added & blocked.entries
    return present & blocked.expires.keys() if record["sets"].get("ends") else present


def objections(blocked: Blocked, record: Mapping[str, Any], force: bool) -> list[str]:
    """Say why what the run added must not be taken out here; an empty list means it may be."""
    current, recorded = dict(blocked.place), record["on"]
    if current["backend"] != recorded["backend"]:
        return [f"That run used the backend {recorded['backend']}, and the inventory now says {current['backend']}."]
    return (
        []
        if force or _same(current, recorded)
        else [f"{list_name(current)} is not the list that was changed: it was made anew, or the inventory names another."]
    )


def _same(current: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    """Whether this is the list that was changed: by its ids where it has any, so that a set may be named beside it since."""
    ids = recorded.keys() - {"backend", "name"}
    return all(current.get(key) == recorded[key] for key in ids or {"name"})
