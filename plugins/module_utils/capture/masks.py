"""Command lines without the secrets that stand in them. Pure.

What a name, an option or a program's own short option says is a secret is hidden, in doubt too much of it rather than too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ansible_collections.irctl.runbooks.plugins.module_utils.capture import secret_shapes
from ansible_collections.irctl.runbooks.plugins.module_utils.capture.secret_shapes import HIDDEN, looks_like_a_password

__all__ = ["HIDDEN", "by_rule", "text", "words"]

# Names

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PIECES = re.compile(r"[^a-z0-9]+")
_SECRET = re.compile(
    r"[a-z0-9]*(?:password|passwd|passphrase|passcode|secret|token|credential|(?:api|private|access|auth)key)s?[0-9]*"
    r"|(?!bypass|compass|askpass)[a-z0-9]*pass|[a-z0-9]*pwd|pw|psk|passin|passout|bearer|cookie|auth|jwt"
)
_KEYS = re.compile(
    r"(?:^|-)(?:api|private|access|auth|account|shared|signing|encryption|master|session|storage|app|licen[cs]e)-keys?(?:-|$)"
)
_ONCE = re.compile(r"(?:[a-z]+-)?(?:pin|otp|totp)")
_PATH = re.compile(r"~?/(?:[a-z0-9._-]+/)+[\w.-]+")  # where something is
_FEW, _COUNTED = re.compile(r"\d{1,4}"), re.compile(r"tokens?\Z|(?:^|-)pass\Z")  # --max-tokens 512, -pass 1
_HARMLESS = re.compile(  # how a name ends that is about a secret and not one: --password-file, PasswordAuthentication
    r"age|authentication|count|dir|enabled|endpoint|expiration|fd|method|mode|scheme|secure|expires|expiry|files?|folder|length|limit|max|min|name|path|policy"
    r"|prompts|provider|required|size|store|timeout|ttl|type|uri|url"
)

# Lines

_QUOTED = r"\\?\"(?:\\.|[^\"\\])*\"?|'[^']*'?"
_SQL = r"(?:'(?:''|\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")"  # a text in a statement
_NAME = re.compile(r"(?<![\w.-])([\w.-]+)\\?[\"']?\]?\s*(=>|:=|[=:])\s*")
_VALUE = re.compile(rf"{_QUOTED}|[^\s\"';&]+")
_WITHIN = (
    (re.compile(r"(?i)\b((?:proxy-)?authorization\s*:\s*(?:[a-z-]+[ \t]+(?=\S))?)[^\"'\r\n]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b((?:set-)?cookie\s*:\s*)[^\"'\r\n]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://[^\s/:@\"']*:)[^\s/\"']+@"), rf"\1{HIDDEN}@"),
    (
        re.compile(rf"(?i)(\b(?:identified\s+(?:with\s+\S+\s+)?(?:by|as)(?:\s+password)?|passw(?:or)?d)(?:\s+|\s*[(=]\s*)){_SQL}"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(rf"(\.auth\(\s*{_SQL}\s*,\s*){_SQL}"), rf"\1{HIDDEN}"),
)
_TOKEN = re.compile(r"(?:\"(?:\\.|[^\"\\])*\"?|'[^']*'?|\\.|[^\s\"'\\;|&()`])+|[;|&()`\\]+", re.DOTALL)
_WRAPPED = re.compile(r"\\.|(?P<quote>[\"'])(?P<within>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)", re.DOTALL)
_SPACE = re.compile(r"\s")
_ENDS = frozenset(";|&()`")
_COMMAND = re.compile(
    r"(?:^|[\s\"'(])--?\w|\b(?:set|config|rabbitmqctl|vault|mc|mysqladmin|nmcli|htpasswd|mkpasswd"
    r"|openssl|wpa_passphrase|sqlplus|sqlldr|expdp|impdp|rman|ngrok|bw|iwconfig|radtest|teamviewer|ansible-vault|rclone|xfreerdp\d*)\b"
)

# Programs


@dataclass(frozen=True)
class _Form:
    """How a program takes a secret: in the word after one of `apart`, in the same word after one of `glued`, or as a bare word.

    With `after` only once one of these words was given; with `slash` as NAME/PASSWORD.
    """

    program: re.Pattern[str]
    apart: frozenset[str] = frozenset()
    glued: tuple[str, ...] = ()
    bare: bool = False
    after: frozenset[str] = frozenset()
    slash: bool = False


def _form(program: str, apart: str = "", glued: str = "", *, bare: bool = False, after: str = "", slash: bool = False) -> _Form:
    return _Form(re.compile(program), frozenset(apart.split()), tuple(glued.split()), bare, frozenset(after.split()), slash)


_FORMS = (
    _form(r"(?:mysql|mariadb)[\w-]*|mycli|7z[ar]?", glued="-p"),
    _form(r"mysqladmin|mariadb-admin|nmcli", "password"),
    _form(r"sshpass|mongo\w*|cqlsh|twine|rdesktop|user(?:add|mod)", "-p", "-p"),
    _form(r"(?:redis|valkey|keydb)-cli", "-a", "-a"),
    _form(r"docker|podman|nerdctl|helm|oras|skopeo|buildah|crane|az|cf|oc|ibmcloud", "-p", "-p", after="login"),
    _form(r"curl", "-b", "-b"),
    _form(r"ldappasswd", "-w -s -a", "-w"),
    _form(r"ldap\w+|kadmin", "-w", "-w"),
    _form(r"mosquitto_\w+", "-P"),
    _form(r"https?|xh", "-a"),
    _form(r"ssh-keygen", "-N -P"),
    _form(r"lftp", "-u"),
    _form(r"iwconfig", "key"),
    _form(r"openssl", bare=True, after="passwd"),
    _form(r"teamviewer", bare=True, after="passwd"),
    _form(r"ansible-vault", bare=True, after="encrypt_string"),
    _form(r"rclone", bare=True, after="obscure"),
    _form(r"wpa_passphrase|radtest", bare=True),
    _form(r"sqlcmd|bcp|[io]sql|tsql|zip|unzip|ipmitool", "-P", "-P"),
    _form(r"snmp\w+", "-c -A -X", "-c -A -X"),
    _form(r"u?nrar|rar", glued="-p -hp"),
    _form(r"xfreerdp\d*", glued="/p:"),
    _form(r"openssl", "-k -K"),
    _form(r"influx|doctl", "-t -p"),
    _form(r"htpasswd", bare=True, after="-b -bc -cb -bB -Bb -nb -bn -nbB -bnB -cbB -bcB"),
    _form(r"mkpasswd", bare=True),
    _form(r"sqlplus|sqlldr|expdp|impdp|rman", slash=True),
    _form(r"erl|iex|elixir|beam[\w.]*", "-setcookie --cookie"),
    _form(r"swaks", "-ap"),
    _form(r"knife", "-P"),
    _form(r"squidclient", "-w -W"),
    _form(r"jboss-cli[\w.]*", glued="-p="),
    _form(r"ngrok", bare=True, after="authtoken add-authtoken"),
    _form(r"bw", bare=True, after="login unlock"),
    _form(r"rabbitmqctl", bare=True, after="add_user change_password authenticate_user"),
    _form(r"vault", bare=True, after="login put"),
    _form(r"mc", bare=True, after="set add"),
)
_USER = re.compile(r"-[A-Za-z]{0,6}[uU]|--user|--proxy-user|--auth|--cert|-E")  # their value is NAME:PASSWORD, or NAME%PASSWORD
_JOINED_USER = re.compile(r"(--(?:user|proxy-user|auth|cert)=|-[uU])([^\s:%=]*[:%].+)", re.DOTALL)
_SLASH = re.compile(r"((?:userid=)?[\w$#]+/)[^@/\s]+((?:@\S*)?)")
_INTERPRETER = re.compile(r"(?:python|pypy|perl|ruby|node|php)[\d.]*")
_CODE = re.compile(r"-[A-Za-z]{0,6}[cer]|--eval")  # what an interpreter gets after it is a program
_PLAIN = re.compile(r"--?[\w-]+|[\w-]+\.[a-z]{1,4}|~?/(?:[\w.-]+/)+[\w.-]+|\d{1,5}|\d{1,3}(?:\.\d{1,3}){3}")
_SETTERS = frozenset(("set", "config", "config:set"))


def words(given: Iterable[str]) -> list[str]:
    """The words of a command, with what is a secret in them, or in the word after them, hidden."""
    command = _Command()
    return [secret_shapes.hide_random(command.take(word)) for word in given]


def text(given: str) -> str:
    """Lines in which commands stand, such as those of a crontab, with the secrets in them hidden, and what looks random too."""
    return "\n".join(map(secret_shapes.hide_random, by_rule(given).split("\n")))


def by_rule(given: str) -> str:
    """The same without guessing: what a name, an option, a program or a known shape says is a secret is hidden."""
    return "\n".join(_line(line) for line in given.split("\n"))


def _line(line: str) -> str:
    return _commands(_plain(line)) if _COMMAND.search(line) else _plain(line)


def _plain(line: str) -> str:
    for pattern, instead in _WITHIN:
        line = pattern.sub(instead, line)
    return _assignments(secret_shapes.hide(line))


def _assignments(line: str) -> str:
    """The same line, with the values of NAME=VALUE, "NAME": "VALUE" and the like hidden where the name says so."""
    pieces, at, look = [], 0, 0
    while match := _NAME.search(line, look):
        look = match.end()
        if not _may_be_secret(match[1]) or not (value := _VALUE.match(line, look)) or not _is_secret(match[1], _unquoted(value[0])):
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


def _may_be_secret(name: str) -> bool:
    return name.strip("-").lower() == "key" or _names_secret(name)


def _is_secret(name: str, value: str) -> bool:
    """Whether the value of this name is a secret, and not where one is, or how many there are."""
    if name.strip("-").lower() == "key":
        return looks_like_a_password(value)
    if not _names_secret(name):
        return False
    where = _PATH.fullmatch(value) and "pass" not in name.lower()
    number = _FEW.fullmatch(value) and _COUNTED.search(name.lower())
    return not where and not number


@lru_cache(4096)
def _names_secret(name: str) -> bool:
    pieces = [piece for piece in _PIECES.split(_CAMEL.sub("-", name).lower()) if piece]
    joined = "-".join(pieces)
    if not pieces or joined.endswith("access-key-id"):
        return False
    if _HARMLESS.fullmatch(pieces[-1]):
        return False
    if name.isupper() and len(pieces) > 1 and pieces[-1] in ("key", "pat"):  # STRIPE_KEY=, GITHUB_PAT=
        return True
    return (
        joined == "from-literal"
        or bool(_ONCE.fullmatch(joined))
        or any(map(_SECRET.fullmatch, pieces))
        or bool(_KEYS.search(joined))
    )


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
        if any(before in form.apart for form in self._in_force()):
            return HIDDEN
        if before.startswith("-") and _USER.fullmatch(before) and "://" not in bare:
            return _user(bare) or self._inner(word, bare)
        if self._is_value_of(before, bare):
            return HIDDEN
        for form in self._in_force():
            if form.bare and not bare.startswith("-") and not form.program.fullmatch(_base(bare)):
                return HIDDEN
            if form.slash and (match := _SLASH.fullmatch(bare)):
                return match[1] + HIDDEN + match[2]
            if glued := next((one for one in form.glued if bare.startswith(one) and len(bare) > len(one)), ""):
                return glued + HIDDEN
        if (match := _JOINED_USER.fullmatch(bare)) and "://" not in bare:
            return match[1] + (_user(match[2]) or match[2])
        return self._inner(word, bare)

    def _is_value_of(self, before: str, bare: str) -> bool:
        if "=" in before or bare.startswith("--"):
            return False
        if not before.startswith("-"):
            return self._sets and before.lower() not in _SETTERS and _is_secret(before, bare)
        if before == "-p":
            return looks_like_a_password(bare)
        return ":" not in before and _is_secret(before, bare)

    def _inner(self, word: str, bare: str) -> str:
        """A word in which no secret is by its place; it may be a whole command, as after `sh -c`."""
        if not _SPACE.search(bare):
            return word if self._done else _plain(word)
        return _WRAPPED.sub(_unwrapped, word) if self._done else by_rule(word)

    def _in_force(self) -> list[_Form]:
        return [form for form in self._forms if not form.after or form.after & self._seen]

    def _learn(self, word: str) -> None:
        self._past_code = self._past_code or (self._interpreter and bool(_CODE.fullmatch(self._before)))
        before, self._before = self._before, word
        self._seen.add(word)
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
    return f"{quote}{by_rule(within)}{quote}" if quote else match[0]


def _user(given: str) -> str:
    """NAME:PASSWORD without the password; '' where there is none, as in 1000:1000, which says who and not with what."""
    match = re.fullmatch(r"([^:%]*[:%]).+", given, re.DOTALL)
    return match[1] + HIDDEN if match and not re.fullmatch(r"\d+:\d+", given) else ""
