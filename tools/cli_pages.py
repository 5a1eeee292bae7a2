"""The pages of docs/cli/: every command's help, as it prints it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import click

from irctl.catalog.content import OURS
from irctl.catalog.summaries import Summary, by_theme, summaries
from irctl.cli.app import VERBS, cli
from irctl.content.markdown import note, table

Words = tuple[str, ...]
WIDTH = 100
FROM_ROLES = ("remediate", "plan", "request", "diagnose")  # the groups with a command for each role


def pages() -> Iterator[tuple[str, str]]:
    """Each page's path below docs/ and its text."""
    texts = dict(helps())
    yield "cli.md", _index()
    for verb, sentence in VERBS.items():
        own = {words: text for words, text in texts.items() if words[1:2] == (verb,)}
        if verb in FROM_ROLES:
            own = {words: text for words, text in own.items() if len(words) == 2}
        yield f"cli/{verb}.md", _page(f"irctl {verb}", sentence, own)
    for one in summaries([OURS]):
        own = {words: text for words, text in texts.items() if words[2:] == (one.name,) and words[1] in FROM_ROLES[:3]}
        yield f"cli/remediations/{one.name}.md", _page(one.name, f"{one.text}. {_more(one.name)}", own)
    for one in summaries([OURS], diagnoses=True):
        own = {words: text for words, text in texts.items() if words[1:] == ("diagnose", one.name)}
        yield f"cli/diagnoses/{one.name}.md", _page(one.name, f"{one.text}.", own)


def _more(name: str) -> str:
    return f"When not to use it, and all about it: [its page](../../../roles/{name.replace('-', '_')}/README.md)."


def _index() -> str:
    remediations, diagnoses = by_theme(summaries([OURS])), summaries([OURS], diagnoses=True)
    verbs = [(f"[irctl {verb}](cli/{verb}.md)", sentence) for verb, sentence in VERBS.items()]
    lead = "Every command, as `--help` prints it. Exit codes: [exit-codes.md](exit-codes.md).\n"
    parts = [note("the command's help or the role's meta files"), "# Command line\n", lead]
    parts += [table(("command", "what it does"), verbs), "## Remediations: `irctl remediate|plan|request NAME`\n"]
    for theme, group in remediations.items():
        parts += [f"### {theme}\n", table(("name", "what it does"), [_row("remediations", one) for one in group])]
    rows = [_row("diagnoses", one) for one in diagnoses]
    return "\n".join([*parts, "## Diagnoses: `irctl diagnose NAME`\n", table(("name", "what it does"), rows)])


def _row(folder: str, one: Summary) -> tuple[str, str]:
    return f"[{one.name}](cli/{folder}/{one.name}.md)", one.text


def _page(title: str, lead: str, texts: Mapping[Words, str]) -> str:
    sections = [f"## {' '.join(words)}\n\n```text\n{text.rstrip()}\n```\n" for words, text in texts.items()]
    return "\n".join([note("the command's help or the role's meta files"), f"# {title}\n", f"{lead}\n", *sections])


def helps() -> Iterator[tuple[Words, str]]:
    """Every command's words and its help, with the content of this checkout only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IRCTL_")}
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(kept | {"XDG_CONFIG_HOME": os.devnull})
    try:
        yield from list(_helps(cli, _below(cli, "irctl"), ("irctl",)))
    finally:
        os.environ.clear()
        os.environ.update(before)


def _helps(command: click.Command, ctx: click.Context, words: Words) -> Iterator[tuple[Words, str]]:
    yield words, command.get_help(ctx)
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            if below is not None:
                yield from _helps(below, _below(below, name, ctx), (*words, name))


def _below(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return command.context_class(command, parent, name, terminal_width=WIDTH, help_option_names=["-h", "--help"])
