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
@click.argument("topic", required=False, shell_complete=completions.topics)
@click.pass_context
def command(ctx: click.Context, topic: str | None) -> None:
    """Show the page about TOPIC: a subject such as approvals, a remediation, a diagnosis, or a command. Without one, list them."""
    pages = {**help_topics.roles(settings_of(ctx).contents), **help_topics.subjects()}
    if topic is None:
        _list(pages, as_json=wants_json(ctx))
    elif topic in pages:
        _show(help_topics.text(pages[topic]), as_json=wants_json(ctx))
    else:
        _show(_of_command(ctx, topic, list(pages)), as_json=wants_json(ctx))


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


def _of_command(ctx: click.Context, name: str, pages: list[str]) -> str:
    """The help of a command of irctl. Raises Invalid where there is none either."""
    root = ctx.find_root()
    group = root.command
    assert isinstance(group, click.Group)
    verbs = group.list_commands(root)
    found = group.get_command(root, name) if name in verbs else None
    if found is None:
        raise Invalid(f"TOPIC: there is no page {quoted(name)}.{nearest(name, [*pages, *verbs])} `irctl help` lists them")
    return found.get_help(found.context_class(found, info_name=name, parent=root))


def _show(text: str, *, as_json: bool) -> None:
    if as_json:
        render.as_object({"schema": "irctl/help/1", "topics": [], "text": text})
    elif sys.stdout.isatty():
        click.echo_via_pager(text + "\n")
    else:
        click.echo(text)
