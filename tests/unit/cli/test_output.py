"""Nothing that irctl prints turns the direction of writing or hides, wherever it came from."""

from __future__ import annotations

import io
import json

import pytest

from irctl.cli import output, render

TRICK = "ev\u202eil\u200b\U000e0041"


def test_a_stream_writes_what_shows_and_irctls_own_styles() -> None:
    plain = io.TextIOWrapper(io.BytesIO())
    buffer = io.BytesIO()
    stream = output._Inert(buffer, "utf-8")
    stream.write(f"\x1b[31m{TRICK}\x1b[0m größe ✓\n")
    stream.flush()
    assert buffer.getvalue().decode() == "\x1b[31mev?il??\x1b[0m größe ✓\n"
    assert type(output._tolerant(plain, 1)) is output._Inert


def test_an_object_keeps_such_characters_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    render.as_object({"name": TRICK, "path": "\udcff", "größe": "✓"})
    printed = capsys.readouterr().out
    assert all(letter.isprintable() for letter in printed.rstrip("\n"))
    assert json.loads(printed) == {"name": TRICK, "path": "\udcff", "größe": "✓"}
