"""OpenSSH's allowed-signers file, line by line: what can be used of it, and the number and the reason for what cannot.

Part of verify.py: it needs Python 3.8 or later and the standard library only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_LINE = 64 << 10  # bytes; the longest key has a quarter of that
KEY_TYPE = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+")
OPTION = re.compile(r'([A-Za-z-]+)(?:="((?:[^"\\]|\\.)*)")?(?:,|$)')
OPTIONS = {"namespaces", "valid-after", "valid-before", "cert-authority"}
MPINTS = {"ssh-rsa": (1, 2), "ssh-dss": (1, 2, 3, 4)}  # the fields that are numbers, which can be written in more than one way


@dataclass(frozen=True)
class AllowedKey:
    """One line of the file. `principals` are patterns; `options` are `namespaces`, `valid-after`, `valid-before` as written."""

    line: int
    principals: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    key: str
    fingerprint: str
    comment: str

    @property
    def who(self) -> str:
        return ",".join(self.principals)

    def as_line(self, options: tuple[str, ...]) -> str:
        """A line of such a file, for a principal called 'signer', with some of the options."""
        kept = ",".join(f'{name}="{value}"' for name, value in self.options if name in options)
        return f"signer {kept} {self.key}\n" if kept else f"signer {self.key}\n"


def read_allowed_signers(content: bytes) -> tuple[list[AllowedKey], list[str]]:
    """The lines that can be used, and a sentence for each of the others."""
    keys, faults = [], []
    for number, line in enumerate(content.split(b"\n"), 1):  # at line feeds only, as OpenSSH does
        try:
            if len(line) > LONGEST_LINE:
                raise ValueError("it is too long")
            text = line.decode().strip(" \t\r")
            if text and not text.startswith("#"):
                keys.append(_allowed_key(number, text))
        except ValueError as error:
            why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            faults.append(f"line {number} is not used: {why}")
    return keys, faults


def _allowed_key(number: int, text: str) -> AllowedKey:
    if not text.isprintable() and not text.replace("\t", " ").isprintable():
        raise ValueError("a character in it does not show")
    principals, _, rest = _unquoted(text)
    options: tuple[tuple[str, str], ...] = ()
    if not KEY_TYPE.match(rest):
        written, rest = _options_and_rest(rest)
        options = tuple(_options(written))
    words = re.split(r"[ \t]+", rest, maxsplit=2)
    if len(words) < 2 or not principals:
        raise ValueError("a principal, a key type and a key are needed")
    if any(name == "cert-authority" for name, _ in options):
        raise ValueError("cert-authority is not taken; name each person's own key")
    fingerprint = _fingerprint(words[0], words[1])
    comment = words[2].strip() if len(words) > 2 else ""
    return AllowedKey(number, tuple(principals.split(",")), options, f"{words[0]} {words[1]}", fingerprint, comment)


def _unquoted(text: str) -> tuple[str, str, str]:
    """The first word of a line, a blank, and the rest; the word may stand in quotes."""
    found = re.match(r'"([^"]*)"(?:[ \t]+|$)(.*)', text) or re.match(r'([^" \t]+)(?:[ \t]+|$)(.*)', text)
    if not found:
        raise ValueError("its principals are not quoted as OpenSSH does it")
    return found[1], " ", found[2]


def _options_and_rest(text: str) -> tuple[str, str]:
    found = re.match(r'((?:"(?:[^"\\]|\\.)*"|[^" \t])+)(?:[ \t]+|$)(.*)', text)
    if not found:
        raise ValueError("a key type and a key are needed, or an option is not quoted as OpenSSH does it")
    return found[1], found[2]


def _options(written: str) -> Iterator[tuple[str, str]]:
    """The options by their names in lower case, in which OpenSSH reads them whatever their case is."""
    seen: set[str] = set()
    place = 0
    while place < len(written):
        found = OPTION.match(written, place)
        name = found[1].lower() if found else ""
        if not found or name not in OPTIONS or (found[2] is None) != (name == "cert-authority"):
            raise ValueError(f"neither a key nor an option that OpenSSH knows: {written[place : place + 40]!r}")
        if name in seen:
            raise ValueError(f"the option {name} stands in it twice")
        seen.add(name)
        place = found.end()
        yield name, found[2] or ""


def _fingerprint(kind: str, text: str) -> str:
    try:
        blob = base64.b64decode(text, validate=True)
        if "-cert-" in kind:
            raise ValueError("a certificate is not taken; name the key itself")
        fields = ssh_strings(blob)
        if fields[0] != kind.encode():
            raise ValueError("its key is not of the type that it names")
        return fingerprint_of(blob)
    except (IndexError, binascii.Error, struct.error):
        raise ValueError("its key is not one") from None


def fingerprint_of(blob: bytes) -> str:
    """'SHA256:...' of the key that signs, however it is written down, also inside a certificate.

    Raises ValueError, IndexError or struct.error where it is no key.
    """
    fields = ssh_strings(blob) if b"-cert-v01@openssh.com" not in blob[:64] else _certified(blob)
    kind = fields[0].decode("ascii")
    for place in MPINTS.get(kind, ()):
        number = fields[place].lstrip(b"\0")
        fields[place] = b"\0" + number if number[:1] > b"\x7f" else number
    plain = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    return "SHA256:" + base64.b64encode(hashlib.sha256(plain).digest()).decode().rstrip("=")


def _certified(blob: bytes) -> list[bytes]:
    """The fields of the key inside a certificate: its type, and what follows the nonce."""
    kind = ssh_strings(blob, 1)[0].replace(b"-cert-v01@openssh.com", b"")
    numbers = {b"ssh-rsa": 2, b"ssh-dss": 4, b"ssh-ed25519": 1, b"sk-ssh-ed25519": 2, b"sk-ecdsa-sha2-nistp256": 3}.get(kind, 2)
    name = kind + (b"@openssh.com" if kind.startswith(b"sk-") else b"")
    return [name, *ssh_strings(blob, 2 + numbers)[2:]]


def ssh_strings(blob: bytes, most: int = 0) -> list[bytes]:
    """The strings that a blob consists of, or so many of them from its start on. Raises struct.error."""
    fields: list[bytes] = []
    place = 0
    while place < len(blob) and (not most or len(fields) < most):
        (length,) = struct.unpack_from(">I", blob, place)
        fields.append(blob[place + 4 : place + 4 + length])
        place += 4 + length
    if place > len(blob) or (most and len(fields) < most) or (not most and place != len(blob)):
        raise struct.error("cut short")
    return fields
