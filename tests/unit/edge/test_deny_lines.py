"""The lines of a list as irctl writes and reads them."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.edge import deny_lines
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import parse

LISTED = [parse("91.0.0.1"), parse("45.155.205.0/24")]


def test_lines_of_both_forms_are_read() -> None:
    text = f"{deny_lines.HEADER}\ndeny 91.0.0.1;\n  deny 45.155.205.0/24 ;\n2a00:1450::/48\n"
    assert deny_lines.entries(text) == {*LISTED, parse("2a00:1450::/48")}


@pytest.mark.parametrize(
    "line", ["deny all;", "allow 91.0.0.1;", "deny 91.0.0.1", "91.0.0.1;", "# ours", "deny 91.0.0.1; deny 91.0.0.2;"]
)
def test_a_line_of_somebody_else_is_not_written_over(line: str) -> None:
    with pytest.raises(Failure, match="Line 2 of /x is none of a block list"):
        deny_lines.entries(f"deny 91.0.0.7;\n{line}\n", "/x")


def test_a_network_with_bits_set_behind_its_length_is_not_guessed_at() -> None:
    with pytest.raises(Failure, match="no address or network"):
        deny_lines.entries("deny 91.0.0.1/24;\n")
