"""A configuration of nginx, as `nginx -T` prints it: what it includes where, and who gets past a list of deny lines. Pure."""

from __future__ import annotations

import fnmatch
import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)
_TOKEN = re.compile(r"""#[^\n]*|([;{}])|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|((?:\\.|\$\{|[^\s;{}\\])+)""", re.DOTALL)


@dataclass(frozen=True)
class Directive:
    """One directive, and those of its block. One that stands for the list itself has the name 'the list'."""

    words: tuple[str, ...]
    block: tuple[Directive, ...] | None = None

    @property
    def name(self) -> str:
        return self.words[0]


class Access(NamedTuple):
    """Where access is decided: what to call the place, and its allow and deny lines in order."""

    place: str
    lines: tuple[Directive, ...]
    satisfy: str


LIST = Directive(("the list",))


def parse(printed: str, path: str) -> tuple[Directive, ...]:
    """The directives of the main file with those that it includes; where it includes the file `path`, LIST stands."""
    pieces = _FILE.split(printed)[1:]
    files = dict(zip(pieces[::2], pieces[1::2], strict=True))
    real = os.path.realpath(path)
    parsed = {name: None if os.path.realpath(name) == real else _blocks(_tokens(text)) for name, text in files.items()}
    first = next(iter(files), "")
    return _expanded(parsed.get(first) or (), parsed, os.path.dirname(first), path)


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Each word, and whether it is one of ; { } in its own right."""
    for found in _TOKEN.finditer(text):
        if found[1]:
            yield found[1], True
        elif found.lastindex:
            yield found[found.lastindex], False


def _blocks(tokens: Iterator[tuple[str, bool]]) -> tuple[Directive, ...]:
    found, words = list[Directive](), list[str]()
    for word, marks in tokens:
        if not marks:
            words.append(word)
            continue
        if word == "}":
            break
        block = _blocks(tokens) if word == "{" else None
        if words:
            found.append(Directive(tuple(words), block))
        words = []
    return tuple(found)


def _expanded(
    directives: Iterable[Directive], files: Mapping[str, tuple[Directive, ...] | None], folder: str, path: str
) -> tuple[Directive, ...]:
    found: list[Directive] = []
    for one in directives:
        if one.name != "include" or len(one.words) < 2:
            found.append(one if one.block is None else Directive(one.words, _expanded(one.block, files, folder, path)))
            continue
        pattern = os.path.join(folder, one.words[1])
        if includes(pattern, path):
            found.append(LIST)
        for name, inner in files.items():
            if inner is not None and _fits(name, pattern):
                found += _expanded(inner, {**files, name: ()}, folder, path)
    return tuple(found)


def includes(pattern: str, path: str) -> bool:
    """Whether an include of this pattern takes in the file, be it there already or not."""
    names = {path, os.path.realpath(path)}
    return any(_fits(name, pattern) for name in names) or os.path.realpath(pattern) in names


def _fits(name: str, pattern: str) -> bool:
    """As glob(3) has it, which nginx asks: a wildcard takes in no slash, and no dot at the beginning of a name."""
    pairs = list(zip(name.split("/"), pattern.split("/"), strict=False))
    hidden = any(part.startswith(".") and not piece.startswith(".") for part, piece in pairs)
    return name.count("/") == pattern.count("/") and not hidden and fnmatch.fnmatchcase(name, pattern)


def named(directives: Iterable[Directive], *names: str) -> Iterator[Directive]:
    """Every directive of one of these names, at whatever depth."""
    for one in directives:
        if one.name in names:
            yield one
        yield from named(one.block or (), *names)


def includes_list(directives: Iterable[Directive]) -> bool:
    return any(named([one for one in directives if one.name == "http"], LIST.name))


def gaps(directives: Iterable[Directive], listed: Iterable[Network]) -> list[str]:
    """Say where in the configuration somebody on the list gets through all the same."""
    said, listed = [], list(listed)
    for access in _accesses(directives):
        if access.satisfy == "any":
            said.append(f"{access.place} has 'satisfy any': whoever has a password gets past the list.")
        if why := _passes(access.lines, listed):
            said.append(f"{access.place} {why}")
    return said


def _accesses(directives: Iterable[Directive]) -> Iterator[Access]:
    for http in (one for one in directives if one.name == "http"):
        outer = _access("http", http, Access("", (), "all"))
        for server in (one for one in http.block or () if one.name == "server"):
            names = [word for one in server.block or () if one.name in ("server_name", "listen") for word in one.words[1:2]]
            yield from _within(f"The server {printable(names[-1] if names else '_', 80)}", server, outer)


def _within(place: str, block: Directive, outer: Access) -> Iterator[Access]:
    """The access of a server or location, and of those within it that have lines of their own."""
    here = _access(place, block, outer)
    if block.name == "server" or here[1:] != outer[1:]:
        yield here
    for inner in (one for one in block.block or () if one.name in ("location", "limit_except")):
        name = f"The {inner.name} {printable(' '.join(inner.words[1:]), 80)} of {place[0].lower()}{place[1:]}"
        yield from _within(name, inner, here)


def _access(place: str, block: Directive, outer: Access) -> Access:
    """Lines of its own stand in for all those from outside."""
    own = tuple(one for one in block.block or () if one.name in ("allow", "deny", LIST.name))
    satisfy = [one.words[1] for one in block.block or () if one.name == "satisfy" and len(one.words) > 1]
    return Access(place, own or outer.lines, satisfy[-1] if satisfy else outer.satisfy)


def _passes(lines: Iterable[Directive], listed: list[Network]) -> str:
    """Say why somebody on the list gets past these lines; '' where nobody does. The first line that fits decides."""
    for line in lines:
        if line is LIST or line.name == LIST.name or (line.words[1:] == ("all",) and line.name == "deny"):
            return ""
        if line.name == "allow" and len(line.words) > 1:
            if line.words[1] == "all":
                return "allows everybody before the list is looked at."
            if hit := networks.overlaps(listed, dict.fromkeys(_networks(line.words[1]), "")):
                return f"allows {printable(line.words[1], 50)} before the list is looked at: {networks.listed(hit)} gets through."
    return "has no lines of the list: whoever is on it gets through there."


def _networks(text: str) -> list[Network]:
    try:
        return [ipaddress.ip_network(text, strict=False)]
    except ValueError:
        return []  # unix:


def proxies(directives: Iterable[Directive]) -> list[str]:
    """Whom nginx believes about the client's address, as set_real_ip_from names them."""
    return [one.words[1] for one in named(directives, "set_real_ip_from") if len(one.words) > 1 and one.words[1] != "unix:"]


def behind_a_proxy(directives: tuple[Directive, ...]) -> str:
    """Say what shows that nginx sees a proxy's address where it believes none about the client's; '' for nothing."""
    if any(named(directives, "set_real_ip_from")):
        return ""
    if any(named(directives, "real_ip_header")):
        return "real_ip_header"
    if any("proxy_protocol" in one.words for one in named(directives, "listen")):
        return "listen ... proxy_protocol"
    keyed = (
        "$http_x_forwarded_for" in word for one in named(directives, "map", "geo", "limit_req_zone", "if") for word in one.words
    )
    return "$http_x_forwarded_for" if any(keyed) else ""
