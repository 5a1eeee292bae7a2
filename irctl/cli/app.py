"""The `irctl` command: imports only the verb that is asked for; says each error in one line or one JSON object."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from irctl import __version__
from irctl.cli import color, output
from irctl.cli.base import Group, UnknownCommand
from irctl.errors import EVIDENCE, FAILED, INDETERMINATE, INVALID, IrctlError
from irctl.running import signals

VERBS = {
    "remediate": "Mend something: look, guard, capture, change, verify, report.",
    "diagnose": "Look at something, and say what to do next. Changes nothing.",
    "plan": "Show what a remediation would do, and the hash that names the plan.",
    "catalog": "List what can be mended and looked at, or tell all about one.",
    "revert": "Undo what a run changed, from the state that it captured.",
    "incident": "Open, follow and close an incident, and pack its evidence.",
    "request": "Ask for the approvals that a remediation needs.",
    "approve": "Look at exactly what would run, and sign it.",
    "approvals": "Show what waits for approval, and what was approved.",
    "drill": "Practise on hosts that are marked for it, and see what is due.",
    "leases": "Show and end the changes that end by themselves.",
    "stop": "Refuse every change from now on, until `irctl resume`.",
    "resume": "Allow changes again.",
    "runs": "List the runs, or show one.",
    "evidence": "Collect evidence, and check sealed records and packs.",
    "lab": "Start and stop servers to try all this on.",
    "init": "Write a first inventory and configuration of your own.",
    "doctor": "Say what is missing on this machine, and what is in force.",
    "content": "Begin a remediation of your own, and check it.",
    "help": "Show the page about a subject, or list the subjects.",
    "completion": "Print the script for completion in your shell.",
}


class Verbs(Group):
    """Imports a verb's file only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"irctl.cli.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"irctl {__version__}")
        ctx.exit(0)


cli = Verbs(
    name="irctl",
    help="Incident response for the person on call.\n\n"
    "Every remediation looks before it acts, refuses when acting would hurt, keeps the evidence and proves the effect.",
    epilog="Example: irctl remediate db-connections --host prod --check",
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            help="Print the version.",
            callback=_version,
        )
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    output.prepare()
    try:
        signals.install()
        code = _carry_out(given)
        signals.ignore()
    except signals.Stopped as stopped:
        code = _tell(str(stopped), "indeterminate", INDETERMINATE, given)
        signals.ignore()
    sys.exit(output.settle(code))


def _carry_out(given: list[str]) -> int:
    try:
        code = cli.main(given, prog_name="irctl", standalone_mode=False, color=color.setting())
    except IrctlError as error:
        code = _tell(str(error), error.outcome, error.exit_code, given)
    except click.exceptions.NoArgsIsHelpError as error:
        code = _help_or_object(error, given)
    except click.ClickException as error:
        code = _tell(message_of(error), "invalid", INVALID, given)
    except click.Abort:
        code = _tell("stopped before or after a run, not within one; `irctl runs` shows what there was", "failed", FAILED, given)
    except Exception as error:
        code = _unexpected(error, given)
    return code if isinstance(code, int) else 0


def _help_or_object(error: click.UsageError, given: list[str]) -> int:
    """A group's help where its command is missing; with --json an error like any other."""
    if "--json" in given:
        return _tell(_command_missing(error), "invalid", INVALID, given)
    click.echo(error.ctx.get_help() if error.ctx else "", err=True)
    return INVALID


def _command_missing(error: click.UsageError) -> str:
    return f"command: it must be given; {error.ctx.command_path if error.ctx else 'irctl'} --help lists them"


def _unexpected(error: Exception, given: list[str]) -> int:
    """What could not be looked at, or a fault in irctl itself; with -v that is raised again."""
    from ansible_collections.irctl.runbooks.plugins.module_utils.paths import Unseen

    if isinstance(error, Unseen):
        return _tell(str(error), "failed", EVIDENCE, given)
    if any(word.startswith("-v") or word == "--verbose" for word in given):
        raise error
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None or isinstance(error.filename, int) else f"{error.filename}: "
        return _tell(f"{where}{error.strerror}", "failed", EVIDENCE, given)
    fault = f"a fault in irctl itself: {type(error).__name__}: {' '.join(str(error).split())[:200]} (-v shows where)"
    return _tell(fault, "failed", FAILED, given)


def message_of(error: click.ClickException) -> str:
    """What click refuses, as `--option: why (got '...')`."""
    from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable
    from irctl.cli import suggestions
    from irctl.cli.option_types import flag_of

    if isinstance(error, UnknownCommand):
        return suggestions.unknown_command(error)
    if isinstance(error, click.NoSuchOption):
        meant = suggestions.for_option(error.ctx, error.option_name, error.possibilities or ())
        return f"{printable(error.option_name, 80)}: no such option. {meant}".rstrip()
    if isinstance(error, click.MissingParameter):
        return f"{flag_of(error.param)}: it must be given{_example(error)}"
    if isinstance(error, click.BadOptionUsage):
        return f"{printable(error.option_name, 80)}: its value must follow"
    if isinstance(error, click.BadParameter):
        return f"{flag_of(error.param)}: {printable(_shortened(' '.join(error.message.split())), 300)}"
    if type(error) is click.UsageError and error.message == "Missing command.":
        return _command_missing(error)
    message = printable(" ".join(error.format_message().split()), 200)
    return message if message.startswith("-") else f"command: {message}"


def _example(error: click.MissingParameter) -> str:
    """How what is missing is given: for --host the same everywhere, else as the help of the command shows it."""
    from irctl.cli.option_types import flag_of

    if flag_of(error.param) == "--host":
        return ", such as --host prod"
    shown = (error.ctx.command.epilog or "") if error.ctx else ""
    return f", as in: {shown.removeprefix('Example: ')}" if shown.startswith("Example: ") else ""


def _shortened(message: str) -> str:
    """Click's `'value' is not ...` with no more than 80 characters of the value, so that the reason is not cut off."""
    match = re.fullmatch(r"(['\"])(.*)(\1 is not .*)", message, re.DOTALL)
    return f"{match[1]}{match[2][:79]}…{match[3]}" if match and len(match[2]) > 80 else message


def _tell(message: str, outcome: str, code: int, given: Sequence[str]) -> int:
    from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

    return output.tell(printable(message, 2000), outcome, code, given)
