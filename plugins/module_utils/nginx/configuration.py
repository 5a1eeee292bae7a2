"""A configuration of nginx as `nginx -T` prints it: its directives with all that they include, and where each stands. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import syntax
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.globs import fits
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Directive, Unreadable
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

LIST = Directive(("the list",))  # stands where the file of the list is included
MAIN = ""  # the name of no file

_HEADER = re.compile(r"^# configuration file (.+):$", re.MULTILINE)


@dataclass(frozen=True)
class Configuration:
    """All directives, the folder that relative names of files begin at, and the files that it consists of."""

    directives: tuple[Directive, ...]
    folder: str
    paths: tuple[str, ...]


def parse(printed: str, path: str) -> Configuration:
    """Read what `nginx -T` prints; where the file `path` is included, LIST stands. Raises Unreadable."""
    files = split(printed)
    while True:
        expansion = _Expansion(files, path)
        directives = expansion.of(MAIN)
        strays = [name for name in files if name not in expansion.reached]
        if not strays:
            return Configuration(directives, expansion.folder, tuple(files))
        files = _joined(files, strays[0])


def split(printed: str) -> dict[str, str]:
    """The text of each file, the main one first. Raises Unreadable where two have the same name."""
    pieces = _HEADER.split(printed)[1:]
    files: dict[str, str] = {}
    for name, text in zip(pieces[::2], pieces[1::2], strict=True):
        if name in files:
            raise Unreadable(
                f"A line of the configuration looks like the beginning of {printable(name, 200)}, which is there twice."
            )
        files[name] = text.removeprefix("\n")
    return files


def _joined(files: Mapping[str, str], stray: str) -> dict[str, str]:
    """A file that nothing includes is none: its first line is a comment of the file before it."""
    result: dict[str, str] = {}
    previous = ""
    for name, text in files.items():
        if name == stray:
            result[previous] += f"# configuration file {name}:\n{text}"
        else:
            result[name] = text
            previous = name
    return result


class _Expansion:
    """Puts the directives of each included file in the place of its include, and notes which files were reached."""

    def __init__(self, files: Mapping[str, str], path: str) -> None:
        self._files, self._path = files, path
        self._main = next(iter(files), "")
        self.folder = os.path.dirname(self._main)
        self._lists = {name for name in files if path and os.path.realpath(name) == os.path.realpath(path)}
        self._parsed: dict[str, tuple[Directive, ...]] = {}
        self.reached = {self._main, *self._lists} & files.keys()

    def of(self, name: str, within: frozenset[str] = frozenset()) -> tuple[Directive, ...]:
        name = name or self._main
        if name not in self._files:
            return ()
        if name not in self._parsed:
            self._parsed[name] = syntax.parse(self._files[name], name)
        return self._expanded(self._parsed[name], within | {name})

    def _expanded(self, directives: Iterable[Directive], within: frozenset[str]) -> tuple[Directive, ...]:
        result: list[Directive] = []
        for one in directives:
            if one.name == "include" and len(one.words) > 1:
                result += self._included(os.path.join(self.folder, one.words[1]), one, within)
            else:
                result.append(one if one.block is None else replace(one, block=self._expanded(one.block, within)))
        return tuple(result)

    def _included(self, pattern: str, include: Directive, within: frozenset[str]) -> Iterator[Directive]:
        """Where one pattern takes in the list and other files, they come in the order of their names, as nginx has them."""
        names = [name for name in self._files if fits(name, pattern) and name not in self._lists]
        if self._path and includes(pattern, self._path):
            yield from self._in_order(names, pattern, include, within)
            return
        for name in sorted(names):
            yield from self._one(name, within)

    def _in_order(self, names: list[str], pattern: str, include: Directive, within: frozenset[str]) -> Iterator[Directive]:
        own = next((name for name in (self._path, os.path.realpath(self._path)) if fits(name, pattern)), self._path)
        for name in sorted([*names, own]):
            if name == own:
                yield replace(LIST, file=include.file, line=include.line)
            else:
                yield from self._one(name, within)

    def _one(self, name: str, within: frozenset[str]) -> Iterator[Directive]:
        self.reached.add(name)
        if name not in within:
            yield from self.of(name, within)


def includes(pattern: str, path: str) -> bool:
    """Whether an include of this pattern takes in the file, be it there already or not."""
    names = {path, os.path.realpath(path)}
    return any(fits(name, pattern) for name in names) or os.path.realpath(pattern) in names


def is_list(directive: Directive) -> bool:
    return directive.name == LIST.name


def named(directives: Iterable[Directive], *names: str) -> Iterator[Directive]:
    """Every directive of one of these names, at whatever depth."""
    for one in directives:
        if one.name in names:
            yield one
        yield from named(one.block or (), *names)


def every(directives: Iterable[Directive]) -> Iterator[Directive]:
    """Every directive, at whatever depth."""
    for one in directives:
        yield one
        yield from every(one.block or ())


def own(block: Directive, *names: str) -> list[Directive]:
    """The directives of these names right in a block, each with an argument at least."""
    return [one for one in block.block or () if one.name in names and len(one.words) > 1]


def includes_list(directives: Iterable[Directive]) -> bool:
    """Whether the list is included within http or stream."""
    return any(named([one for one in directives if one.name in ("http", "stream")], LIST.name))
