"""A block list as two nftables sets of a host, one for each IP version. The kernel lets go of what has a time by itself.

Additive: of the elements that are there, only those are touched that are to be removed, or to last longer.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import networks, programs
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import host_network
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.block_list import Blocked, Protected
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.nftables_rules import (
    doubts,
    missing,
    objection,
    short_lived,
    unfit,
)
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.nftables_sets import TYPES, Element, change, clashes, elements
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network

LOCK = "/run/irctl-nftables.lock"
TRIES = 5  # for one change, where elements come and go meanwhile
PATIENCE = 120  # seconds for one call of nft

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,199}", re.ASCII)  # as the grammar of nft has it
FORWARDING = {4: "/proc/sys/net/ipv4/conf/*/forwarding", 6: "/proc/sys/net/ipv6/conf/*/forwarding"}


class Unfit(Failure):
    """The table or a set of it is no block list."""


class Backend:
    """The sets NAME_v4 and NAME_v6 of `nft_set`, in the table `nft_table`."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._table, name = names(params["nft_table"], params["nft_set"])
        self._sets = {version: f"{name}_v{version}" for version in (4, 6)}

    def read(self) -> Blocked:
        place = {"backend": "nftables", "name": f"table {self._table}, sets {self._sets[4]} and {self._sets[6]}"}
        try:
            listing = self._listing()
        except Unfit as error:
            if self._params["record"] is not None or self._params["state"] == "removed":
                raise
            return Blocked(frozenset(), place, unsupported=dict.fromkeys(TYPES, str(error)))
        current = elements(listing, self._sets)
        expires = {one: element.left for one, element in current.items() if element.left is not None}
        asked = networks.parse_all(self._params["addresses"])[0]
        unsupported = {**self._unusable(listing), **self._absent(listing), **clashes(asked, current)}
        return Blocked(frozenset(current), place, unsupported=unsupported, expires=expires)

    def _unusable(self, listing: list[Mapping[str, Any]]) -> dict[int, str]:
        """What can be known before the change: that what is added would block nothing, or not for as long as is asked."""
        if self._params["record"] is not None or self._params["state"] == "removed":
            return {}
        timed = {} if self._params["seconds"] else short_lived(listing, self._sets.values())
        idle = {} if self._params["create_rule"] else self._objections(listing)
        reasons = {version: timed.get(name) or idle.get(version, "") for version, name in self._sets.items()}
        return {version: reason for version, reason in reasons.items() if reason}

    def _absent(self, listing: list[Mapping[str, Any]]) -> dict[int, str]:
        existing = [one["set"]["name"] for one in listing if "set" in one]
        why = "There is no set {} in the table {}. --create-rule makes it."
        return {
            version: why.format(name, self._table)
            for version, name in self._sets.items()
            if name not in existing and not self._params["create_rule"]
        }

    def protected(self) -> Protected:
        return host_network.protected()

    def shortcomings(self) -> list[str]:
        try:
            listing = self._listing()
        except Unfit as error:
            return [str(error)]
        reasons = self._objections(listing)
        return [f"{reason} --create-rule makes a rule that drops it." for reason in reasons.values()]

    def _objections(self, listing: list[Mapping[str, Any]]) -> dict[int, str]:
        """Of each IP version that is asked for, why not all that is in its set is dropped."""
        asked = {one.version for one in networks.parse_all(self._params["addresses"])[0]}
        reasons = {v: objection(listing, name, v, v in forwarding()) for v, name in self._sets.items() if v in asked}
        return {version: reason for version, reason in reasons.items() if reason}

    def is_stale(self) -> bool:
        return False

    def doubts(self) -> list[Doubt]:
        try:
            return list(doubts(json.loads(programs.output(["nft", "-j", "-t", "list", "ruleset"], seconds=PATIENCE))["nftables"]))
        except Failure as error:
            return [Doubt("nft list ruleset", "ruleset", f"the other tables cannot be read: {error}"[:200])]

    def prepare(self, check_mode: bool) -> None:
        if check_mode:
            self._listing()
            return
        with programs.alone(LOCK):
            self._apply(missing(self._listing(), self._table, self._sets, forwarding()))

    def write(self, add: frozenset[Network], remove: frozenset[Network], seconds: int | None) -> None:
        with programs.alone(LOCK):
            for attempt in range(1, TRIES + 1):
                current = self._elements()
                script = change(current, add, remove, seconds, {v: f"{self._table} {name}" for v, name in self._sets.items()})
                try:
                    return self._apply(script)
                except Failure:
                    if attempt == TRIES or self._elements().keys() == current.keys():
                        raise

    def _apply(self, script: str) -> None:
        """All of the script or nothing of it, once the kernel has said that it would take it."""
        if script:
            programs.output(["nft", "-c", "-f", "-"], script, PATIENCE)
            programs.output(["nft", "-f", "-"], script, PATIENCE)

    def _elements(self) -> dict[Network, Element]:
        return elements(self._listing(), self._sets)

    def _listing(self) -> list[Mapping[str, Any]]:
        """What is in the table, as nft's JSON has it; nothing where there is no such table."""
        if f"table {self._table}" not in programs.output(["nft", "list", "tables"]).splitlines():
            return []
        family, table = self._table.split()
        # Not all of this is in the JSON of nft 1.0, and a dormant table makes it crash.
        if reason := unfit(programs.output(["nft", "-t", "list", "table", family, table]), list(self._sets.values())):
            raise Unfit(reason)
        return list(json.loads(programs.output(["nft", "-j", "list", "table", family, table], seconds=PATIENCE))["nftables"])


def forwarding() -> set[int]:
    """The IP versions that this host, or an interface of it, forwards."""
    versions = set()
    for version, pattern in FORWARDING.items():
        for path in glob.iglob(pattern):
            with suppress(OSError), open(path, encoding="ascii") as file:
                if file.read().strip() == "1":
                    versions.add(version)
    return versions


def names(table: str, name: str) -> tuple[str, str]:
    """Check what the sets are called. Raises ValueError."""
    family, _space, own = table.partition(" ")
    if family != "inet" or not _IDENTIFIER.fullmatch(own):
        raise ValueError("edge_nft_table: the family inet and a name are needed, such as 'inet irctl'")
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError("edge_nft_set: a name of letters, digits, dots, hyphens and underscores is needed, such as blocked")
    return table, name
