"""A block list: what a backend is, what is asked of it, what speaks against that, what to keep and what to say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network, shown

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
    cannot: Mapping[int, str] = field(default_factory=dict)  # a sentence for an IP version of which it takes none
    expires: Mapping[Network, int] = field(default_factory=dict)  # seconds after which the place lets go of an entry by itself
    notes: tuple[str, ...] = ()  # what a person should know, though nothing stands in the way


class Backend(Protocol):
    """One kind of place that blocks addresses. Made as Backend(params) from the module's arguments; making it does nothing yet.

    Every method raises Failure, or Unreachable where the place did not answer at all, and ValueError where a setting is missing.
    """

    def read(self) -> Blocked:
        """What the list blocks now; no entry where there is no such list yet but `ready` could make it."""

    def learnt(self) -> Protected:
        """Networks that must never be blocked, learnt from the place itself. Raises Failure where they cannot be learnt."""

    def shortcomings(self) -> list[str]:
        """Why the list blocks nothing, or not everything that it holds, as the place is now; each a sentence."""

    def ready(self, check_mode: bool) -> None:
        """Make what lets the list take effect: the rule, the table, the include. Leaves alone what is there.

        In check mode nothing is made. Raises Failure where it cannot be made, in check mode too.
        """

    def write(self, add: frozenset[Network], remove: frozenset[Network], seconds: int | None) -> None:
        """Add and remove these entries and touch no other, all at once where the place can; for so long where it can do that.

        What is there already is no error, nor is what is gone already.
        """


@dataclass(frozen=True)
class Plan:
    """What is to be added, and what of that which was asked for is blocked already."""

    add: frozenset[Network]
    there: frozenset[Network]


def plan(asked: Iterable[Network], entries: Iterable[Network]) -> Plan:
    """Hold what is asked for against the list; what lies within an entry is blocked already."""
    wanted, find = networks.narrowed(asked), networks.covering(entries)
    there = frozenset(one for one in wanted if find(one))
    return Plan(add=wanted - there, there=there)


def counted(number: int) -> str:
    """'1 address' or '12 addresses'."""
    return f"{number} address{'' if number == 1 else 'es'}"


def misread(params: Mapping[str, Any]) -> list[str]:
    """Say what of the arguments alone speaks against the change, before anything is asked of anybody."""
    asked, said = networks.parse_all(params["addresses"])
    if len(asked) > params["limit"]:
        few = f"{counted(len(asked))} are asked for and the limit is {params['limit']}."
        return [f"{few} Block networks instead of single addresses, or raise --max where it is below 10000."]
    exempt = {DRILL} if params["drills"] == "allowed" else set()
    said += _too_wide(asked, params) + _special(asked - exempt, params["allow_private"]) + _own(asked, params)
    return shortened(said)


def _too_wide(asked: Iterable[Network], params: Mapping[str, Any]) -> list[str]:
    widest = {version: max(params[f"widest_v{version}"], WIDEST[version]) for version in (4, 6)}
    return [
        f"{one} is wider than /{widest[one.version]}, the widest that may be blocked; --widest-v{one.version} changes that."
        for one in networks.ordered(asked)
        if one.prefixlen < widest[one.version]
    ]


def _special(asked: Iterable[Network], allowed: bool) -> list[str]:
    never = networks.overlaps(asked, networks.NEVER)
    said = [f"{shown(one)} is never blocked: {shown(other)} is {networks.NEVER[other]}." for one, other in never.items()]
    if allowed:
        return said
    private = networks.overlaps([one for one in asked if one not in never], networks.SPECIAL)
    why = "{} is in {}, {}; --allow-private yes blocks it all the same."
    return said + [why.format(shown(one), other, networks.SPECIAL[other]) for one, other in private.items()]


def _own(asked: Iterable[Network], params: Mapping[str, Any]) -> list[str]:
    """The protected networks of the inventory."""
    if not params["protected"]:
        return [] if params["protected_none"] else ["No networks are protected. Set edge_protected, or edge_protected_none: true."]
    protected, said = networks.parse_all(params["protected"])
    wrong = [f"edge_protected cannot be read: {one}" for one in said]
    return wrong + hit(asked, dict.fromkeys(protected, "protected by the inventory"))


def hit(asked: Iterable[Network], protected: Protected) -> list[str]:
    """A sentence for each network that overlaps a protected one, either way round."""
    found = networks.overlaps(asked, protected)
    return [f"{shown(one)} overlaps {shown(other)}, {protected[other]}." for one, other in found.items()]


def shortened(said: list[str]) -> list[str]:
    return said if len(said) <= SHOWN else [*said[:SHOWN], f"So with {len(said) - SHOWN} more."]


def refusals(asked: Iterable[Network], blocked: Blocked, protected: Protected) -> list[str]:
    """Say what of the place speaks against the change; an empty list means it may be made."""
    add = plan(asked, blocked.entries).add
    said = shortened(hit(asked, protected))
    for version, why in blocked.cannot.items():
        if any(one.version == version for one in add):
            said.append(why)
    for version, room in blocked.room.items():
        number = sum(one.version == version for one in add)
        if number > room and version not in blocked.cannot:
            there = sum(one.version == version for one in blocked.entries)
            most = f"it holds {there} and has room for {room}"
            said.append(f"{number} IPv{version} entries would be added to {named(blocked.place)}, but {most} more.")
    return said


def unrecorded(add: Iterable[Network], found: Mapping[str, Any] | None) -> str:
    """Say what has left the list since it was captured what is added: no revert would take it out. '' for nothing."""
    if not found or "add" not in found:
        return ""
    late = frozenset(add) - networks.parse_all(found["add"])[0]
    return f"{networks.listed(late)} was in the list a moment ago and has left it. Run it again." if late else ""


def named(place: Mapping[str, Any]) -> str:
    return str(place.get("name") or place["backend"])


def record(wanted: Plan, place: Mapping[str, Any], ends: bool = False) -> dict[str, Any]:
    """What a revert needs to know: what was blocked before, what this run adds, to which list, and if that lets go by itself."""
    sets = {"blocked": texts(wanted.add), **({"ends": True} if ends else {})}
    return {"captured": {"blocked": texts(wanted.there)}, "sets": sets, "on": dict(place)}


def texts(found: Iterable[Network]) -> list[str]:
    return list(map(shown, networks.ordered(found)))


def check(kept: Mapping[str, Any]) -> frozenset[Network]:
    """The networks that the run of this record added. Raises ValueError where it is no record of this remediation."""
    parts = [kept[part].get("blocked") for part in ("captured", "sets")]
    if not all(isinstance(part, list) for part in parts) or not isinstance(kept["on"].get("backend"), str):
        raise ValueError("record: not what a block list keeps")
    read = [networks.parse_all(part) for part in parts]
    if any(said for _, said in read):
        raise ValueError("record: not what a block list keeps")
    return read[1][0]


def left(added: frozenset[Network], blocked: Blocked, kept: Mapping[str, Any]) -> frozenset[Network]:
    """What of a run's entries is there still. One without an end, where all of that run's had one, is somebody else's."""
    there = added & blocked.entries
    return there & blocked.expires.keys() if kept["sets"].get("ends") else there


def objections(blocked: Blocked, kept: Mapping[str, Any], force: bool) -> list[str]:
    """Say why what the run added must not be taken out here; an empty list means it may be."""
    here, there = dict(blocked.place), kept["on"]
    if here["backend"] != there["backend"]:
        return [f"That run used the backend {there['backend']}, and the inventory now says {here['backend']}."]
    return (
        []
        if force or _same(here, there)
        else [f"{named(here)} is not the list that was changed: it was made anew, or the inventory names another."]
    )


def _same(here: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether this is the list that was changed: by its ids where it has any, so that a set may be named beside it since."""
    ids = there.keys() - {"backend", "name"}
    return all(here.get(key) == there[key] for key in ids or {"name"})
