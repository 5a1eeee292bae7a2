"""An IP set of AWS WAF: its entries in the words of AWS, and all of them as they shall be. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network


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
        entries: dict[Network, str] = {}
        for text in self.texts:
            try:
                entries[ipaddress.ip_network(text, strict=False)] = text
            except ValueError:
                continue
        return entries

    def with_changes(self, add: Iterable[Network], remove: Iterable[Network]) -> list[str]:
        """All entries as the set shall have them: what is there, in its own words, but for the changes."""
        current = self.networks()
        gone = {current[one] for one in remove if one in current}
        return [text for text in self.texts if text not in gone] + [
            as_stored(one) for one in networks.ordered(add) if one not in current
        ]


def as_stored(network: Network) -> str:
    """An entry as AWS stores it: always with its length, IPv6 in full."""
    return f"{network.network_address.exploded}/{network.prefixlen}"
