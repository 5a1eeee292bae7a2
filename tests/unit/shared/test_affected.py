"""What exactly would be changed, as a module hands it over."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import affected


def test_each_row_is_a_line_and_numbers_stay_numbers() -> None:
    rows = [{"pid": 7, "user": "o'brien", "client": None, "waits": True}, {"pid": 8}]
    assert [json.loads(line) for line in affected.text(rows).splitlines()] == rows
    assert affected.text([]) == ""


def test_text_of_a_host_cannot_act_on_a_terminal_or_begin_another_line() -> None:
    text = affected.text([{"application": "web\x1b[2J\n{}\u2028", "odd\r": [1, "\x07"]}])
    assert text.count("\n") == 1
    assert not any(character in text for character in "\x1b\u2028\x07\r")
    assert json.loads(text)["application"] == "web?[2J?{}?"


def test_a_path_is_kept_whole_and_an_endless_text_is_not() -> None:
    [kept] = map(json.loads, affected.text([{"file": "/" + "a" * 4000, "more": "b" * 10**6}]).splitlines())
    assert (len(kept["file"]), len(kept["more"])) == (4001, affected.LONGEST)


@pytest.mark.parametrize("rows", [["a"], [{}], [None], [["pid", 7]]])
def test_what_identifies_nothing_is_refused(rows: list[Any]) -> None:
    with pytest.raises(ValueError, match="a list of dicts"):
        affected.text(rows)
