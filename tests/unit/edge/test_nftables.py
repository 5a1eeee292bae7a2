"""What the sets may be called."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.edge import nftables


@pytest.mark.parametrize("table", ["irctl", "ip irctl", "inet a b", "inet a;b", "inet ", "inet -x", ""])
def test_a_table_is_named_with_the_family_inet(table: str) -> None:
    with pytest.raises(ValueError, match="edge_nft_table"):
        nftables.names(table, "blocked")


def test_the_name_of_a_set_is_no_way_into_the_script() -> None:
    with pytest.raises(ValueError, match="edge_nft_set"):
        nftables.names("inet irctl", "x { } ; flush ruleset")
