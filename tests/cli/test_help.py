"""The help of every verb, word for word.

A change of wording is seen in a diff: IRCTL_GOLDEN=write pytest tests/cli/test_help.py writes the files of golden/ again.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from irctl import __version__
from irctl.cli.app import VERBS
from tests.conftest import Irctl

GOLDEN = Path(__file__).parent / "golden"
PAGES = [
    "",
    *VERBS,
    "remediate db-connections",
    "plan db-connections",
    "diagnose postgres",
    "evidence verify",
    *(f"lab {verb}" for verb in ("up", "down", "status", "fault")),
    *(f"content {verb}" for verb in ("new", "build", "check")),
]


@pytest.mark.parametrize("page", PAGES)
def test_the_help_is_as_it_was(irctl: Irctl, page: str) -> None:
    shown = irctl(*page.split(), "--help")
    assert (shown.code, shown.err) == (0, "")
    path = GOLDEN / f"{'-'.join(['irctl', *page.split()])}.txt"
    if os.environ.get("IRCTL_GOLDEN") == "write":
        path.write_text(shown.out)
    assert shown.out == path.read_text(), "meant? IRCTL_GOLDEN=write pytest tests/cli/test_help.py"


def test_there_is_no_page_that_no_command_has() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {"-".join(["irctl", *page.split()]) for page in PAGES}


def test_no_page_is_wider_than_a_terminal_in_use_and_each_has_an_example() -> None:
    for path in GOLDEN.iterdir():
        text = path.read_text()
        assert max(len(line) for line in text.splitlines()) <= 110, path
        assert re.search(r'Example: (eval "\$\()?irctl \w', text), path


@pytest.mark.parametrize("page", ["remediate block-ip", "drill schedule", "incident impact", "evidence collect"])
def test_no_example_goes_over_two_lines(irctl: Irctl, page: str) -> None:
    """On a terminal of 80 columns, where the options have some 46 of them."""
    lines = irctl(*page.split(), "--help", COLUMNS="80").out.splitlines()
    for number, line in enumerate(lines):
        if example := re.search(r"Example: (.*)", line):
            ends = re.search(r"\[required\]$", line) or number + 1 == len(lines) or not lines[number + 1].startswith(" " * 20)
            assert ends or lines[number + 1].strip() == "[required]", (example[0], lines[number + 1])


def test_no_sentence_of_a_list_is_cut(irctl: Irctl) -> None:
    for page in ("evidence", "drill", "incident", "leases", "approvals", "lab"):
        assert "..." not in irctl(page, "--help", COLUMNS="80").out.partition("Commands:\n")[2]


def test_remediations_are_listed_below_their_themes(irctl: Irctl) -> None:
    for words in (["remediate", "--help"], ["plan", "--help"], ["request", "--help"], ["catalog"]):
        out = irctl(*words).out
        places = [
            out.index(text)
            for text in ("Databases", "db-connections", "Security and the edge", "block-ip ", "Evidence and storage")
        ]
        assert places == sorted(places)


def test_every_option_is_explained() -> None:
    for path in GOLDEN.iterdir():
        options = path.read_text().partition("Options:\n")[2].partition("\n\n")[0]
        entries = re.findall(r"^  (-\S.*(?:\n {4,}.*)*)", options, re.MULTILINE)
        assert entries, path
        assert all(re.search(r"\S(  +|\n +)[A-Z]", entry) for entry in entries), path


@pytest.mark.parametrize("columns", ["60", "80", "110"])
def test_an_example_that_is_longer_than_a_line_is_on_one_line_all_the_same(irctl: Irctl, columns: str) -> None:
    lines = [line.strip() for line in irctl("remediate", "purge-evidence", "--help", COLUMNS=columns).out.splitlines()]
    assert any(re.fullmatch(r"(.* )?Example: --list /var/lib/\S*/purge-list\.txt", line) for line in lines), lines
    assert any(re.fullmatch(r"(.* )?Example: --list-hash [0-9a-f]{64}", line) for line in lines), lines


def test_a_default_that_is_a_list_is_told_in_plain_words(irctl: Irctl) -> None:
    assert "Default: /var/log. " in " ".join(irctl("remediate", "capture-evidence", "--help").out.split())


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_has_a_short_and_a_long_name_anywhere(irctl: Irctl, word: str) -> None:
    assert irctl("remediate", "db-connections", word).out == irctl("remediate", "db-connections", "--help").out


@pytest.mark.parametrize("words", [[], ["remediate"], ["lab"], ["evidence"]])
def test_no_verb_shows_the_help_on_standard_error_and_is_bad_input(irctl: Irctl, words: list[str]) -> None:
    shown = irctl(*words)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.rstrip() == irctl(*words, "--help").out.rstrip()


def test_the_version_is_told(irctl: Irctl) -> None:
    shown = irctl("--version")
    assert (shown.code, shown.out, shown.err) == (0, f"irctl {__version__}\n", "")
