"""The grammar of nginx's configuration files, read as nginx reads it: words, blocks, and where each directive stands. Pure.

A block of another language, such as content_by_lua_block, is passed over by that language's own rules and kept as `foreign`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

SPACE = " \t\r\n"
ESCAPES = {'"': '"', "'": "'", "\\": "\\", "t": "\t", "r": "\r", "n": "\n"}
FOREIGN = "_by_lua_block"  # the end of the names of directives whose block is Lua

_LUA = re.compile(
    r"--\[(?P<comment>=*)\[.*?\](?P=comment)\]|--[^\n]*|\[(?P<text>=*)\[.*?\](?P=text)\]"
    r"|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[{}]",
    re.DOTALL,
)


@dataclass(frozen=True)
class Directive:
    """One directive, those of its block if it has one, and its place. `foreign`: its block is of another language."""

    words: tuple[str, ...]
    block: tuple[Directive, ...] | None = None
    file: str = ""
    line: int = 0
    foreign: bool = False

    @property
    def name(self) -> str:
        return self.words[0]

    @property
    def place(self) -> str:
        """FILE:LINE."""
        return f"{printable(self.file, 200)}:{self.line}"

    def __str__(self) -> str:
        return printable(" ".join(self.words), 80)


class Token(NamedTuple):
    """A word, or a mark: one of ; { } in its own right."""

    text: str
    mark: bool
    line: int


class Unreadable(Failure):
    """The text does not follow the grammar, as far as this reading goes."""


def parse(text: str, file: str) -> tuple[Directive, ...]:
    """The directives of one file. Raises Unreadable, with the place."""
    return _Reader(text, file).directives(nested=False, begun=1)


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._text, self._file, self._at, self._line = text, file, 0, 1

    def directives(self, *, nested: bool, begun: int) -> tuple[Directive, ...]:
        """Those up to the end of the block, or of the file."""
        result, words = list[Directive](), list[Token]()
        for token in self._tokens():
            if not token.mark:
                words.append(token)
            elif token.text == "}":
                if words or not nested:
                    raise self._unreadable("a } stands where no block ends", token.line)
                return tuple(result)
            elif not words:
                raise self._unreadable(f"a {token.text} stands where a directive begins", token.line)
            else:
                result.append(self._directive(words, token))
                words = []
        if words or nested:
            raise self._unreadable("the file ends within it", words[0].line if words else begun)
        return tuple(result)

    def _directive(self, words: list[Token], end: Token) -> Directive:
        texts, line = tuple(word.text for word in words), words[0].line
        if end.text == ";":
            return Directive(texts, None, self._file, line)
        if texts[0].endswith(FOREIGN):
            self._pass_lua(line)
            return Directive(texts, (), self._file, line, foreign=True)
        return Directive(texts, self.directives(nested=True, begun=line), self._file, line)

    def _tokens(self) -> Iterator[Token]:
        """Each next token. What calls `directives` for a block in between goes on behind that block."""
        while (character := self._peek()) != "":
            if character in SPACE:
                self._advance()
            elif character == "#":
                while self._peek() not in ("", "\n"):
                    self._advance()
            elif character in ";{}":
                line = self._line
                self._advance()
                yield Token(character, True, line)
            elif character in "\"'":
                yield self._quoted()
            else:
                yield self._word()

    def _quoted(self) -> Token:
        line, quote, text = self._line, self._advance(), ""
        while (character := self._advance()) != quote:
            if character == "":
                raise self._unreadable("the file ends within a text in quotes", line)
            text += self._escaped() if character == "\\" else character
        if self._peek() not in (*SPACE, ";", "{", ")"):
            raise self._unreadable("no space follows a text in quotes", line)
        return Token(text, False, line)

    def _word(self) -> Token:
        """Up to a space, a ; or a { that begins no ${name}. A quote, a } and a # within it are part of it."""
        line, text, variable = self._line, "", False
        while (character := self._peek()) not in ("", ";", *SPACE) and (character != "{" or variable):
            self._advance()
            variable = character == "$" or (variable and character == "{")
            text += self._escaped() if character == "\\" else character
        return Token(text, False, line)

    def _escaped(self) -> str:
        """What a backslash and the next character stand for."""
        character = self._advance()
        return ESCAPES.get(character, f"\\{character}")

    def _pass_lua(self, begun: int) -> None:
        depth = 1
        for match in _LUA.finditer(self._text, self._at):
            depth += {"{": 1, "}": -1}.get(match[0], 0)
            if depth == 0:
                self._line += self._text.count("\n", self._at, match.end())
                self._at = match.end()
                return
        raise self._unreadable("the end of its block of Lua cannot be told", begun)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _advance(self) -> str:
        character = self._peek()
        self._at += 1
        self._line += character == "\n"
        return character

    def _unreadable(self, why: str, line: int) -> Unreadable:
        return Unreadable(f"{printable(self._file, 200)}:{line} cannot be read as nginx reads it: {why}.")
