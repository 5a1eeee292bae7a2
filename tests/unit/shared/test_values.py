"""Values that a person types: what is taken, what is refused, and the why."""

from __future__ import annotations

import re

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import values


@pytest.mark.parametrize(("text", "length"), [("1s", 1), ("10s", 10), ("10m", 600), ("10h", 36000), ("2d", 172800)])
def test_a_duration_is_a_whole_number_and_a_unit(text: str, length: int) -> None:
    assert values.seconds(text) == length


@pytest.mark.parametrize("text", ["10", 10, "7"])
def test_a_duration_without_a_unit_is_told_which_units_there_are(text: object) -> None:
    with pytest.raises(ValueError, match=f"needs a unit, such as {text}s, {text}m or {text}h"):
        values.seconds(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0s",
        "-10m",
        "+10m",
        "1.5h",
        "010s",
        "1_0s",
        "10 m",
        " 10m",
        "10m\n",
        "10M",
        "ten",
        "s",
        "١٠s",
        "1e3s",
        None,
        [],
        True,
    ],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        values.seconds(text)


@pytest.mark.parametrize(
    ("total", "said"),
    [(0, "0s"), (45, "45s"), (600, "10m"), (5400, "90m"), (10800, "3h"), (129600, "36h"), (172800, "2d"), (3661.2, "1h")],
)
def test_a_duration_is_said_in_its_largest_unit(total: float, said: str) -> None:
    assert values.duration(total) == said


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("100", 100), (7, 7)])
def test_a_whole_number_is_plain_digits(text: object, number: int) -> None:
    assert values.whole(text) == number


@pytest.mark.parametrize(
    "text", ["", "010", "1_000", "1.5", "-1", "+1", "1e3", "0x10", " 1", "1\n", "١", "9" * 11, True, -1, 1.0, None]
)
def test_what_coerces_to_a_number_elsewhere_is_refused_here(text: object) -> None:
    with pytest.raises(ValueError, match="whole number"):
        values.whole(text)


@pytest.mark.parametrize(
    "text", ["shop", "o'brien", '"; DROP TABLE x; --', "{{ lookup('pipe', 'id') }}", "a b", "größe", "x" * 63, "*"]
)
def test_a_name_is_any_text_that_the_server_could_hold(text: str) -> None:
    assert values.name(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a\nb", "control"),
        ("a\x00", "control"),
        ("\x1b[31m", "control"),
        ("a\u2028b", "control"),
        ("x" * 64, "63 bytes"),
        ("ü" * 32, "63 bytes"),
        (None, "empty"),
        (7, "empty"),
    ],
)
def test_a_name_that_the_server_could_not_hold_is_refused(text: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        values.name(text)


def test_a_unit_of_systemd_may_be_longer_than_a_name_of_postgres() -> None:
    assert values.unit("x" * 255) == "x" * 255
    with pytest.raises(ValueError, match="255 bytes"):
        values.unit("x" * 256)


def matches(patterns: list[str], text: str) -> bool:
    return bool(re.search(values.any_of(patterns), text))


def test_no_patterns_make_no_expression() -> None:
    assert values.any_of([]) == ""


def test_stars_and_question_marks_match_as_in_a_shell() -> None:
    assert matches(["pgbouncer*"], "pgbouncer-1")
    assert matches(["app?"], "app1")
    assert not matches(["app?"], "app")
    assert matches(["*ing"], "billing")


def test_a_pattern_matches_the_whole_name_only() -> None:
    assert not matches(["bill", "report"], "billing")
    assert not matches(["bill", "report"], "my-report")
    assert matches(["bill", "report"], "report")


@pytest.mark.parametrize("text", ["a.b", "a|b", "a+b", "(a)", "[a]", "^a", "a$", "a\\d", "{2}", "a-b", "a b", "a#b"])
def test_regular_expression_characters_stand_for_themselves(text: str) -> None:
    assert matches([text], text)
    assert not matches([text], "a")
    assert not matches([text], "aXb")


TRICKS = "\u200b\u200e\u200f\u202a\u202e\u2066\u2069\ufeff\u00ad\u034f\u115f\u3164\u2800\ufe0f\U000e0041\U000e0100\ue000\u180e"


@pytest.mark.parametrize("letter", TRICKS)
def test_what_does_not_show_or_turns_the_direction_of_writing_is_never_printed(letter: str) -> None:
    assert values.printable(f"a{letter}b") == "a?b"
    with pytest.raises(ValueError, match="do not show"):
        values.name(f"a{letter}b")


def test_printable_text_has_no_control_characters_and_is_cut() -> None:
    assert values.printable("a\x1b[31mb\nc\x07\x9b\u2029") == "a?[31mb?c???"
    assert values.printable("x" * 500, 10) == "x" * 9 + "…"
    assert values.printable("größe") == "größe"
    assert values.printable("日本\xa0語 ✓ 👍") == "日本\xa0語 ✓ 👍"
    assert values.printable("\udcff").encode("utf-8") == b"?"
    assert values.printable(7) == "7"


def test_a_number_of_things_is_told_in_words_that_fit_it() -> None:
    assert [values.counted(number, "file") for number in (0, 1, 12)] == ["0 files", "1 file", "12 files"]
    assert values.counted(2, "address", "addresses") == "2 addresses"


def test_bytes_are_told_in_the_unit_that_keeps_them_readable() -> None:
    assert [values.sized(number) for number in (0, 1023, 1536, 3 << 30)] == ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]


def test_of_many_names_the_first_are_told_and_the_rest_counted() -> None:
    assert values.first_few(["a", "b", "c"], 2) == "a, b and 1 more"
    assert (values.first_few(["a", "b"], 2), values.first_few([])) == ("a, b", "")


def test_what_is_not_ascii_stands_as_its_escape() -> None:
    assert values.escaped("a\x1b[2J\u200bé\n") == "a\\x1b[2J\\u200b\\xe9\\n"
    assert values.escaped("x" * 100, 10) == "x" * 10
