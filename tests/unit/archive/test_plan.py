"""What an archive asks of locks, by what it holds already, and under which keys things go."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.holdings import Holdings
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.keys import candidates, plain
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.locks import Lock, utc
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.plan import Request, locked_elsewhere, plan
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.subjects import Subject
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import Listing

NOW = 1_800_000_000.0
DAY = 86400


def _locks(asked: Request, holdings: Holdings, held: str = "") -> tuple[Lock, Lock, bool]:
    made = plan(Subject("trees/x", "/x", held), Listing(), holdings, asked, NOW)
    return made.lock, made.new_lock, made.relock


def _request(days: int, mode: str = "governance") -> Request:
    return Request("irctl", days * DAY, mode)


def _holdings(days: int, remaining: int, mode: str = "GOVERNANCE") -> Holdings:
    """An archive that was asked to retain for so many days, of which so many are left."""
    return Holdings(manifest={"retain": days * DAY, "lock": {"mode": mode, "until": utc(NOW + remaining * DAY), "hold": False}})


def _lock(days: int, mode: str = "GOVERNANCE", *, hold: bool = False) -> Lock:
    return Lock(mode, utc(NOW + days * DAY), hold)


@pytest.mark.parametrize(
    ("asked", "holdings", "earlier", "new", "relock"),
    [
        (_request(90), Holdings(), _lock(90), _lock(90), False),
        (_request(0), Holdings(), Lock(), Lock(), False),
        (_request(90), _holdings(90, 10), _lock(10), _lock(90), False),
        (_request(90), _holdings(30, 10), _lock(90), _lock(90), True),
        (_request(30), _holdings(90, 10), _lock(10), _lock(30), False),
        (_request(30), _holdings(90, 60), _lock(60), _lock(60), False),
        (_request(0), _holdings(90, 10), _lock(10), _lock(10), False),
        (_request(0, "compliance"), _holdings(90, 10), _lock(10), _lock(10), False),
        (_request(90), _holdings(90, -1), Lock(), _lock(90), False),
        (_request(0), _holdings(90, -1), Lock(), Lock(), False),
        (_request(365), _holdings(90, -1), _lock(365), _lock(365), True),
        (_request(90), _holdings(30, 10, "COMPLIANCE"), _lock(90, "COMPLIANCE"), _lock(90, "COMPLIANCE"), True),
        (_request(30, "compliance"), _holdings(365, 300), _lock(300, "COMPLIANCE"), _lock(300, "COMPLIANCE"), True),
        (_request(90), _holdings(90, -1, "COMPLIANCE"), Lock(), _lock(90), False),
    ],
    ids=[
        "the first time", "none is asked for", "the same again", "longer", "shorter, and that ends later",
        "shorter, and that ends sooner", "none again", "none, and another mode", "it has ended", "it has ended, and none",
        "it has ended, and longer", "longer in a weaker mode", "shorter in a stricter mode", "a strict one has ended",
    ],
)  # fmt: skip
def test_what_is_there_is_never_locked_less_and_what_is_new_as_is_asked(
    asked: Request, holdings: Holdings, earlier: Lock, new: Lock, relock: bool
) -> None:
    assert _locks(asked, holdings) == (earlier, new, relock)


def test_a_hold_asks_for_no_date_that_has_passed() -> None:
    assert _locks(_request(0), _holdings(90, -1), "a court") == (Lock(hold=True), Lock(hold=True), True)
    assert _locks(_request(90), _holdings(90, -1), "a court") == (Lock(hold=True), _lock(90, hold=True), True)
    assert _locks(_request(0), _holdings(90, 10), "a court") == (_lock(10, hold=True), _lock(10, hold=True), True)


def test_what_stores_read_as_something_else_stands_in_a_name_as_its_code() -> None:
    assert plain("a\\b/c%d/e\nf") == "a%5Cb/c%25d/e%0Af"
    assert plain("sound name+.log") == "sound name+.log"


def test_no_two_keys_of_a_content_are_the_same() -> None:
    keys = candidates("k", "0123456789abcdef" * 4)
    assert keys == ["k", "k~0123456789abcdef", "k~0123456789abcdef0123456789abcdef"]


@pytest.mark.parametrize(
    ("manifest", "locked"),
    [
        ({}, False),
        ({"lock": {"mode": "GOVERNANCE", "until": utc(NOW + DAY), "hold": False}}, True),
        ({"lock": {"mode": "GOVERNANCE", "until": utc(NOW - DAY), "hold": False}}, False),
        ({"lock": {"mode": "", "until": "", "hold": True}}, True),
        ({"lock": {"mode": "GOVERNANCE", "until": utc(NOW - DAY), "hold": False}, "retained_until": utc(NOW + DAY)}, True),
    ],
    ids=["none", "retained", "ended", "held", "what came later is retained for longer"],
)
def test_a_bucket_without_object_lock_is_not_the_archive_of_what_is_locked(manifest: dict[str, Any], locked: bool) -> None:
    assert bool(locked_elsewhere(Holdings(manifest=manifest), "trees/x", NOW)) is locked
