"""A renewal of a real certificate, and what its clients, its CA and its files say of it meanwhile."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import openssl
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.lineage import KINDS, Lineage
from tests.conftest import Done, Irctl, write_inventory
from tests.servers import acme
from tests.servers.acme import NAME, SECOND, Site

EVERY = 0.05  # seconds
OTHER = "other.example.com"


class Asked:
    """How many certificates the CA was asked for, and has issued, since this was made."""

    def __init__(self, site: Site) -> None:
        self.site, self.before = site, (site.authority.orders(), site.authority.issued())

    @property
    def numbers(self) -> tuple[int, int]:
        return self.site.authority.orders() - self.before[0], self.site.authority.issued() - self.before[1]


NOTHING = (0, 0)


def irctl(site: Site, **more: Any) -> Irctl:
    return Irctl(site.folder.parent / "home", write_inventory(site.folder.parent, {"web": site.host(**more)}))


def renew(site: Site, *words: str, **more: Any) -> Done:
    return irctl(site, **more)("remediate", "renew-certificate", "--host", "web", "--json", *words)


def part(site: Site, entry: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run another entry point of the role, as a drill does."""
    inventory = write_inventory(site.folder.parent, {"web": site.host(**more)})
    words = ["ansible-playbook", "irctl.runbooks.renew_certificate", "-i", str(inventory), "-e", "irctl_target=web"]
    environment = acme.ansible(site.folder)
    return subprocess.run([*words, "-e", f"irctl_entry_point={entry}"], env=environment, capture_output=True, text=True)


def expire(site: Site) -> str:
    """Let the drill's expired certificate be served; return its serial."""
    done = part(site, "fault")
    assert done.returncode == 0, done.stdout
    return site.serial()


class Client(threading.Thread):
    """Somebody who shakes hands every 50 ms: which certificates were seen, and every handshake that failed."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self.port, self.seen, self.failed, self.over = site.port, list[str](), list[str](), threading.Event()

    def run(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        while not self.over.is_set():
            try:
                plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
                with plain, context.wrap_socket(plain, server_hostname=NAME) as one:
                    self.seen.append(hashlib.sha256(one.getpeercert(binary_form=True) or b"").hexdigest())
                    one.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
                    assert one.recv(100).startswith(b"HTTP/1.1")
            except (OSError, AssertionError) as error:
                self.failed.append(repr(error))
            self.over.wait(EVERY)

    @property
    def kinds(self) -> list[str]:
        """The certificates in the order in which they were first seen."""
        return list(dict.fromkeys(self.seen))


@contextmanager
def polled(site: Site) -> Iterator[Client]:
    """No handshake and no request fails in here, whatever happens."""
    client = Client(site)
    client.start()
    yield client
    client.over.set()
    client.join()
    assert client.failed == []
    assert len(client.seen) > 5


def kept(site: Site) -> tuple[str, ...]:
    """What there is of the lineage: where the links lead to, and every file of the archive with its hash."""
    links = [f"{path.name} -> {os.readlink(path)}" for path in sorted(site.live.glob("*.pem"))]
    files = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sorted(site.archive.iterdir())]
    return (*links, *files, site.serial())


def whole(site: Site) -> bool:
    """Whether the links lead to one pair, whose key is the certificate's, as openssl itself says."""
    public = acme.run("openssl", "x509", "-noout", "-pubkey", "-in", str(site.live / "fullchain.pem"))
    own = acme.run("openssl", "pkey", "-pubout", "-in", str(site.live / "privkey.pem"))
    numbers = {os.readlink(path).rstrip(".pem")[-1] for path in site.live.glob("*.pem")}
    return public == own and len(numbers) == 1


def wrapper(site: Site, name: str, text: str) -> list[str]:
    """A program that does something of the test's around the real one, which it is given as its arguments."""
    path = site.folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


def age(site: Site, left: int = 20) -> str:
    """Let a certificate be served that was issued 70 days ago and is good for `left` days yet; return its serial."""
    lineage, day = Lineage(str(site.config), NAME), 86400
    now, key = time.time(), lineage.path("privkey", 1)
    pem = site.folder / "aged.pem"
    pem.write_text(openssl.sign_by_itself(key, [NAME, SECOND], now - 70 * day, now + left * day))
    lineage.install(2, [key if kind == "privkey" else str(pem) for kind in KINDS])
    lineage.use(2)
    lineage.settle()
    site.settle()
    return site.serial()
