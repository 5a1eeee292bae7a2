"""Lines of address lists as feeds write them."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.address_lines import entries


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("198.51.100.7", ["198.51.100.7"]),
        ("  198.51.100.7\t# a scanner", ["198.51.100.7"]),
        ("1.10.16.0/20 ; SBL256894", ["1.10.16.0/20"]),
        ("2001:db8::/48 // a whole customer", ["2001:db8::/48"]),
        ("198[.]51[.]100[.]7", ["198.51.100.7"]),
        ("198.51.100(.)7", ["198.51.100.7"]),
        ("198[DOT]51[dot]100[.]0[/]24", ["198.51.100.0/24"]),
        ("2001[:]db8[:][:]7", ["2001:db8::7"]),
        ("198.51.100.8-198.51.100.15", ["198.51.100.8/29"]),
        ("198.51.100.7 - 198.51.100.9 # three", ["198.51.100.7", "198.51.100.8/31"]),
        ("2001:db8::1-2001:db8::1", ["2001:db8::1"]),
        ("", []),
        (" \t", []),
        ("# 198.51.100.7", []),
        ("; Spamhaus DROP List", []),
    ],
)
def test_a_line_names_these(line: str, named: list[str]) -> None:
    assert entries(line) == named


@pytest.mark.parametrize(
    "line", ["198.51.100.7;198.51.100.8", "198.51.100.7 198.51.100.8", "evil-host.example.com", "http://a.example"]
)
def test_what_is_not_understood_is_returned_whole_to_be_refused(line: str) -> None:
    """An address that nobody blocks because it stood behind a sign is worse than a refusal."""
    assert entries(line) == [line]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("198.51.100.9-198.51.100.7", "ends before it begins"),
        ("198.51.100.9-2001:db8::1", "the same version"),
        ("198.51.100.7-9", "four decimal numbers"),
        ("198.51.100.07-198.51.100.9", "leading zero"),
    ],
)
def test_a_range_that_is_none_is_refused(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        entries(line)
