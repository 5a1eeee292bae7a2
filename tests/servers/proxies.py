"""A real HTTP proxy on loopback that tunnels, and certificates of a CA of the tests' own."""

from __future__ import annotations

import datetime
import ipaddress
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers import processes


@dataclass(frozen=True)
class Proxy:
    """Where it listens, and its log, in which each tunnel is a line."""

    url: str
    log: Path

    def was_used(self) -> bool:
        """Whether it tells of a tunnel; it does so once that is closed, which is waited for."""
        until = time.monotonic() + processes.SECONDS
        while "CONNECT" not in self.log.read_text() and time.monotonic() < until:
            time.sleep(0.05)
        return "CONNECT" in self.log.read_text()


@contextmanager
def served(folder: Path, *words: str) -> Iterator[Proxy]:
    folder.mkdir()
    [port] = processes.free_ports(1)
    start = [sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", port, "--num-workers", "1", "--num-acceptors", "1"]
    process = processes.start(folder, [*start, *words])
    try:
        processes.wait_for_port(process, int(port), folder / "log")
        yield Proxy(f"http://127.0.0.1:{port}", folder / "log")
    finally:
        workers = process.children(recursive=True)  # they would outlive it
        processes.stop(folder)
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()


@dataclass(frozen=True)
class Certificates:
    """A CA, and the certificate of this machine that it signed, as files."""

    ca: str
    certificate: str
    key: str


def certificates(folder: Path) -> Certificates:
    """Of a CA that nobody else knows, for localhost and 127.0.0.1."""
    folder.mkdir()
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of the tests")])
    basic = x509.BasicConstraints(ca=True, path_length=None)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = _builder(ca_name, ca_name, ca_key).add_extension(basic, True).add_extension(usage, True)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = _builder(x509.Name([]), ca_name, key).add_extension(names, True)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    leaf = leaf.add_extension(identifier, False)
    ca = ca.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False)
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (folder / "leaf.pem").write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    return Certificates(*(str(folder / name) for name in ("ca.pem", "leaf.pem", "key.pem")))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
