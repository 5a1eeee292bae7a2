"""irctl completion: the script that teaches a shell to complete irctl."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from irctl.cli import completions, render
from irctl.cli.base import Command, wants_json
from irctl.cli.completions import SHELLS
from irctl.errors import invalid

BEFORE = {"bash": "COMP_WORDBREAKS=${COMP_WORDBREAKS//@/} # so that @FILE is one word\n"}


@click.command(cls=Command, name="completion", epilog='Example: eval "$(irctl completion bash)"')
@click.argument("shell", metavar="|".join(SHELLS), shell_complete=completions.shells)
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell; put its output where the shell reads it at start."""
    from irctl.cli.app import cli

    made = get_completion_class(shell) if shell in SHELLS else None
    if made is None:
        raise invalid("SHELL", f"one of {', '.join(SHELLS)} is needed", shell)
    script = BEFORE.get(shell, "") + made(cli, {}, "irctl", "_IRCTL_COMPLETE").source()
    document = {"schema": "irctl/completion/1", "shell": shell, "script": script}
    render.sentence(script, document, as_json=wants_json(ctx))
