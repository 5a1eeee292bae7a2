"""What an archive asks of locks, by what it holds already, and under which keys things go."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.archive.manifest import Kept, Subject, Wish, keys_for, plain, plan, utc
from ansible_collections.irctl.runbooks.plugins.module_utils.archive.object_store import Lock
from ansible_collections.irctl.runbooks.plugins.module_utils.trees import Found

NOW = 1_800_000_000.0
DAY = 86400


def _locks(wish: Wish, kept: Kept, held: str = "") -> tuple[Lock, Lock, bool]:
    one = plan(Subject("trees/x", "/x", held), Found(), kept, wish, NOW)
    return one.lock, one.new, one.relock


def _wish(days: int, mode: str = "governance") -> Wish:
    return Wish("irctl", days * DAY, mode)


def _kept(days: int, left: int, mode: str = "GOVERNANCE") -> Kept:
    """An archive that was asked to retain for so many days, of which so many are left."""
    return Kept(manifest={"retain": days * DAY, "lock": {"mode": mode, "until": utc(NOW + left * DAY), "hold": False}})


def _lock(days: int, mode: str = "GOVERNANCE", *, hold: bool = False) -> Lock:
    return Lock(mode, utc(NOW + days * DAY), hold)


@pytest.mark.parametrize(
    ("wish", "kept", "earlier", "new", "relock"),
    [
        (_wish(90), Kept(), _lock(90), _lock(90), False),
        (_wish(0), Kept(), Lock(), Lock(), False),
        (_wish(90), _kept(90, 10), _lock(10), _lock(90), False),
        (_wish(90), _kept(30, 10), _lock(90), _lock(90), True),
        (_wish(30), _kept(90, 10), _lock(10), _lock(30), False),
        (_wish(30), _kept(90, 60), _lock(60), _lock(60), False),
        (_wish(0), _kept(90, 10), _lock(10), _lock(10), False),
        (_wish(0, "compliance"), _kept(90, 10), _lock(10), _lock(10), False),
        (_wish(90), _kept(90, -1), Lock(), _lock(90), False),
        (_wish(0), _kept(90, -1), Lock(), Lock(), False),
        (_wish(365), _kept(90, -1), _lock(365), _lock(365), True),
        (_wish(90), _kept(30, 10, "COMPLIANCE"), _lock(90, "COMPLIANCE"), _lock(90, "COMPLIANCE"), True),
        (_wish(30, "compliance"), _kept(365, 300), _lock(300, "COMPLIANCE"), _lock(300, "COMPLIANCE"), True),
        (_wish(90), _kept(90, -1, "COMPLIANCE"), Lock(), _lock(90), False),
    ],
    ids=[
        "the first time", "none is asked for", "the same again", "longer", "shorter, and that ends later",
        "shorter, and that ends sooner", "none again", "none, and another mode", "it has ended", "it has ended, and none",
        "it has ended, and longer", "longer in a weaker mode", "shorter in a stricter mode", "a strict one has ended",
    ],
)  # fmt: skip
def test_what_is_there_is_never_locked_less_and_what_is_new_as_is_asked(
    wish: Wish, kept: Kept, earlier: Lock, new: Lock, relock: bool
) -> None:
    assert _locks(wish, kept) == (earlier, new, relock)


def test_a_hold_asks_for_no_date_that_has_passed() -> None:
    assert _locks(_wish(0), _kept(90, -1), "a court") == (Lock(hold=True), Lock(hold=True), True)
    assert _locks(_wish(90), _kept(90, -1), "a court") == (Lock(hold=True), _lock(90, hold=True), True)
    assert _locks(_wish(0), _kept(90, 10), "a court") == (_lock(10, hold=True), _lock(10, hold=True), True)


def test_what_stores_read_as_something_else_stands_in_a_name_as_its_code() -> None:
    assert plain("a\\b/c%d/e\nf") == "a%5Cb/c%25d/e%0Af"
    assert plain("sound name+.log") == "sound name+.log"


def test_no_two_keys_of_a_content_are_the_same() -> None:
    keys = keys_for("k", "0123456789abcdef" * 4)
    assert keys == ["k", "k~0123456789abcdef", "k~0123456789abcdef0123456789abcdef"]
