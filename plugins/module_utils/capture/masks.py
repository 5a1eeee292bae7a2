"""Command lines without the secrets that stand in them. Pure.

What a name, an option or a program's own short option says is a secret is hidden, in doubt too much of it rather than too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

HIDDEN = "***"

# Names

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PIECES = re.compile(r"[^a-z0-9]+")
_SECRET = re.compile(
    r"[a-z0-9]*(?:password|passwd|passphrase|passcode|secret|token|credential|(?:api|private|access|auth)key)s?[0-9]*"
    r"|(?!bypass|compass|askpass)[a-z0-9]*pass|[a-z0-9]*pwd|pw|psk|passin|passout|bearer|cookie|auth"
)
_KEYS = re.compile(r"(?:^|-)(?:api|private|access|auth|account|shared|signing|encryption|master|session|storage|app)-keys?(?:-|$)")
_HARMLESS = re.compile(  # how a name ends that is about a secret and not one: --password-file, PasswordAuthentication
    r"age|authentication|count|dir|enabled|endpoint|expiration|expires|expiry|files?|folder|length|limit|max|min|name|path|policy"
    r"|prompts|provider|required|size|store|timeout|ttl|type|uri|url"
)

# Lines

_QUOTED = r"\\?\"(?:\\.|[^\"\\])*\"?|'[^']*'?"
_NAME = re.compile(r"(?<![\w.-])([\w.-]+)\\?[\"']?\]?\s*(=>|:=|[=:])\s*")
_VALUE = re.compile(rf"{_QUOTED}|[^\s\"';&]+")
_WITHIN = (
    (re.compile(r"(?i)\b((?:proxy-)?authorization\s*:\s*(?:[a-z-]+[ \t]+(?=\S))?)[^\"'\r\n]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b((?:set-)?cookie\s*:\s*)[^\"'\r\n]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://[^\s/:@\"']*:)[^\s/\"']+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), HIDDEN),  # a JSON web token
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{20,}|\bxox[abprs]-[\w-]{10,}|\bsk_live_\w{10,}"), HIDDEN),
)
_TOKEN = re.compile(r"(?:\"(?:\\.|[^\"\\])*\"?|'[^']*'?|\\.|[^\s\"'\\;|&()`])+|[;|&()`\\]+", re.DOTALL)
_WRAPPED = re.compile(r"\\.|(?P<quote>[\"'])(?P<within>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)", re.DOTALL)
_SPACE = re.compile(r"\s")
_ENDS = frozenset(";|&()`")
_COMMAND = re.compile(r"(?:^|[\s\"'(])--?\w|\b(?:set|config|rabbitmqctl|vault|mc|mysqladmin|nmcli|htpasswd|mkpasswd)\b")

# Programs


@dataclass(frozen=True)
class _Form:
    """How a program takes a secret: in the word after one of `apart`, in the same word after one of `glued`, or as a bare word.

    With `after` only once one of these words was given.
    """

    program: re.Pattern[str]
    apart: frozenset[str] = frozenset()
    glued: tuple[str, ...] = ()
    bare: bool = False
    after: frozenset[str] = frozenset()


def _form(program: str, apart: str = "", glued: str = "", *, bare: bool = False, after: str = "") -> _Form:
    return _Form(re.compile(program), frozenset(apart.split()), tuple(glued.split()), bare, frozenset(after.split()))


_FORMS = (
    _form(r"(?:mysql|mariadb)[\w-]*|mycli|7z[ar]?", glued="-p"),
    _form(r"mysqladmin|mariadb-admin|nmcli", "password"),
    _form(r"sshpass|mongo\w*|cqlsh|twine|rdesktop|user(?:add|mod)", "-p", "-p"),
    _form(r"(?:redis|valkey|keydb)-cli", "-a", "-a"),
    _form(r"docker|podman|nerdctl|helm|oras|skopeo|buildah|crane|az|cf|oc|ibmcloud", "-p", "-p", after="login"),
    _form(r"curl", "-b", "-b"),
    _form(r"ldap\w+", "-w", "-w"),
    _form(r"sqlcmd|bcp|osql|tsql|zip|unzip|ipmitool", "-P", "-P"),
    _form(r"snmp\w+", "-c -A -X", "-c -A -X"),
    _form(r"u?nrar|rar", glued="-p -hp"),
    _form(r"xfreerdp\d*", glued="/p:"),
    _form(r"openssl", "-k -K"),
    _form(r"influx|doctl", "-t -p"),
    _form(r"htpasswd|mkpasswd", bare=True),
    _form(r"rabbitmqctl", bare=True, after="add_user change_password authenticate_user"),
    _form(r"vault", bare=True, after="login put"),
    _form(r"mc", bare=True, after="set add"),
)
_USER = re.compile(r"-[A-Za-z]{0,6}[uU]|--user|--proxy-user|--auth|--cert|-E")  # their value is NAME:PASSWORD, or NAME%PASSWORD
_JOINED_USER = re.compile(r"(--(?:user|proxy-user|auth|cert)=|-[uU])([^\s:%=]*[:%].+)", re.DOTALL)
_INTERPRETER = re.compile(r"(?:python|pypy|perl|ruby|node|php)[\d.]*")
_CODE = re.compile(r"-[A-Za-z]{0,6}[cer]|--eval")  # what an interpreter gets after it is a program
_PLAIN = re.compile(r"--?[\w-]+|\d{1,5}|\d{1,3}(?:\.\d{1,3}){3}")
_SETTERS = frozenset(("set", "config", "config:set"))


def words(given: Iterable[str]) -> list[str]:
    """The words of a command, with what is a secret in them, or in the word after them, hidden."""
    command = _Command()
    return [command.take(word) for word in given]


def text(given: str) -> str:
    """Lines in which commands stand, such as those of a crontab, with the secrets in them hidden."""
    return "\n".join(_line(line) for line in given.split("\n"))


def _line(line: str) -> str:
    return _commands(_plain(line)) if _COMMAND.search(line) else _plain(line)


def _plain(line: str) -> str:
    for pattern, instead in _WITHIN:
        line = pattern.sub(instead, line)
    return _assignments(line)


def _assignments(line: str) -> str:
    """The same line, with the values of NAME=VALUE, "NAME": "VALUE" and the like hidden where the name says so."""
    pieces, at, look = [], 0, 0
    while match := _NAME.search(line, look):
        look = match.end()
        if not _names_secret(match[1]) or not (value := _VALUE.match(line, look)):
            continue
        quote = (
            value[0][0] if match[2] == ":" and value[0][0] in "\"'" and value[0].endswith(value[0][0]) else ""
        )  # JSON stays JSON
        pieces += [line[at:look], quote, HIDDEN, quote]
        at = look = value.end()
    return "".join([*pieces, line[at:]])


def _commands(line: str) -> str:
    """The same line, each of its words taken as one of a command."""
    command, pieces, at = _Command(done=True), [], 0
    for match in _TOKEN.finditer(line):
        word = match[0]
        pieces.append(line[at : match.start()])
        at = match.end()
        if word[0] in _ENDS:
            command = _Command(done=True)
            pieces.append(word)
        else:
            pieces.append(command.take(word))
    return "".join([*pieces, line[at:]])


@lru_cache(4096)
def _names_secret(name: str) -> bool:
    pieces = [piece for piece in _PIECES.split(_CAMEL.sub("-", name).lower()) if piece]
    joined = "-".join(pieces)
    if not pieces or joined.endswith("access-key-id"):
        return False
    if _HARMLESS.fullmatch(pieces[-1]):
        return False
    if name.isupper() and len(pieces) > 1 and pieces[-1] == "key":  # STRIPE_KEY=
        return True
    return joined == "from-literal" or any(map(_SECRET.fullmatch, pieces)) or bool(_KEYS.search(joined))


class _Command:
    """A command, of which the words are taken one by one. `done` says that _plain() has seen them already."""

    def __init__(self, *, done: bool = False) -> None:
        self._done = done
        self._before, self._seen = "", set[str]()
        self._forms: list[_Form] = []
        self._interpreter = self._sets = self._past_code = False

    def take(self, word: str) -> str:
        """The word as it may be kept."""
        bare = _unquoted(word)
        masked = self._masked(word, bare)
        self._learn(bare)
        return masked

    def _masked(self, word: str, bare: str) -> str:
        before = self._before
        if self._past_code and not _PLAIN.fullmatch(bare):
            return HIDDEN
        if before.startswith("-") and _USER.fullmatch(before) and "://" not in bare:
            return _user(bare) or self._inner(word, bare)
        if self._is_value_of(before):
            return HIDDEN
        for form in self._in_force():
            if before in form.apart or (form.bare and not bare.startswith("-") and not form.program.fullmatch(_base(bare))):
                return HIDDEN
            if glued := next((one for one in form.glued if bare.startswith(one) and len(bare) > len(one)), ""):
                return glued + HIDDEN
        if (match := _JOINED_USER.fullmatch(bare)) and "://" not in bare:
            return match[1] + (_user(match[2]) or match[2])
        return self._inner(word, bare)

    def _is_value_of(self, before: str) -> bool:
        if not before.startswith("-"):
            return self._sets and before.lower() not in _SETTERS and "=" not in before and _names_secret(before)
        return "=" not in before and ":" not in before and _names_secret(before)

    def _inner(self, word: str, bare: str) -> str:
        """A word in which no secret is by its place; it may be a whole command, as after `sh -c`."""
        if not _SPACE.search(bare):
            return word if self._done else _plain(word)
        return _WRAPPED.sub(_unwrapped, word) if self._done else text(word)

    def _in_force(self) -> list[_Form]:
        return [form for form in self._forms if not form.after or form.after & self._seen]

    def _learn(self, word: str) -> None:
        self._past_code = self._past_code or (self._interpreter and bool(_CODE.fullmatch(self._before)))
        before, self._before = self._before, word
        if word.startswith("-") and "=" not in word:
            return
        base = _base(word)
        self._seen.add(base)
        self._sets = self._sets or base in _SETTERS
        if before not in ("-X", "-W"):  # python's, with a value; after its script all options are the script's
            self._interpreter = bool(_INTERPRETER.fullmatch(base))
        self._forms += [form for form in _forms(base) if form not in self._forms]


@lru_cache(4096)
def _forms(program: str) -> tuple[_Form, ...]:
    return tuple(form for form in _FORMS if form.program.fullmatch(program))


def _base(word: str) -> str:
    return word.rpartition("=")[2].rpartition("/")[2]


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word


def _unwrapped(match: re.Match[str]) -> str:
    """What stands in quotes, which is shorter than what it stands in, so that this ends."""
    quote, within = match["quote"], match["within"]
    return f"{quote}{text(within)}{quote}" if quote else match[0]


def _user(given: str) -> str:
    """NAME:PASSWORD without the password; '' where there is none, as in 1000:1000, which says who and not with what."""
    match = re.fullmatch(r"([^:%]*[:%]).+", given, re.DOTALL)
    return match[1] + HIDDEN if match and not re.fullmatch(r"\d+:\d+", given) else ""
