"""DER, the bytes that a certificate is made of: read strictly, element by element. Pure.

A text that openssl prints can be mistaken, because a name that somebody chose stands in it as it is. Here each value has bounds.
A target has no library for this; tests hold what is read here against `cryptography`.
"""

from __future__ import annotations

import calendar
import ipaddress
import re
from collections.abc import Iterator
from typing import NamedTuple

SEQUENCE, OID, OCTETS, BOOLEAN, UTC_TIME, GENERAL_TIME = 0x30, 0x06, 0x04, 0x01, 0x17, 0x18
VERSION, EXTENSIONS = 0xA0, 0xA3
DNS_NAME, IP_ADDRESS = 0x82, 0x87  # of the alternative names of a subject
SUBJECT_ALT_NAME = bytes.fromhex("551d11")

_UTC = re.compile(rb"([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z")
_GENERAL = re.compile(rb"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z")


class Element(NamedTuple):
    """One element: its tag, its content, and all of its bytes."""

    tag: int
    content: bytes
    whole: bytes


class Fields(NamedTuple):
    """What a certificate says of itself. `subject` and `issuer` are made to be compared."""

    serial: int
    issuer: bytes
    begins: float
    ends: float
    subject: bytes
    names: frozenset[str]


def certificate(data: bytes) -> Fields:
    """Read a certificate; its names are those of DNS and the addresses, in small letters. Raises ValueError."""
    [outer] = elements(data)
    [body, _algorithm, _signature] = elements(_content(outer, SEQUENCE))
    parts = [one for one in elements(_content(body, SEQUENCE)) if one.tag != VERSION]
    if len(parts) < 6:
        raise ValueError("it is no certificate: fields are missing")
    serial, _algorithm, issuer, validity, subject = parts[:5]
    begins, ends = (_moment(one) for one in elements(_content(validity, SEQUENCE)))
    names = [name for one in parts[6:] if one.tag == EXTENSIONS for name in _names(one)]
    return Fields(
        int.from_bytes(_content(serial, 0x02), "big", signed=True),
        _name(issuer),
        begins,
        ends,
        _name(subject),
        frozenset(names),
    )


def elements(data: bytes) -> Iterator[Element]:
    """The elements that these bytes are made of. Raises ValueError where they are not that."""
    at = 0
    while at < len(data):
        begun, tag = at, data[at]
        length, at = _length(data, at + 1)
        if tag & 0x1F == 0x1F or at + length > len(data):
            raise ValueError("it is no certificate: an element goes beyond its bounds")
        yield Element(tag, data[at : at + length], data[begun : at + length])
        at += length


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The length that is written there, and where the content begins."""
    if at >= len(data):
        raise ValueError("it is no certificate: it ends too early")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    size = first & 0x7F
    if not 1 <= size <= 4 or at + 1 + size > len(data):
        raise ValueError("it is no certificate: a length cannot be read")
    return int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size


def _content(element: Element, tag: int) -> bytes:
    if element.tag != tag:
        raise ValueError("it is no certificate: it has other parts")
    return element.content


def _name(element: Element) -> bytes:
    """The attributes of a name in a form in which equal names are equal: whatever their encoding, case and spaces."""
    attributes = [attribute for part in elements(_content(element, SEQUENCE)) for attribute in elements(part.content)]
    pairs = [tuple(elements(_content(attribute, SEQUENCE))) for attribute in attributes]
    return b"\0".join(part for identity, value in pairs for part in (identity.content, _text(value)))


def _text(value: Element) -> bytes:
    coding = {0x1E: "utf-16-be", 0x1C: "utf-32-be", 0x14: "latin-1"}.get(value.tag, "utf-8")
    return " ".join(value.content.decode(coding, "replace").lower().split()).encode()


def _moment(element: Element) -> float:
    """Seconds since 1970. Years of two digits are those from 1950 to 2049."""
    match = {UTC_TIME: _UTC, GENERAL_TIME: _GENERAL}.get(element.tag, _UTC).fullmatch(element.content)
    if not match:
        raise ValueError("a date in it cannot be read")
    year, *others = map(int, match.groups())
    if element.tag == UTC_TIME:
        year += 1900 if year >= 50 else 2000
    return float(calendar.timegm((year, *others)))


def _names(extensions: Element) -> Iterator[str]:
    [sequence] = elements(extensions.content)
    for extension in elements(_content(sequence, SEQUENCE)):
        identity, *_critical, value = elements(_content(extension, SEQUENCE))
        if _content(identity, OID) == SUBJECT_ALT_NAME:
            [names] = elements(_content(value, OCTETS))
            yield from (name for one in elements(_content(names, SEQUENCE)) if (name := _alternative(one)))


def _alternative(element: Element) -> str:
    """A name of DNS or an address; '' for what is none, such as a URI, or holds what no name holds."""
    if element.tag == IP_ADDRESS and len(element.content) in (4, 16):
        return str(ipaddress.ip_address(element.content))
    if element.tag == DNS_NAME and re.fullmatch(rb"[!-+\--~]+", element.content):
        return element.content.decode("ascii").lower()
    return ""
