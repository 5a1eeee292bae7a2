"""Certificates: what is looked at before a new one is served, and the budget of a week."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import x509
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.x509 import DAY, WEEK, Certificate, Pair

NOW = 1_800_000_000.0


def one(
    *names: str, begins: float = NOW - DAY, ends: float = NOW + 89 * DAY, subject: str = "leaf", issuer: str = "ca"
) -> Certificate:
    return Certificate("1", f"{names}{begins}{ends}", frozenset(names), begins, ends, subject.encode(), issuer.encode())


OLD = one("a.example.com", begins=NOW - 80 * DAY, ends=NOW + 10 * DAY)
CA = one(subject="ca", issuer="root")


def said(new: Pair, *wanted: str) -> list[str]:
    return x509.objections(new, wanted or ("a.example.com",), OLD, NOW)


def test_a_good_pair_has_nothing_against_it() -> None:
    assert said(Pair((one("a.example.com"), CA), True)) == []


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (Pair((one("a.example.com"), CA), False), "private key does not belong"),
        (Pair((one("b.example.com"), CA), True), "is for b.example.com and lacks a.example.com"),
        (Pair((one("a.example.com"), one(subject="other"), CA), True), "chain is not in order"),
        (Pair((one("a.example.com", begins=NOW + 60), CA), True), "not valid before"),
        (Pair((one("a.example.com", ends=NOW - 1), CA), True), "It ends on"),
        (Pair((one("a.example.com", ends=OLD.ends), CA), True), "and the one that is there on"),
    ],
)
def test_a_pair_that_must_not_be_served_says_why(new: Pair, why: str) -> None:
    [sentence] = said(new)
    assert why in sentence


def test_a_star_covers_one_label_and_not_the_name_itself() -> None:
    names = ["*.example.com"]
    assert x509.uncovered(["a.example.com", "example.com", "b.a.example.com"], names) == {"example.com", "b.a.example.com"}
    assert x509.uncovered(["*.example.com"], names) == frozenset()


def test_of_server_names_those_count_that_a_certificate_can_have() -> None:
    words = ["Shop.Example.com", ".example.net", "_", "localhost", "~^x$", "192.0.2.1", "mail.*", "", "$hostname"]
    assert x509.host_names(words) == ["shop.example.com", "example.net", "*.example.net"]


@pytest.mark.parametrize("name", [None, "", ".", "..", "../x", "a/b", "-v", "a b", "a\n", "ä.example.com", "x" * 201])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str | None) -> None:
    with pytest.raises(ValueError, match=r"name"):
        x509.check_name(name)


def test_a_certificate_that_is_kept_twice_counts_once_and_an_old_one_not_at_all() -> None:
    fresh, older = one("a", begins=NOW - DAY), one("a", begins=NOW - 3 * DAY)
    issued = x509.recent([fresh, older, fresh, one("a", begins=NOW - WEEK)], NOW)
    assert issued == [NOW - 3 * DAY, NOW - DAY]
    assert x509.beyond_budget(issued, 3) == ""
    full = x509.beyond_budget(issued, 2)
    assert f"the next is allowed at {x509.date_text(NOW + 4 * DAY)}" in full
    assert x509.date_text(NOW + 6 * DAY) in x509.beyond_budget(issued, 1), "the newest of two has to be a week old"
