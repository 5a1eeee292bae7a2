"""Who gets past a list of deny lines, by the order in which nginx decides about a request. Pure.

The list is asked in nginx's access phase. Judged are: which lines hold in each server and location of http and stream, and
`satisfy any`. What answers before that phase, or is of another language, is doubted: `return` with a 2xx, Lua and Perl. An internal
location is reached by error_page, rewrite and the like only, and judged by what leads to it. mail never asks a list, and servers of
other modules, such as rtmp, are doubted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt, Findings
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import every, is_list, named, own
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Directive
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

AUTHENTICATES = re.compile(r"auth_(?!http)\w+|access_by_lua\w*|js_access")  # what `satisfy any` may be satisfied by
SETTINGS = re.compile(r"auth_(basic_user_file|delay|request_set|jwt_\w+|gss_\w+|pam_(?!realm)\w+)")  # these alone satisfy nothing
CODE = re.compile(r"(server_)?(rewrite|access)_by_lua(_file)?|\w+_by_lua|perl|perl_set|js_access")
ANSWERS = re.compile(r"\w+_pass|return|echo\w*|stub_status|content_by_lua\w*|js_content|perl|empty_gif|autoindex")
REDIRECTS = ("redirect", "permanent", "break")  # the flags of a rewrite that leads to no other location


class Scope(NamedTuple):
    """A server or location: what to call it, and what of the access phase holds in it."""

    place: str
    block: Directive
    lines: tuple[Directive, ...]
    satisfy: str
    authenticators: tuple[Directive, ...]


def judge(directives: Iterable[Directive], listed: Iterable[Network]) -> Findings:
    """Where in the configuration somebody on the list gets through all the same, and what cannot be judged."""
    result, networks_listed = Findings(), list(listed)
    for top in directives:
        if top.name in ("http", "stream"):
            outer = _scope(top.name, top, Scope("", top, (), "all", ()))
            for server in (one for one in top.block or () if one.name == "server"):
                result += _server(server, outer, networks_listed)
        elif top.name == "mail" and any(named([top], "server")):
            result += Findings(doubts=(Doubt("mail", top.place, "a mail server asks no list of addresses"),))
        elif top.name not in ("mail", "events") and any(named([top], "listen", "server")):
            result += Findings(doubts=(Doubt(top.name, top.place, "another module serves clients there, by rules of its own"),))
    return result + Findings(doubts=tuple(_foreign(directives)))


def _foreign(directives: Iterable[Directive]) -> Iterator[Doubt]:
    """Code of other languages, which may answer, redirect, or hold what only looks like directives."""
    for one in every(directives):
        if one.foreign or CODE.fullmatch(one.name):
            yield Doubt(one.name, one.place, "code of another language decides there what a client gets")


def _server(server: Directive, outer: Scope, listed: list[Network]) -> Findings:
    kind = "The stream server" if outer.place == "stream" else "The server"
    names = [one.words[1] for one in own(server, "server_name", "listen")]
    result = Findings()
    for scope, inherits in _scopes(f"{kind} {printable(names[-1] if names else '_', 80)}", server, outer):
        result += Findings() if inherits else _lines(scope, server, outer, listed)
        if outer.block.name == "http":
            result += Findings(doubts=tuple(_early_answers(scope.block)))
    return result


def _lines(scope: Scope, server: Directive, outer: Scope, listed: list[Network]) -> Findings:
    if why := _passes(scope.lines, listed):
        return _gap(f"{scope.place} {why}", scope, server, outer)
    gaps = tuple(
        f"{scope.place} has 'satisfy any' and '{one}': whoever satisfies that gets past the list."
        for one in scope.authenticators[:1]
        if scope.satisfy == "any"
    )
    return Findings(gaps)


def _early_answers(block: Directive) -> Iterator[Doubt]:
    """`return` with a 2xx right in a block, or in an `if` of it: nginx answers so before the list is asked."""
    for one in block.block or ():
        if one.name == "return" and re.fullmatch(r"0*2[0-9][0-9]", one.words[1] if len(one.words) > 1 else ""):
            yield Doubt(str(one), one.place, "nginx answers so before the list is asked")
        elif one.name == "if":
            yield from _early_answers(one)


def _gap(sentence: str, scope: Scope, server: Directive, outer: Scope) -> Findings:
    """A place without the list: a gap, unless requests get there from within only, and keep the status that they have."""
    block = scope.block
    if block.name != "location" or not (
        block.words[-1].startswith("@") or any(one.name == "internal" for one in block.block or ())
    ):
        return Findings((sentence,))
    leads = [*_leads(block, server), *_leads(block, outer.block, nested=False)]
    answers = next((one for one in every(block.block or ()) if ANSWERS.fullmatch(one.name)), None)
    if (lead := next((one for one in leads if one.name == "rewrite" or any(word.startswith("=") for word in one.words)), None)) or (
        lead := answers if leads else None
    ):
        return Findings(doubts=(Doubt(str(lead), lead.place, f"it may lead past the list: {sentence.rstrip('.')}"),))
    return Findings()


def _leads(location: Directive, block: Directive, nested: bool = True) -> list[Directive]:
    """The error_page lines that name this location, and every rewrite that may lead to any."""
    target = location.words[-1]
    inside = list(every(block.block or ()) if nested else block.block or ())
    rewrites = [one for one in inside if one.name == "rewrite" and one.words[-1] not in REDIRECTS]
    pages = [one for one in inside if one.name == "error_page" and _is_target(one.words[-1], target, location)]
    return [*rewrites, *pages] if not target.startswith("@") else pages


def _is_target(uri: str, target: str, location: Directive) -> bool:
    if target.startswith("@") or (len(location.words) > 2 and location.words[1] == "="):
        return uri == target or "$" in uri
    return uri.startswith(target) or "$" in uri or (len(location.words) > 2 and location.words[1].startswith("~"))


def _scopes(place: str, block: Directive, outer: Scope) -> Iterator[tuple[Scope, bool]]:
    """A server or location, and all within it; of a location also whether what is around it holds in it."""
    here = _scope(place, block, outer)
    same = (here.lines, here.satisfy, here.authenticators) == (outer.lines, outer.satisfy, outer.authenticators)
    yield here, block.name != "server" and same
    for inner in (one for one in block.block or () if one.name in ("location", "limit_except")):
        name = f"The {inner.name} {printable(' '.join(inner.words[1:]), 80)} of {place[0].lower()}{place[1:]}"
        yield from _scopes(name, inner, here)


def _scope(place: str, block: Directive, outer: Scope) -> Scope:
    """Lines of its own stand in for all those from outside."""
    lines = tuple(one for one in block.block or () if one.name in ("allow", "deny") or is_list(one))
    satisfy = [one.words[1] for one in own(block, "satisfy")]
    return Scope(place, block, lines or outer.lines, satisfy[-1] if satisfy else outer.satisfy, _authenticators(block, outer))


def _authenticators(block: Directive, outer: Scope) -> tuple[Directive, ...]:
    """What else than an address lets a request in here; `off` takes away what came from outside."""
    inside = [one for one in block.block or () if AUTHENTICATES.fullmatch(one.name) and not SETTINGS.fullmatch(one.name)]
    names = {one.name for one in inside}
    inherited = [one for one in outer.authenticators if one.name not in names]
    return (*inherited, *(one for one in inside if one.words[1:2] != ("off",)))


def _passes(lines: Iterable[Directive], listed: list[Network]) -> str:
    """Say why somebody on the list gets past these lines; '' where nobody does. The first line that fits decides."""
    for line in lines:
        if is_list(line) or (line.words[1:] == ("all",) and line.name == "deny"):
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
