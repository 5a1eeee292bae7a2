"""Command lines without the secrets that stand in them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
_SECRET = r"(?:passw(?:or)?d|passphrase|pwd|secret|token|credential|api[-_]?key|private[-_]?key|access[-_]?key|auth[-_]?key)s?"
_OPTION = re.compile(rf"--?(?:[\w-]*[-_])?{_SECRET}|-pass|--user|-u|-H|--header|--proxy-user", re.IGNORECASE)
_WITHIN = (
    (re.compile(rf"(?i)\b((?:\w*[-_])?{_SECRET})(\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s\"';&]+)"), rf"\1\2{HIDDEN}"),
    (re.compile(rf"(?i)(--?(?:[\w-]*[-_])?{_SECRET}\s+)(\"[^\"]*\"|'[^']*'|[^\s\"';&]+)"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(?i)\b(authorization\s*:\s*(?:basic|bearer)?\s*)[^\s\"']+"), rf"\1{HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), HIDDEN),  # a JSON web token
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{20,}|\bxox[abprs]-[\w-]{10,}|\bsk_live_\w{10,}"), HIDDEN),
)
_USERS = ("-u", "--user", "--proxy-user")
_HEADERS = ("-h", "--header")
_SHORT = re.compile(r"(mysql|mariadb)\w*|mysqldump|sshpass")  # programs whose -pWORD is a password


def words(given: Iterable[str]) -> list[str]:
    """The words of a command; of an option that is named after a secret the value is hidden, in the same word or the next."""
    found, before, program = [], "", ""
    for word in given:
        found.append(_word(word, before, program))
        before, program = word, program or word.rpartition("/")[2]
    return found


def _word(word: str, before: str, program: str) -> str:
    asks = before.lower()
    if asks in _USERS and ":" in word:
        return f"{word.partition(':')[0]}:{HIDDEN}"
    if asks not in (*_USERS, *_HEADERS) and _OPTION.fullmatch(before):
        return HIDDEN
    if word.startswith("-p") and len(word) > 2 and _SHORT.fullmatch(program):
        return f"-p{HIDDEN}"
    if before == "-p" and program == "sshpass":
        return HIDDEN
    return text(word)


def text(given: str) -> str:
    """A line in which commands stand, such as one of a crontab, with the secrets in it hidden."""
    for pattern, instead in _WITHIN:
        given = pattern.sub(instead, given)
    return given
