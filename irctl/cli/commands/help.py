"""irctl help TOPIC: the documentation, from the wheel."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from irctl.catalog.unknown_names import nearest, quoted
from irctl.cli import completions, help_topics, render
from irctl.cli.base import Command, settings_of, wants_json
from irctl.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command, name="help", epilog="Example: irctl help approvals")
@click.argument("words", metavar="[TOPIC]", nargs=-1, shell_complete=completions.topics)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show the page about TOPIC: a subject such as approvals, a remediation, a diagnosis, or a command such as evidence verify.
    Without one, list them.
    """
    pages = {**help_topics.roles(settings_of(ctx).contents), **help_topics.subjects()}
    if not words:
        _list(pages, as_json=wants_json(ctx))
    elif " ".join(words) in pages:
        _show(help_topics.text(pages[words[0]]), as_json=wants_json(ctx))
    else:
        _show(_of_command(ctx, words, list(pages)), as_json=wants_json(ctx))


def _list(pages: dict[str, Path], *, as_json: bool) -> None:
    rows = [(name, help_topics.title(path).removeprefix(f"{name}: ")) for name, path in sorted(pages.items())]
    if as_json:
        topics = [{"name": name, "title": title} for name, title in rows]
        render.as_object({"schema": "irctl/help/1", "topics": topics, "text": None})
        return
    subjects = help_topics.subjects()
    for heading, own in (("Subjects", True), ("Remediations and diagnoses", False)):
        click.echo(heading)
        render.table([f"  {name}", title] for name, title in rows if (name in subjects) == own)
    click.echo("\nirctl COMMAND --help tells of a command.")


def _of_command(ctx: click.Context, words: tuple[str, ...], pages: list[str]) -> str:
    """The help of a command of irctl, named as it is typed. Raises Invalid where there is none either."""
    context = ctx.find_root()
    for word in words:
        group = context.command
        known = group.list_commands(context) if isinstance(group, click.Group) else []
        found = group.get_command(context, word) if isinstance(group, click.Group) and word in known else None
        if found is None:
            near = nearest(word, known if context.parent else [*pages, *known])
            raise Invalid(f"TOPIC: there is no page {quoted(' '.join(words))}.{near} `irctl help` lists them")
        context = found.context_class(found, info_name=word, parent=context)
    return context.command.get_help(context)


def _show(text: str, *, as_json: bool) -> None:
    if as_json:
        render.as_object({"schema": "irctl/help/1", "topics": [], "text": text})
    elif sys.stdout.isatty():
        click.echo_via_pager(text + "\n")
    else:
        click.echo(text)
