"""From a spec to an option, and back from what was typed to what Ansible gets: that, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from irctl.catalog.definition import Option
from irctl.cli import list_files, option_types, options
from irctl.errors import Invalid

IDLE = Option(
    "x_idle_for", "--idle-for", "str", "How long.", default="10m", kind="duration", minimum="5s", maximum="1h", example="30m"
)
MAX = Option("x_max", "--max", "int", "How many.", default=100, minimum=1, maximum=10000)
DATABASE = Option("x_database", "--database", "list", "Which.", default=[], kind="name", example=["shop"])
MODE = Option("x_mode", "--mode", "str", "How.", choices=("soft", "hard"))
FORCE = Option("x_force", "--force", "bool", "Whether.", default=False)
ALL = (IDLE, MAX, DATABASE, MODE, FORCE)
NAMES = {"idle_for": "x_idle_for", "max": "x_max", "database": "x_database", "mode": "x_mode", "force": "x_force"}


def typed(*words: str) -> dict[str, Any]:
    """What Ansible would get for this command line."""
    command = click.Command("x", params=[options.click_option(option) for option in ALL])
    context = command.make_context("x", list(words))
    return options.variables_of(context, NAMES, context.params)


def refused(*words: str) -> str:
    with pytest.raises(Invalid) as caught:
        typed(*words)
    return str(caught.value)


def test_only_what_was_typed_is_sent() -> None:
    assert typed() == {}
    assert typed("--max", "7") == {"x_max": 7}
    assert typed("--idle-for", "10m") == {"x_idle_for": "10m"}, "typed, though it is the default"


def test_a_variable_of_the_environment_is_not_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_MAX", "7")
    assert typed() == {}


def test_a_list_is_repeated_or_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_text("# ours\nshop\n\n  o'brien  \n")
    assert typed("--database", "a", "--database", "b") == {"x_database": ["a", "b"]}
    assert typed("--database", "a", "--database", f"@{path}") == {"x_database": ["a", "shop", "o'brien"]}


def test_a_file_that_names_nothing_or_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# nothing\n\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "utf-16").write_text("shop\n", "utf-16")
    (tmp_path / "large").write_text("a\n" * (list_files.LARGEST // 2 + 1))
    (tmp_path / "long").write_text("a\n" + "b" * 64)
    assert "the file names nothing" in refused("--database", f"@{tmp_path}/empty")
    assert "the file cannot be read" in refused("--database", f"@{tmp_path}/binary")
    assert "the file is UTF-16; save it as UTF-8" in refused("--database", f"@{tmp_path}/utf-16")
    assert "at most 1 MiB" in refused("--database", f"@{tmp_path}/large")
    assert "line 2: a name has at most 63 bytes" in refused("--database", f"@{tmp_path}/long")
    for path in (tmp_path, "/dev/zero"):
        assert "not a regular file" in refused("--database", f"@{path}")
    assert refused("--database", "@/nosuch") == "--database: there is no such file (got '@/nosuch')"


def test_of_a_bad_line_in_a_file_its_number_and_what_stands_there_are_said(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("shop\n\n a\x07b\n")
    said = refused("--database", f"@{tmp_path}/bad")
    assert said == "--database: line 3: a name must not contain control characters, or others that do not show (got 'a\\x07b')"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("10", "needs a unit"),
        ("0", "above zero"),
        ("-10m", "above zero"),
        ("1s", "at least 5s"),
        ("2h", "at most 1h"),
        ("", "above zero"),
    ],
)
def test_a_duration_is_refused_with_the_why(value: str, why: str) -> None:
    said = refused("--idle-for", value)
    assert said.startswith("--idle-for: ")
    assert why in said
    assert f"(got '{value}')" in said


@pytest.mark.parametrize(
    ("value", "why"), [("0", "at least 1"), ("10001", "at most 10000"), ("-1", "plain digits"), ("010", "plain digits")]
)
def test_a_number_is_refused_with_the_why(value: str, why: str) -> None:
    assert (
        refused("--max", value)
        == f"--max: {'expected a whole number in plain digits, such as 100' if 'plain' in why else why} (got '{value}')"
    )


def test_a_choice_is_held_to() -> None:
    assert typed("--mode", "hard") == {"x_mode": "hard"}
    assert refused("--mode", "other") == "--mode: one of soft, hard is needed (got 'other')"
    assert refused("--mode", "x" * 5000) == f"--mode: one of soft, hard is needed (got '{'x' * 79}~')"


def test_yes_and_no_are_two_flags_and_neither_is_sent_unless_it_was_typed() -> None:
    assert typed("--force") == {"x_force": True}
    assert typed("--no-force") == {"x_force": False}, "an inventory may say yes"
    assert typed("--max", "7") == {"x_max": 7}


def test_the_refused_value_is_shown_escaped_and_cut() -> None:
    assert "(got '\\x1b[31m\\n')" in refused("--database", "\x1b[31m\n")
    assert len(refused("--database", "x" * 5000)) < 200


def test_help_is_made_of_description_default_and_example() -> None:
    assert options.click_option(IDLE).help == "How long. Default: 10m. Example: --idle-for 30m"
    assert (
        options.click_option(DATABASE).help == "Which. Repeat it for more, or give @FILE with one a line. Example: --database shop"
    )
    assert options.click_option(FORCE).help == "Whether. Default: --no-force."
    assert [option.typed_example for option in (IDLE, DATABASE, MODE, FORCE)] == [
        "--idle-for 30m",
        "--database shop",
        "",
        "--force",
    ]
    assert [options.click_option(option).metavar for option in ALL[:3]] == ["DURATION", "NUMBER", "NAME"]


@pytest.mark.parametrize(
    "text", ["db1", "prod", "db-1.example.org", "10.0.0.1", "a_b", "allhosts", "x" * 253, "2001:db8::7", "::1"]
)
def test_plain_names_of_hosts_and_groups_are_taken(text: str) -> None:
    assert option_types.host_or_group(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "all",
        "ALL",
        "ungrouped",
        "",
        "*",
        "a:b",
        "::!db",
        "[::1]",
        "1:2",
        "!a",
        "~a",
        "a,b",
        "a[0]",
        "@f",
        "-a",
        "db\u0131",
        "a\n",
        "x" * 254,
        " a",
    ],
)
def test_patterns_and_words_for_everything_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="name"):
        option_types.host_or_group(text)


def test_an_incident_is_named_by_its_id_or_the_end_of_it() -> None:
    for text in ("INC-2026-1121-001", "1121-001", "001"):
        assert option_types.incident_id(text) == text
    for text in ("INC-2026-1121-001\n", "01", "-001", "INC-2026-1121-٠٠١", "../INC-2026-1121-001", ""):
        with pytest.raises(ValueError, match="INC-2026-1121-001"):
            option_types.incident_id(text)


def test_a_time_limit_lies_between_five_seconds_and_a_day() -> None:
    assert option_types.timeout("10m") == 600
    for text in ("4s", "25h", "2d"):
        with pytest.raises(ValueError, match="at least 5s and at most 24h"):
            option_types.timeout(text)
