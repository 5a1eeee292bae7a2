"""Secrets that no name announces: tokens of known makers, links that are keys, what is piped to who asks for a password. Pure."""

from __future__ import annotations

import itertools
import re

HIDDEN = "***"
_TOKENS = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"  # a JSON web token
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\bya29\.[\w-]{10,}"
    r"|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bgl(?:pat|dt|rt|ptt)-[\w-]{16,}"
    r"|\bxox[abeprs][-.][\w.-]{10,}|\bxapp-[\w-]{10,}"
    r"|\b[srp]k_(?:live|test)_\w{10,}|\bsk-[\w-]{20,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bkey-[0-9a-f]{32}\b"
    r"|\bnpm_\w{30,}|\bpypi-[\w-]{16,}|\bhv[sb]\.[\w-]{20,}|\bdop_v1_[0-9a-f]{32,}|\bhf_\w{20,}|\bshp(?:at|ca|pa|ss)_[0-9a-f]{32}"
    r"|\bAGE-SECRET-KEY-1\w+|\btskey-[\w-]{16,}|\bglsa_\w{20,}|\bdapi[0-9a-f]{32}\b|\bNRAK-\w{20,}"
)
_LINKS = re.compile(  # who knows the link may use it
    r"(https?://(?:"
    r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)"
    r"|(?:[\w-]{1,30}\.)?discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{1,30}"
    r"|[\w-]{1,60}\.webhook\.office\.com/webhook\w{0,3}|outlook\.office(?:365)?\.com/webhook\w{0,3}"
    r"|hooks\.zapier\.com/hooks/catch|maker\.ifttt\.com/trigger/[\w-]{1,60}/with/key"
    r"|(?:hc-ping\.com|webhook\.site)|events\.pagerduty\.com/integration"
    r"|[\w.-]{1,80}/(?:hooks|api/push))/)[^\s\"'?]+"
    r"|(https?://api\.telegram\.org/(?:file/)?bot\d{1,20}:)[\w-]+"
)
_QUERY = re.compile(r"(?i)([?&](?:X-(?:Amz|Goog)-Signature|Signature|sig|(?:code|state|key)(?=(?-i:=[^\s&\"']{8,})))=)[^\s&\"']+")
_USER_ALONE = re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://)(?=[^\s/:@\"']*\d)[\w.~-]{20,}@")
_USER_AT_HOST = re.compile(
    r"(?<![\w./:-])(?!(?:mailto|sips?|xmpp|tel):)([\w.-]{1,60}(?:/[\w.-]{1,60})?:)([^\s@/:\"']{3,100})@(?!sha256:)(?=\w)"
)
_ORACLE = re.compile(r"\b((?:sqlplus|sqlldr|rman|expdp|impdp)\s+(?:-\w+\s+){0,5}[\w$#]{1,60}/)[^\s@\"']+")
_ASKS = (  # what takes a password from its standard input
    r"(?:(?:\S{0,60}/)?sudo\s[^|]{0,200}?(?:-[A-Za-z]{0,5}S\b|--stdin\b)|(?:sudo\s+)?(?:\S{0,60}/)?"
    r"(?:chpasswd|(?:smb|vnc|ht)?passwd\b|cryptsetup|kinit|gpg|sshpass)|[^|]{0,200}--(?:password-stdin|passphrase-fd|with-token|stdin)\b)"
)
_PIPED = re.compile(rf"\b((?:echo|printf)\s+)([^|]{{1,400}}?)(\s*\|\s*{_ASKS})")
_HERE = re.compile(rf"({_ASKS}[^|<]{{0,200}}<<<\s*)(\"[^\"]*\"|'[^']*'|[^\s\"']+)")
_WORD = re.compile(r"(?<![\w+=.-])[A-Za-z0-9_-]{20,200}={0,2}(?![\w+=.-])")


def hide(line: str) -> str:
    """The line without what is a secret by its shape or by where it goes."""
    if "echo" in line or "printf" in line:
        line = _PIPED.sub(rf"\1{HIDDEN}\3", line)
    if "<<<" in line:
        line = _HERE.sub(rf"\1{HIDDEN}", line)
    if "/" in line:
        line = _LINKS.sub(lambda match: (match[1] or match[2]) + HIDDEN, line)
        line = _ORACLE.sub(rf"\1{HIDDEN}", line)
    if "@" in line:
        line = _USER_AT_HOST.sub(rf"\1{HIDDEN}@", _USER_ALONE.sub(rf"\1{HIDDEN}@", line))
    return _TOKENS.sub(HIDDEN, _QUERY.sub(rf"\1{HIDDEN}", line))


def hide_random(line: str) -> str:
    """The line without words that look as if they were drawn at random."""
    return _WORD.sub(lambda match: HIDDEN if is_random(match[0]) else match[0], line)


def is_random(word: str) -> bool:
    """Whether small and capital letters and digits take turns as in base64, and not as in names. Hashes in hex are no secrets."""
    kinds = [_kind(letter) for letter in word if letter.isalnum()]
    turns = sum(one != other for one, other in itertools.pairwise(kinds))
    return len({*kinds}) == 3 and turns >= 0.4 * len(kinds)


def looks_like_a_password(word: str) -> bool:
    """Whether a word that may be anything has three kinds of characters, a digit among them, as rules for passwords want."""
    kinds = {_kind(letter) for letter in word}
    return 6 <= len(word) <= 100 and "digit" in kinds and len(kinds) >= 3 and not re.search(r"[/:=,.]", word)


def _kind(letter: str) -> str:
    if letter.isdigit():
        return "digit"
    return "other" if not letter.isalnum() else "capital" if letter.isupper() else "small"
