"""Entries as AWS stores and tells them."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import ip_set


def nets(*texts: str) -> frozenset[networks.Network]:
    return frozenset(map(networks.parse, texts))


def test_entries_are_written_as_aws_stores_them_and_read_however_it_tells_them() -> None:
    assert [ip_set.as_stored(one) for one in networks.ordered(nets("91.1.2.3", "2a00:1450:4::/48"))] == [
        "91.1.2.3/32",
        "2a00:1450:0004:0000:0000:0000:0000:0000/48",
    ]
    held = ip_set.IPSet("n", "i", "a", "t", "", ("2A00:1450:4::/48", "nonsense", "91.1.2.3/32"))
    assert held.with_changes(nets("2a00:1450:4::/48", "91.1.2.4"), nets("91.1.2.3")) == [
        "2A00:1450:4::/48",
        "nonsense",
        "91.1.2.4/32",
    ]
