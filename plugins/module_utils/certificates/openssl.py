"""The openssl program: certificates and keys of files, read by it. A private key is only ever compared, never returned."""

from __future__ import annotations

import os
import re
import secrets
import ssl
import tempfile
import time
from collections.abc import Iterable

from ansible_collections.irctl.runbooks.plugins.module_utils import programs
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import x509
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.x509 import Certificate, Pair
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

LARGEST = 1 << 20  # bytes

SELF_SIGNED = """
[req]
prompt = no
distinguished_name = who
[who]
O = irctl drill
[ca]
default_ca = drill
[drill]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = more
[any]
organizationName = supplied
[more]
subjectAltName = {names}
"""

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\s.+?\s-----END CERTIFICATE-----", re.DOTALL)


def read(path: str) -> str:
    """The text of a certificate file. Raises Failure."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise Failure(f"{printable(path)} cannot be read: {error.strerror}.") from None


def chain(path: str) -> tuple[Certificate, ...]:
    """The certificates of a file in their order. Raises Failure where there is none."""
    return blocks(read(path), path)


def blocks(text: str, name: str) -> tuple[Certificate, ...]:
    """The certificates of a text in their order. Raises Failure, with the name, where there is none."""
    certificates = tuple(certificate(block) for block in _BLOCK.findall(text))
    if not certificates:
        raise Failure(f"{printable(name)} has no certificate in it.")
    return certificates


def certificate(pem: str) -> Certificate:
    """One certificate. Raises Failure."""
    try:
        return x509.parse(ssl.PEM_cert_to_DER_cert(pem))
    except ValueError as error:
        raise Failure(f"A certificate cannot be read: {printable(error)}.") from None


def pair(certificate_path: str, key_path: str) -> Pair:
    """A certificate file with the key file beside it. Raises Failure where one of them cannot be read."""
    certificates = chain(certificate_path)
    public = programs.output(["openssl", "x509", "-noout", "-pubkey"], read(certificate_path))
    try:
        own = programs.output(["openssl", "pkey", "-in", key_path, "-passin", "pass:", "-pubout"])
    except Failure:
        own = ""  # why is not repeated: it could quote the file
    return Pair(certificates, key_fits=bool(own) and own == public)


def sign_by_itself(key_path: str, names: Iterable[str], begins: float, ends: float) -> str:
    """A certificate for these names, signed by its own key, of whatever dates. Raises Failure."""
    with tempfile.TemporaryDirectory(prefix="irctl-") as folder:
        settings_text = SELF_SIGNED.format(folder=folder, names=",".join(f"{_kind(one)}:{one}" for one in sorted(names)))
        for name, text in (("settings", settings_text), ("index", ""), ("serial", f"{secrets.token_hex(15)}\n")):
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write(text)
        settings, request = f"{folder}/settings", f"{folder}/request"
        programs.output(["openssl", "req", "-new", "-key", key_path, "-config", settings, "-out", request])
        dates = [word for name, when in (("start", begins), ("end", ends)) for word in (f"-{name}date", _asn1(when))]
        signing = ["openssl", "ca", "-batch", "-selfsign", "-notext", "-config", settings, "-keyfile", key_path, "-in", request]
        return programs.output([*signing, *dates])


def _kind(name: str) -> str:
    return "IP" if name.replace(".", "").isdigit() or ":" in name else "DNS"


def _asn1(when: float) -> str:
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(when))


def distrust(certificate_path: str, chain_path: str, roots: str) -> str:
    """Say why the certificate does not lead to one of the roots by its chain alone; '' where it does."""
    given = ["-no-CApath", "-no-CAstore", "-purpose", "sslserver", "-CAfile", roots, "-untrusted", chain_path, certificate_path]
    try:
        programs.output(["openssl", "verify", *given], errors=True)
    except Failure as error:
        match = re.search(r"depth lookup: ?(.+)", str(error))
        return f"Its chain does not lead to a certificate in {roots}: {match[1] if match else error}."
    return ""
