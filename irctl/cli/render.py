"""Printing on standard output: a sentence, a table, or exactly one JSON object."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import shows

COLOURS = {"changed": "green", "unchanged": "green", "refused": "yellow"}


def as_object(document: Mapping[str, Any]) -> None:
    """Print one JSON object; characters that do not show, which JSON would leave raw, are escaped."""
    text = json.dumps(document, ensure_ascii=False)
    click.echo(text if text.isascii() else "".join(map(_visible, text)))


def _visible(letter: str) -> str:
    return letter if shows(letter) else json.dumps(letter)[1:-1]


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns as wide as their widest cell; the last column runs on."""
    for line in aligned(rows):
        click.echo(line)


def aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    table = [list(row) for row in rows]
    widths = [max(len(click.unstyle(cell)) for cell in column) for column in zip(*table, strict=True)][:-1]
    lines = []
    for row in table:
        padded = [cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*padded, row[-1]]).rstrip())
    return lines


def wrapped(rows: Iterable[Sequence[str]]) -> None:
    """Print rows as a table whose last column goes over several lines where the terminal, or 80 columns, is narrower."""
    table = [list(row) for row in rows]
    starts = [line[:-1] for line in aligned([*row[:-1], "|"] for row in table)]
    for row, start in zip(table, starts, strict=True):
        indent = len(click.unstyle(start))
        width = max(20, shutil.get_terminal_size().columns - indent)
        lines = textwrap.wrap(row[-1], width, break_long_words=False, break_on_hyphens=False) or [""]
        click.echo(f"\n{' ' * indent}".join([start + lines[0], *lines[1:]]).rstrip())


def sentence(text: str, document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a sentence for a person, or the object that says the same."""
    if as_json:
        as_object(document)
    else:
        click.echo(text)


def name_last(word: str, name: str) -> None:
    """Say on standard error which run `last` is, before something is done with it."""
    from irctl.record.runs import LAST  # not for commands that only print

    if word == LAST:
        click.echo(f"last: {name}", err=True)


def outcome(word: str, *, check: bool = False) -> str:
    """An outcome in its colour; after a dry run 'changed' is 'would change'."""
    shown = "would change" if check and word == "changed" else word
    return click.style(shown, fg=COLOURS.get(word, "red"))


def notices_only(kind: str, value: Any) -> None:
    """Show of a run within another command only its warnings; what happens is in the run's record."""
    if kind == "message":
        click.echo(f"warning: {value}", err=True)
