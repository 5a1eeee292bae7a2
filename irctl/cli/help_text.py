"""Help that can be copied from: no line of it ends in the middle of an example, and no list in the middle of a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import click

_KEPT = str.maketrans(" -", "\u00a0\u2011")  # a space and a hyphen at which no line is broken
_PRIVATE = 0xE000  # where the letters begin that no text has
_PLAIN = str.maketrans("\u00a0\u2011", " -")


class Formatter(click.HelpFormatter):
    """Keeps the example at the end of an option's help on one line, be it longer than the terminal is wide."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._long: dict[str, str] = {}  # the examples that fit on no line, by the word that stands for each

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        entries = list(rows)
        first = min(max((len(term) for term, _ in entries), default=0), col_max) + col_spacing
        width = max(self.width - first - 2, 10)  # of the text, as click reckons it
        super().write_dl([(term, self._unbroken(text, width)) for term, text in entries], col_max, col_spacing)

    def getvalue(self) -> str:
        text = super().getvalue()
        for word, example in self._long.items():
            text = text.replace(word, example)
        return text.translate(_PLAIN)

    def _unbroken(self, text: str, width: int) -> str:
        return re.sub(r"Example: [^\[]*[^\[ ]", lambda match: self._word(match[0], width), text)

    def _word(self, example: str, width: int) -> str:
        """What click takes for one word: the example, or of one that is too long a word that fills a line."""
        if len(example) <= width:
            return example.translate(_KEPT)
        word = chr(_PRIVATE + len(self._long)) * width
        self._long[word] = example
        return word


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
