"""Certificates as their bytes are read, held against what `cryptography` reads of the same bytes."""

from __future__ import annotations

import datetime
import ipaddress
import random

import pytest
from cryptography import x509 as reference
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import der, x509

KEY = ec.generate_private_key(ec.SECP256R1())
BEGIN = datetime.datetime(2026, 11, 21, 9, 18, 50, tzinfo=datetime.UTC)


def name(*attributes: tuple[reference.ObjectIdentifier, str]) -> reference.Name:
    return reference.Name([reference.NameAttribute(identity, text) for identity, text in attributes])


def certificate(
    subject: reference.Name,
    *names: reference.GeneralName,
    serial: int = 0xAFF,
    begin: datetime.datetime = BEGIN,
    days: int = 90,
    issuer: reference.Name | None = None,
    critical: bool = False,
) -> bytes:
    builder = reference.CertificateBuilder(
        issuer or subject, subject, KEY.public_key(), serial, begin, begin + datetime.timedelta(days)
    )
    if names:
        builder = builder.add_extension(reference.SubjectAlternativeName(names), critical=critical)
    builder = builder.add_extension(reference.BasicConstraints(ca=False, path_length=None), critical=True)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_a_certificate_without_a_subject_is_read() -> None:
    read = x509.parse(certificate(name(), reference.DNSName("shop.example.com"), critical=True))
    assert (read.names, read.serial, read.ends - read.begins) == ({"shop.example.com"}, "0aff", 90 * 86400)


@pytest.mark.parametrize(
    "other",
    [
        reference.UniformResourceIdentifier("https://example.com/DNS:evil.example.com"),
        reference.UniformResourceIdentifier("https://example.com/, DNS:evil.example.com"),
        reference.RFC822Name("DNS:evil.example.com@example.com"),
        reference.OtherName(NameOID.COMMON_NAME, b"\x0c\x10DNS:evil.example"),
        reference.DirectoryName(name((NameOID.COMMON_NAME, "DNS:evil.example.com"))),
        reference.DNSName("b.example.com"),
    ],
)
def test_a_text_that_looks_like_a_name_adds_none(other: reference.GeneralName) -> None:
    subject = name((NameOID.COMMON_NAME, "x\n    DNS:evil.example.com"), (NameOID.ORGANIZATION_NAME, "DNS:evil.example.com, DNS:x"))
    read = x509.parse(certificate(subject, reference.DNSName("Shop.example.com"), other))
    assert read.names - {"b.example.com"} == {"shop.example.com"}


def test_a_name_of_two_is_no_name() -> None:
    data = certificate(name(), reference.DNSName("a.example.com--DNS-evil.example.com"))
    assert x509.parse(data.replace(b"a.example.com--DNS-evil", b"a.example.com, DNS:evil")).names == frozenset()


def test_names_are_equal_whatever_their_case_spaces_and_encoding() -> None:
    upper = name((NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Example  CA"))
    printable = reference.Name(
        [
            reference.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            reference.NameAttribute(NameOID.ORGANIZATION_NAME, "example CA", reference.name._ASN1Type.PrintableString),
        ]
    )
    assert x509.parse(certificate(upper)).subject == x509.parse(certificate(printable)).subject
    assert x509.parse(certificate(upper)).subject != x509.parse(certificate(name((NameOID.COUNTRY_NAME, "DE")))).subject


def test_200_certificates_are_read_as_cryptography_reads_them() -> None:
    chance = random.Random(7)
    for _ in range(200):
        hosts = [f"{chance.choice(['*', 'a', 'www.b'])}.x{chance.randrange(99)}.example.com" for _ in range(chance.randrange(9))]
        names: list[reference.GeneralName] = list(map(reference.DNSName, hosts))
        names += [reference.IPAddress(ipaddress.ip_address(chance.choice(["192.0.2.1", "2001:db8::1"])))] * chance.randrange(2)
        begin = datetime.datetime(chance.choice([1999, 2026, 2049, 2051]), 1, 1, tzinfo=datetime.UTC)
        serial, days = chance.getrandbits(chance.choice([7, 8, 64, 159])) + 1, chance.choice([1, 90, 9000])
        subject = name(*[(NameOID.COMMON_NAME, chance.choice(["x", "ü", "a, b=c", "日本"]))] * chance.randrange(2))
        data = certificate(subject, *names, serial=serial, begin=begin, days=days)
        theirs, ours = reference.load_der_x509_certificate(data), x509.parse(data)
        known = theirs.extensions.get_extension_for_class(reference.SubjectAlternativeName).value if names else []
        assert ours.names == {str(one.value).lower() for one in known}
        assert (int(ours.serial, 16), len(ours.serial) % 2) == (theirs.serial_number, 0)
        assert (ours.begins, ours.ends) == (theirs.not_valid_before_utc.timestamp(), theirs.not_valid_after_utc.timestamp())
        assert ours.sha256 == theirs.fingerprint(hashes.SHA256()).hex()


def test_what_is_no_certificate_is_an_error_and_never_another() -> None:
    data, chance = certificate(name(), reference.DNSName("shop.example.com")), random.Random(7)
    for _ in range(2000):
        broken = bytearray(data)
        broken[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        for piece in (bytes(broken), data[: chance.randrange(len(data))]):
            try:
                der.certificate(piece)
            except ValueError:
                continue
