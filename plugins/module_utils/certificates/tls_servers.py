"""What a running nginx serves over TLS: the servers of a certificate by its configuration, and what a client of theirs is shown."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.lineage import Lineage
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.sites import Listener, Site, site
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.x509 import Certificate
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Doubt
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import program
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

SECONDS = 5.0  # for one handshake
PATIENCE = 15.0  # for a new certificate to be served after a reload
ANY = {"*": "127.0.0.1", "[::]": "[::1]"}


class Served(NamedTuple):
    """What a client is shown: the leaf certificate as PEM with its sha256, or why there was none."""

    sha256: str
    pem: str
    why: str


class Nginx:
    """An nginx that `test` tests and `reload` reloads."""

    def __init__(self, test: list[str], reload: list[str]) -> None:
        if "-t" not in test:
            raise ValueError("certificates_nginx_test: the command has to contain -t, as in nginx -t")
        self._test, self._reload = test, reload

    def site(self, lineage: Lineage, leaf: Certificate) -> Site:
        """The servers whose certificate lies in this folder, or who show it where a variable names theirs. Raises Failure."""
        settings = program.settings(self._test)
        issued = {leaf.sha256, *(one.sha256 for one in lineage.issued())}
        known = site(settings.directives, lineage.live, lineage.archive, settings.folder, leaf.names, issued)
        return with_candidates(known, leaf.sha256)

    def serve(self, listeners: Sequence[Listener], sha256: str) -> None:
        """Take up what is stored, and see it served everywhere. Raises Failure where that does not come about."""
        program.running(program.settings(self._test)).renew(self._reload)
        until = time.monotonic() + PATIENCE
        while others := unlike(served(listeners), sha256):
            if time.monotonic() > until:
                raise Failure(f"After the reload another certificate is served: {'; '.join(others)}.")
            time.sleep(0.05)


def served(listeners: Sequence[Listener]) -> dict[Listener, Served]:
    return {one: handshake(one) for one in listeners}


def unlike(shown: Mapping[Listener, Served], sha256: str) -> list[str]:
    """Where another certificate than this is served, or none."""
    return [f"{one}{f', {what.why}' if what.why else ''}" for one, what in shown.items() if what.sha256 != sha256]


def with_candidates(known: Site, sha256: str) -> Site:
    """Add the servers that show this certificate in a handshake; doubt those of which none tells, and ours that show another."""
    result = known._replace(candidates=())
    for candidate in known.candidates:
        shown = served(candidate.listeners)
        ours = tuple(one for one, what in shown.items() if what.sha256 == sha256)
        result = result._replace(listeners=tuple(dict.fromkeys((*result.listeners, *ours))))
        if not shown or any(what.why for what in shown.values()) or (candidate.ours and not ours):
            why = "; ".join(f"{one} gives no handshake ({what.why})" for one, what in shown.items() if what.why)
            why = why or ("it shows another certificate" if shown else "no name is known by which to ask for it")
            doubt = Doubt(str(candidate.certificate), candidate.certificate.place, why)
            result = result._replace(doubts=(*result.doubts, doubt))
    return result


def handshake(one: Listener) -> Served:
    """Shake hands with one server. Nothing is verified, so that an expired or foreign certificate is seen too."""
    try:
        with _connected(one.address) as plain:
            if one.proxied:
                plain.sendall(b"PROXY UNKNOWN\r\n")
            with _context().wrap_socket(plain, server_hostname=one.name or None) as session:
                leaf = session.getpeercert(binary_form=True) or b""
    except (OSError, ValueError) as error:
        return Served("", "", printable(f"no handshake: {_reason(error)}", 100))
    return Served(hashlib.sha256(leaf).hexdigest(), ssl.DER_cert_to_PEM_cert(leaf), "")


def _context() -> ssl.SSLContext:
    """For a look only, so whatever a server speaks is good enough: TLS 1.0 and weak ciphers too, and no name is checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)
    return context


def _reason(error: Exception) -> str:
    """Why there was no handshake; of TLS its own word, such as WRONG_VERSION_NUMBER."""
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error or type(error).__name__)


def _connected(address: str) -> socket.socket:
    if address.startswith("unix:"):
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(SECONDS)
        plain.connect(address.removeprefix("unix:"))
        return plain
    host, _colon, port = address.rpartition(":")
    return socket.create_connection((ANY.get(host, host).strip("[]"), int(port)), timeout=SECONDS)
