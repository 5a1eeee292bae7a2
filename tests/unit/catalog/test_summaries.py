"""Lists of remediations: what they show of each is what its own files say, though little of them is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from irctl.catalog import catalog
from irctl.catalog.content import OURS
from irctl.catalog.summaries import OTHER, THEMES, Summary, by_theme, scalar_at, summaries
from irctl.errors import Invalid


@pytest.mark.parametrize("diagnoses", [False, True])
def test_a_summary_is_what_the_whole_of_the_files_says(diagnoses: bool) -> None:
    found = summaries([OURS], diagnoses=diagnoses)
    assert [one.name for one in found] == list(catalog.names([OURS], diagnoses=diagnoses))
    for one in found:
        whole = catalog.load(one.name, [OURS], diagnosis=diagnoses)
        assert (one.theme, one.text) == (whole.about["theme"], whole.summary)
        assert one.theme in THEMES


def test_themes_come_in_their_order_with_those_of_others_after_ours_and_what_has_none_last() -> None:
    entries = [Summary(name, theme, "") for name, theme in zip("abcde", (OTHER, "Zoo", *THEMES[1::-1], "Zoo"), strict=True)]
    assert {theme: "".join(one.name for one in group) for theme, group in by_theme(entries).items()} == {
        THEMES[0]: "d",
        THEMES[1]: "c",
        "Zoo": "be",
        OTHER: "a",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: {b: {c: 'yes: it is'}}", "yes: it is"),
        ("x: {b: {c: wrong}}\na: {x: [{b: 1}], b: {y: {c: wrong}, c: right}}", "right"),
        ("? [a]\n: 1\na: &one {b: {c: right}}\nz: *one", "right"),
        ("a:\n  b:\n    c: >-\n      two\n      lines", "two lines"),
        ("a: {b: {c: [wrong]}}", ""),
        ("a: {b: wrong}", ""),
        ("[a, b, c]", ""),
        ("", ""),
    ],
)
def test_a_scalar_is_found_by_its_keys(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / "file.yml").write_text(text)
    assert scalar_at(tmp_path / "file.yml", "a", "b", "c") == value


def test_no_more_is_read_than_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file.yml").write_text("a: 1\n" + "# much more\n" * 100_000 + "}: [")
    assert scalar_at(tmp_path / "file.yml", "a") == "1"
    with pytest.raises(Invalid, match=r"file\.yml cannot be read"):
        scalar_at(tmp_path / "file.yml", "b")
