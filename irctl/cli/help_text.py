"""Help that can be copied from: no line of it ends in the middle of an example, and no list in the middle of a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

_KEPT = str.maketrans(" -", "\u00a0\u2011")  # a space and a hyphen at which no line is broken
_PLAIN = str.maketrans("\u00a0\u2011", " -")


class Formatter(click.HelpFormatter):
    """Keeps the example at the end of an option's help on one line."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl([(term, _unbroken(text)) for term, text in rows], col_max, col_spacing)

    def getvalue(self) -> str:
        return super().getvalue().translate(_PLAIN)


def _unbroken(text: str) -> str:
    return re.sub(r"Example: [^\[]*[^\[ ]", lambda match: match[0].translate(_KEPT), text)


class Context(click.Context):
    """The context of a command whose help is set by Formatter."""

    formatter_class = Formatter


class HelpText(click.Command):
    """What irctl's commands and groups share: how their help is set."""

    context_class = Context

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            formatter.write(f"\n  {self.epilog}\n")

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence of the help, whole."""
        return re.split(r"(?<=[^.]\.)\s", " ".join((self.help or "").split()), maxsplit=1)[0]
