"""The people of the allowed-signers file: who has which key and which roles, and which names are of one person."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from irctl.errors import Refused
from irctl.record import signing
from irctl.record.allowed_signers import AllowedKey
from irctl.record.signing import AllowedFile
from irctl.record.verify_command import visible

PRINCIPAL = re.compile(r"[a-z0-9][a-z0-9._+@-]{0,99}", re.ASCII)
ROLE = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
LOOK_ALIKES = (("0", "o"), ("1", "l"), ("rn", "m"), ("vv", "w"))


@dataclass(frozen=True)
class Signer:
    """One person with one key, in the roles that the line of that key gives."""

    principal: str
    roles: frozenset[str]
    key: AllowedKey


@dataclass(frozen=True)
class People:
    """Everybody whom an allowed-signers file names, and a sentence for each line of it that is not used."""

    file: AllowedFile
    signers: tuple[Signer, ...]
    unused: tuple[str, ...]

    def lines_of(self, principal: str) -> list[Signer]:
        """The lines that name this person; one for each key. Raises Refused where there is none, with what may be the reason."""
        if found := [signer for signer in self.signers if signer.principal == principal]:
            return found
        reasons = "; ".join(self.unused[:3])
        raise Refused(f"'{visible(principal)}' is nobody whom {self.file.path} names{f' ({reasons})' if reasons else ''}")

    def roles_of(self, principal: str) -> frozenset[str]:
        return frozenset[str]().union(*(signer.roles for signer in self.lines_of(principal)))

    def same(self, one: str, other: str) -> bool:
        """Whether two names are of one person: they look alike, or one key stands beside both."""
        return alike(one, other) or bool(self._keys(one) & self._keys(other))

    def _keys(self, principal: str) -> set[str]:
        return {signer.key.fingerprint for signer in self.signers if alike(signer.principal, principal)}


def read(allowed: Path) -> People:
    """Read the allowed-signers file. Raises Invalid where it proves nothing."""
    file = signing.read_allowed(allowed)
    signers: list[Signer] = []
    unused = list(file.unused)
    for key in file.keys:
        try:
            signers += _signers(key)
        except ValueError as error:
            unused.append(f"line {key.line} is not used: {error}")
    return People(file, tuple(signers), tuple(unused))


def _signers(key: AllowedKey) -> Iterator[Signer]:
    """A line's people. Raises ValueError where a name or a role in it is none."""
    roles = roles_in(key.comment)
    for principal in key.principals:
        if not PRINCIPAL.fullmatch(principal):
            raise ValueError(f"for approvals a principal in lower case and without patterns is needed: {principal!r}")
        yield Signer(principal, roles, key)


def roles_in(comment: str) -> frozenset[str]:
    """The roles in a comment such as 'roles=security, incident-commander'. Raises ValueError where one is no name."""
    roles: set[str] = set()
    for written in re.findall(r"(?:^|\s)roles=((?:[^\s,]*\s*,\s*)*[^\s,]*)", comment):
        roles |= {role.strip() for role in written.split(",") if role.strip()}
    if bad := next((role for role in sorted(roles) if not ROLE.fullmatch(role)), ""):
        raise ValueError(f"not the name of a role: {bad!r}")
    return frozenset(roles)


def alike(one: str, other: str) -> bool:
    """Whether two names may be of one person, or be taken for each other; a missing @place tells nobody apart."""
    first, second = folded(one), folded(other)
    if "@" in first and "@" in second:
        return first == second
    return first.partition("@")[0] == second.partition("@")[0]


def folded(principal: str) -> str:
    """The form in which two such names are the same: case, width, accents, look-alikes, +tags and a last dot are gone."""
    plain = unicodedata.normalize("NFKD", principal)
    text = "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold()
    name, at, place = text.partition("@")
    text = name.partition("+")[0].rstrip(".") + at + place.rstrip(".")
    for written, read_as in LOOK_ALIKES:
        text = text.replace(written, read_as)
    return text
