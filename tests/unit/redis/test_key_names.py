"""Which keys a prefix means."""

from __future__ import annotations

import fnmatch

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.redis import drill_keys, key_names
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.key_names import Selection, Wanted


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (b"ratelimit:", True),
        (b"ratelimit:\xff", True),
        (b"ratelimit", False),
        (b"ratelimitx:1", False),
        (b"xratelimit:1", False),
        (b"RATELIMIT:1", False),
    ],
)
def test_a_key_is_meant_that_begins_with_the_prefix_letter_by_letter(name: bytes, meant: bool) -> None:
    assert Wanted(b"ratelimit:").includes(name) is meant


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (b"limit/alice", True),
        (b"limit/alice/query", True),
        (b"limit/alice2", False),
        (b"limit/bob", True),
        (b"limit/", False),
        (b"limit/alice:1", False),
    ],
)
def test_of_users_a_key_is_meant_that_ends_or_is_parted_after_one(name: bytes, meant: bool) -> None:
    assert Wanted(b"limit/", (b"alice", b"bob"), b"/").includes(name) is meant


def test_what_is_special_in_a_pattern_is_escaped() -> None:
    assert Wanted(b"a*b?[c]\\^d:").pattern == b"a\\*b\\?\\[c\\]\\\\\\^d:*"
    assert Wanted(b"p:", (b"a*",)).pattern == b"p:a\\**"
    assert Wanted(b"p:", (b"a", b"b")).pattern == b"p:*"


def test_a_selection_comes_back_as_it_was_handed_on() -> None:
    selection = Selection((b"\x00\xff", b"a\nb"), {"127.0.0.1:6379": "x/master/y"}, ("-1/ab", "5/cd"))
    assert key_names.unpacked(selection.packed()) == selection
    for text in ("", "e30=", "no base64!", Selection((), {}).packed()[:-8]):
        with pytest.raises(ValueError, match=r".+"):
            key_names.unpacked(text)


def test_ten_thousand_names_are_one_short_text() -> None:
    names = tuple(f"ratelimit:user:{number}".encode() for number in range(10_000))
    assert len(Selection(names, {}).packed()) < 100_000


@pytest.mark.parametrize("prefix", [b"ratelimit:", b"irctl-drill:rate[limit]*:", b"irctl-drill:policy?[cache]:", b"a*"])
def test_a_decoy_never_begins_with_the_prefix_and_one_of_them_a_pattern_would_match(prefix: bytes) -> None:
    decoys = drill_keys.decoys(prefix)
    assert len(decoys) >= 4
    assert not any(Wanted(prefix).includes(name) for name in decoys)
    special = key_names.literal(prefix).count(b"\\") > 0
    matched = [name for name in decoys if fnmatch.fnmatchcase(name.decode(), prefix.decode() + "*")]
    assert bool(matched) == special
    assert all(Wanted(prefix).includes(name) for name in drill_keys.faults(prefix, 3))


def test_a_name_that_is_no_text_is_shown_with_escapes() -> None:
    assert key_names.shown(b"plain:\xc3\xa4") == "plain:ä"
    assert key_names.shown(b"\xff\x00") == "\\xff\\x00"
    assert key_names.shown("a\u202eb\x1b".encode()) == "a\\u202eb\\x1b"
