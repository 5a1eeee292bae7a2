"""irctl runs: the runs there were, one of them, or what two of them have not in common."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from irctl.cli import completions
from irctl.cli.base import Command, remind, settings_of, wants_json
from irctl.cli.option_types import Choice, Value
from irctl.cli.views import runs as view
from irctl.errors import EXIT_CODES, EvidenceError, Invalid
from irctl.record import run_entries, runs
from irctl.record.run_entries import UNDER_WAY, VERBS, Entry, Filter
from irctl.record.runs import Folder

DIFF = "diff"
OUTCOMES = [*EXIT_CODES, UNDER_WAY]


def _number(text: str) -> int:
    number = values.whole(text)
    if not 1 <= number <= 10_000:
        raise ValueError("at least 1 and at most 10000")
    return number


def _since(text: str) -> datetime:
    """The moment that a duration before now, or a date, stands for."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
            return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        return datetime.now(UTC) - timedelta(seconds=values.seconds(text))
    except (ValueError, OverflowError):
        raise ValueError("a duration such as 24h, or a date such as 2026-11-21, is needed") from None


@click.command(cls=Command, name="runs", epilog="Example: irctl runs --host db1 --outcome failed --since 24h")
@click.argument("words", nargs=-1, metavar="[RUN | last | diff RUN RUN]", shell_complete=completions.runs_to_show)
@click.option(
    "--last",
    "most",
    type=Value("NUMBER", _number),
    default="20",
    help="List at most this many, 1 to 10000, newest first. Default: 20.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST",
    shell_complete=completions.hosts,
    help="Only runs on this host. Repeat it for more.",
)
@click.option(
    "--verb",
    "verbs",
    multiple=True,
    type=Choice(VERBS),
    metavar="VERB",
    help=f"Only runs that did this: {', '.join(VERBS)}. A dry run of anything is a check. Repeat it for more.",
)
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=Choice(OUTCOMES),
    metavar="OUTCOME",
    help="Only runs that ended so. Repeat it for more. Example: --outcome failed",
)
@click.option("--since", type=Value("DURATION|DATE", _since), help="Only runs that began since then. Example: --since 24h")
@click.option("--text", default="", metavar="TEXT", help="Only runs with this in their name, incident, hosts or reasons.")
@click.pass_context
def command(
    ctx: click.Context, /, words: tuple[str, ...], most: int, hosts: tuple[str, ...], verbs: tuple[str, ...],
    outcomes: tuple[str, ...], since: datetime | None, text: str,
) -> None:  # fmt: skip
    """List the runs, newest first; show RUN (its id, or the start or last six characters of it) or the last one; or say in
    what two runs differ.
    """
    home = settings_of(ctx).home_path
    remind(home)
    meant = Filter(hosts, verbs, outcomes, since, text)
    if not words:
        none = "There are no such runs." if meant != Filter() else f"There are no runs in {values.printable(home, 200)} yet."
        view.show(list(itertools.islice(_matching(home, meant), most)), none=none, as_json=wants_json(ctx))
    elif words[0] == DIFF and len(words) == 3:
        first, second = (_find(home, word, meant) for word in words[1:])
        view.show_difference(first, second, as_json=wants_json(ctx))
    elif words[0] != DIFF and len(words) == 1:
        view.show_one(_find(home, words[0], meant), as_json=wants_json(ctx))
    else:
        raise Invalid("RUN: one run, or `last`, or `diff` and two runs are needed")


def _matching(home: Path, meant: Filter) -> Iterator[Entry]:
    """The runs that are meant. Warns of records that cannot be read, and goes on."""
    for folder in runs.listed(home):
        try:
            entry = run_entries.entry(folder)
        except EvidenceError as error:
            click.echo(f"warning: {error}", err=True)
            continue
        if meant.matches(entry):
            yield entry


def _find(home: Path, word: str, meant: Filter) -> Folder:
    """The run of this id, or the newest one that is meant. Raises Invalid."""
    if word != runs.LAST:
        return runs.find(home, word)
    return runs.newest(Folder(home, entry.run) for entry in _matching(home, meant))
