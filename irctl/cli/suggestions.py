"""What was probably meant by a word or an option that irctl does not know."""

from __future__ import annotations

from collections.abc import Iterable

import click

from irctl.catalog import catalog
from irctl.catalog.unknown_names import quoted
from irctl.cli.base import UnknownCommand, settings_of

MEANT = {  # words of other tools, and the commands here
    "list": "irctl catalog, irctl runs or irctl incident list",
    "ls": "irctl catalog, irctl runs or irctl incident list",
    "hosts": "irctl lab status, or: ansible-inventory --graph -i INVENTORY",
    "status": "irctl runs, irctl leases or irctl incident show",
    "history": "irctl runs",
    **dict.fromkeys(("undo", "rollback", "roll-back", "unblock", "unfreeze"), "irctl revert RUN"),
    "fix": "irctl remediate NAME",
    "run": "irctl remediate NAME",
    "check": "irctl plan NAME, or: irctl remediate NAME --check",
    "verify": "irctl evidence verify",
    "config": "irctl doctor",
}
OPTIONS = {**dict.fromkeys(("--dry-run", "--dryrun", "--noop", "-C", "-n"), "--check"), "--limit": "--host"}
AFTER_NAME = ("--host", "--check", "--incident", "--timeout", "--for", "--plan")
UNDOING = ("un", "undo-", "remove-", "revert-")


def for_command(ctx: click.Context, word: str) -> str:
    """A sentence with the command that was probably meant by `irctl WORD`, or ''."""
    contents = settings_of(ctx).contents
    remediations, diagnoses = catalog.names(contents), catalog.names(contents, diagnoses=True)
    if word in remediations:
        return f"It is a remediation: irctl remediate {word}."
    if word in diagnoses:
        return f"It is a diagnosis: irctl diagnose {word}."
    for prefix in UNDOING:
        if word.removeprefix(prefix) in remediations and word.startswith(prefix):
            return "To undo what a run changed: irctl revert RUN; irctl runs lists them."
    if word in MEANT:
        return f"Did you mean {MEANT[word]}?"
    return nearest(word, {**{name: f"irctl remediate {name}" for name in remediations}, **_commands(ctx)})


def _commands(ctx: click.Context) -> dict[str, str]:
    names = ctx.command.list_commands(ctx) if isinstance(ctx.command, click.Group) else []
    return {name: f"{ctx.command_path} {name}" for name in names}


def nearest(word: str, meanings: dict[str, str]) -> str:
    """'Did you mean X?' with the meaning of the key that is most like the word, or ''."""
    import difflib

    near = difflib.get_close_matches(word[:80], meanings, 1)
    return f"Did you mean {meanings[near[0]]}?" if near else ""


def for_option(ctx: click.Context | None, option: str, guesses: Iterable[str]) -> str:
    """A sentence with the option that was probably meant, or ''. `guesses` are those that are spelt like it."""
    if ctx is None:
        return ""
    if isinstance(ctx.command, click.Group) and ctx.command.subcommand_metavar.startswith("NAME") and option in AFTER_NAME:
        return f"The name comes first: {ctx.command_path} NAME {option} ..."
    own = {flag for param in ctx.command.params for flag in param.opts}
    if option == "--for" and {"--host", "--check"} <= own:
        return "What it changes does not end by itself"
    if option in OPTIONS and ctx.parent is None:
        return f"After the name of a remediation it is {OPTIONS[option]}: irctl remediate NAME --host HOST --check"
    meant = [OPTIONS[option]] if OPTIONS.get(option) in own else list(guesses)
    return f"Did you mean {meant[0]}?" if meant else ""


def unknown_command(error: UnknownCommand) -> str:
    """What to say of a command that there is not: what was probably meant, and which there are."""
    ctx, known = error.ctx, _commands(error.ctx)
    meant = for_command(ctx, error.word) if ctx.parent is None else nearest(error.word, known)
    commands = f"The commands of {ctx.command_path} are {', '.join(known)}."
    return f"command: {quoted(error.word)} is none of {ctx.command_path}. {meant} {commands}".replace("  ", " ")
