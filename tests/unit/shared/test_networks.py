"""How addresses are read: strictly, and held against special and protected ranges."""

from __future__ import annotations

import ipaddress
import random
import time

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import networks


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("91.1.2.3", "91.1.2.3/32"),
        ("91.1.2.0/24", "91.1.2.0/24"),
        ("2a00:1450:4::/48", "2a00:1450:4::/48"),
        ("2A00:1450:0004:0000:0000:0000:0000:0001", "2a00:1450:4::1/128"),
    ],
)
def test_an_address_and_a_network_are_read(text: str, read: str) -> None:
    assert str(networks.parse(text)) == read


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0.0.0.0/0", "every address there is"),
        ("::/0", "every address there is"),
        ("91.1.2.3/24", r"bits are set after the first 24; 91\.1\.2\.0/24 would be the network"),
        ("2a00:1450:4::1/48", "bits are set after the first 48"),
        ("091.1.2.3", "leading zero is octal"),
        ("0x5b.1.2.3", "four decimal numbers"),
        ("0x5b010203", "four decimal numbers"),
        ("1526792707", "four decimal numbers"),
        ("91.1.2", "four decimal numbers"),
        ("91.1.2.256", "not an IP address"),
        ("91.1.2.3/33", "not an IP address"),
        ("91.1.2.0/024", "a plain number of bits"),
        ("91.1.2.0/255.255.255.0", "a plain number of bits"),
        ("91.1.2.0/0.0.0.255", "a plain number of bits"),
        ("91.1.2.0/", "a plain number of bits"),
        ("::ffff:91.1.2.3", "mapped into IPv6"),
        ("::ffff:5b01:203/128", "mapped into IPv6"),
        ("fe80::1%eth0", "a zone has no place"),
        ("example.com", "a host name can lead elsewhere"),
        ("*.example.com", "a host name can lead elsewhere"),
        ("localhost", "a host name can lead elsewhere"),
        ("d41d8cd98f00b204e9800998ecf8427e", "a hash cannot be blocked; look up the raw address"),
        ("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "a hash cannot be blocked"),
        ("９1.1.2.3", "not an IP address"),
        ("91.1.2.3\n", "not an IP address"),
        (" 91.1.2.3", "not an IP address"),
        ("91.1.2.3 ", "not an IP address"),
        ("91.1.2.3-91.1.2.9", "not an IP address|four decimal|host name"),
        ("91.1.2.3,91.1.2.4", "not an IP address"),
        ("{{ lookup('pipe', 'id') }}", "not an IP address"),
        ("", "not an IP address"),
        ("*", "not an IP address"),
        ("9" * 5000, "a hash cannot be blocked"),
        (None, "text is needed"),
        (91, "text is needed"),
    ],
)
def test_what_could_be_read_in_two_ways_or_is_no_address_is_refused(text: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        networks.parse(text)


def test_many_are_read_and_each_that_is_none_is_named_without_its_control_characters() -> None:
    found, said = networks.parse_all(["91.1.2.3", "91.1.2.3", "bad\x1b[2J", "x.org"])
    assert found == {networks.parse("91.1.2.3")}
    assert [one.partition(":")[0] for one in said] == ["'bad?[2J'", "'x.org'"]


def test_overlap_is_found_either_way_round_and_never_between_versions() -> None:
    others = {networks.parse("91.1.2.0/24"): "office", networks.parse("2a00:1450::/32"): "ours"}
    for text, overlaps in (
        ("91.1.2.9", True), ("91.1.0.0/16", True), ("91.1.2.0/24", True), ("91.1.3.0/24", False),
        ("2a00:1450:4::1", True), ("2a00::/16", True), ("2a00:1451::/32", False),
    ):  # fmt: skip
        assert bool(networks.overlaps([networks.parse(text)], others)) == overlaps, text


def test_overlap_is_what_the_standard_library_says_of_every_pair() -> None:
    chance = random.Random(7)

    def some(number: int) -> list[networks.Network]:
        return [ipaddress.ip_network((chance.getrandbits(6) << 26, chance.randint(4, 12)), strict=False) for _ in range(number)]

    for _ in range(200):
        ours, others = some(6), dict.fromkeys(some(6), "x")
        assert set(networks.overlaps(ours, others)) == {one for one in ours if any(one.overlaps(other) for other in others)}
        kept = networks.narrowed(ours)
        assert all(any(one.subnet_of(other) for other in kept) for one in ours)
        assert not any(one != other and one.subnet_of(other) for one in kept for other in kept)


def test_ten_thousand_are_held_against_ten_thousand_in_well_under_a_second() -> None:
    many = [ipaddress.ip_network((0x5B000000 + number * 256, 32)) for number in range(10_000)]
    others = {ipaddress.ip_network((0x6B000000 + number * 256, 24)): "x" for number in range(10_000)}
    begun = time.process_time()
    assert networks.overlaps(many, others) == {}
    assert time.process_time() - begun < 1


def test_networks_are_shown_as_a_person_writes_them_and_a_few_stand_for_many() -> None:
    some = [networks.parse(text) for text in ("2a00::1", "91.1.2.0/24", "91.1.2.3")]
    assert networks.listed(some) == "91.1.2.0/24, 91.1.2.3, 2a00::1"
    assert networks.listed(some, 1) == "91.1.2.0/24 and 2 more"


@pytest.mark.parametrize("table", [networks.NEVER, networks.SPECIAL])
def test_every_special_range_has_a_name(table: dict[networks.Network, str]) -> None:
    assert all(name.strip() for name in table.values())
