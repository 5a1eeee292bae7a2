"""X.509 certificates: what one says of itself, whether a new pair may stand in for an old one, and how many were issued. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import der
from ansible_collections.irctl.runbooks.plugins.module_utils.kinds import lineage as lineage_name
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

DAY = 86400
WEEK = 7 * DAY
SHOWN = 5  # names in a sentence

_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)+", re.ASCII)


class Certificate(NamedTuple):
    """One certificate, its times in seconds since 1970. `subject` and `issuer` are made to be compared."""

    serial: str
    sha256: str
    names: frozenset[str]
    begins: float
    ends: float
    subject: bytes
    issuer: bytes


class Pair(NamedTuple):
    """A certificate with the chain that is sent with it, leaf first, and whether the private key beside it is its own."""

    chain: tuple[Certificate, ...]
    key_fits: bool

    @property
    def leaf(self) -> Certificate:
        return self.chain[0]


def check_name(text: str | None) -> str:
    """The name of a lineage, which becomes part of paths. Raises ValueError."""
    if not text:
        raise ValueError("renew_certificate_name: which certificate is meant has to be named; nothing ever means all of them")
    try:
        return lineage_name.check(text)
    except ValueError:
        raise ValueError(f"{printable(text, 80)!r} is no name of a certbot certificate") from None


def parse(data: bytes) -> Certificate:
    """A certificate of its DER. Raises ValueError where it is none."""
    fields = der.certificate(data)
    digits = f"{abs(fields.serial):x}"
    serial = f"{'-' if fields.serial < 0 else ''}{'0' * (len(digits) % 2)}{digits}"
    sha256 = hashlib.sha256(data).hexdigest()
    return Certificate(serial, sha256, fields.names, fields.begins, fields.ends, fields.subject, fields.issuer)


def days_left(one: Certificate, now: float) -> int:
    return int((one.ends - now) // DAY)


def defects(pair: Pair) -> list[str]:
    """What is wrong with a pair apart from its dates and names; each a sentence."""
    reasons = [] if pair.key_fits else ["The private key does not belong to the certificate."]
    if any(lower.issuer != upper.subject for lower, upper in pairwise(pair.chain)):
        reasons.append("The chain is not in order: each certificate has to be followed by that of its issuer.")
    return reasons


def objections(new: Pair, wanted: Iterable[str], old: Certificate, now: float) -> list[str]:
    """Why a new pair must not be served in place of the old certificate; each a sentence."""
    reasons, leaf = defects(new), new.leaf
    if missing := uncovered(wanted, leaf.names):
        reasons.append(f"It is for {name_list(leaf.names)} and lacks {name_list(missing)}.")
    if leaf.begins > now:
        reasons.append(f"It is not valid before {date_text(leaf.begins)}.")
    if leaf.ends <= max(now, old.ends):
        reasons.append(f"It ends on {date_text(leaf.ends)}, and the one that is there on {date_text(old.ends)}.")
    return reasons


def uncovered(wanted: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    """The wanted names that none of these names covers; *.example.com covers one label in place of the star."""
    known = frozenset(names)
    return frozenset(one for one in wanted if one not in known and f"*.{one.partition('.')[2]}" not in known)


def host_names(words: Iterable[str]) -> list[str]:
    """The names among those of a server_name that a certificate can have, in order; *.x stands for .x too."""
    result: list[str] = []
    for word in (one.lower().rstrip(".") for one in words):
        result += [word[1:], f"*{word}"] if word.startswith(".") else [word]
    return [one for one in result if _HOST.fullmatch(one) and not is_address(one)]


def is_address(text: str) -> bool:
    """Whether a name is an address, by which no client can ask: TLS knows names of hosts only."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def recent(issued: Iterable[Certificate], now: float) -> list[float]:
    """When those certificates were issued that were issued within a week, each once, oldest first."""
    return sorted(one.begins for one in {one.sha256: one for one in issued}.values() if one.begins > now - WEEK)


def beyond_budget(issued: Sequence[float], limit: int) -> str:
    """Say why no further certificate may be asked for; '' where one may."""
    if len(issued) < limit:
        return ""
    number = f"{len(issued)} certificate{'' if len(issued) == 1 else 's'} of this lineage"
    again = issued[len(issued) - limit] + WEEK
    return f"{number} were issued within a week and the limit is {limit}; the next is allowed at {date_text(again)}."


def date_text(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(seconds))


def name_list(names: Iterable[str]) -> str:
    texts = [printable(one, 100) for one in sorted(names)]
    return ", ".join(texts[:SHOWN]) + (f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "") if texts else "no name"
