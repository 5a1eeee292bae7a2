"""irctl content: folders with remediations of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from ansible_collections.irctl.runbooks.plugins.module_utils.values import counted, printable
from irctl.catalog import catalog
from irctl.catalog.content import OURS, content_of
from irctl.cli import render
from irctl.cli.base import Command, Group, wants_json
from irctl.errors import DONE, FAILED, Invalid, invalid

command = Group(
    name="content",
    help="Begin a remediation of your own, write what follows from its definition, and check it by the rules of irctl's own.",
    epilog="Example: irctl content new clear-cache --dir acme --collection acme.books && irctl content check acme",
)


@command.command(name="new", cls=Command, epilog="Example: irctl content new clear-cache --dir acme --collection acme.books")
@click.argument("name")
@click.option("--dir", "folder", type=click.Path(), default=".", metavar="DIR", help="The content folder. Default: where you are.")
@click.option(
    "--collection",
    default="",
    metavar="NAME",
    help="What the folder is to be called, if it is none yet. Example: --collection acme.books",
)
@click.pass_context
def new(ctx: click.Context, name: str, folder: str, collection: str) -> None:
    """Write a remediation that works, to be changed step by step: definition, tasks, module, test, Molecule scenario.

    It passes `irctl content check` and its drill at once. Nothing that is there is overwritten.
    """
    from irctl.content import scaffold

    if name in catalog.names([OURS]):
        raise invalid("NAME", "irctl has a remediation of this name", name)
    try:
        content, written = scaffold.new(Path(folder), name, collection)
    except OSError as error:
        raise invalid("--dir", (error.strerror or str(error)).lower(), error.filename or folder) from None
    if wants_json(ctx):
        paths = [str(path) for path in written]
        render.as_object(
            {"schema": "irctl/content-new/1", "collection": content.name, "folder": str(content.root), "written": paths}
        )
        return
    for path in written:
        click.echo(printable(path, 4096))
    click.echo(f"\n{name} of {content.name}. Look at it and check it; irctl help add-a-remediation says what to change next:")
    click.echo(
        f"  export IRCTL_CONTENT={printable(content.root, 4096)}\n  irctl remediate {name} --help\n  irctl content check {folder}"
    )


@command.command(name="build", cls=Command, epilog="Example: irctl content build acme")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.pass_context
def build(ctx: click.Context, folder: str) -> None:
    """Write what follows from the definitions in DIR: argument specs, defaults, playbooks, arguments of modules, actions, pages."""
    from irctl.content import generated

    content = content_of(Path(folder))
    texts = generated.stale(content)
    try:
        generated.write(texts)
    except OSError as error:
        raise invalid("DIR", (error.strerror or str(error)).lower(), error.filename) from None
    names = [str(path.relative_to(content.root)) for path in texts]
    if wants_json(ctx):
        render.as_object({"schema": "irctl/content-build/1", "collection": content.name, "written": names})
    else:
        click.echo("\n".join(names) or "All of it is as the definitions say")


@command.command(name="check", cls=Command, epilog="Example: irctl content check acme")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.pass_context
def check(ctx: click.Context, folder: str) -> int:
    """Hold the remediations in DIR against the rules that hold for irctl's own; exit 1 where one is broken.

    Imports the modules in DIR. Runs nothing of them.
    """
    from irctl.content import check as rules

    content = content_of(Path(folder))
    try:
        faults = rules.faults(content)
    except (ImportError, AttributeError, NameError) as error:
        raise Invalid(f"content: a module cannot be imported: {error}") from None
    if wants_json(ctx):
        rows = [{"where": fault.where, "says": fault.says} for fault in faults]
        render.as_object({"schema": "irctl/content-check/1", "collection": content.name, "faults": rows})
    else:
        for fault in faults:
            click.echo(printable(f"{fault.where}: {fault.says}", 2000))
        click.echo(f"{content.name}: {counted(len(faults), 'fault') if faults else 'every rule is kept'}")
    return FAILED if faults else DONE
