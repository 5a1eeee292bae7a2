"""A real ACME CA (pebble, with a name server of its own) and a site that certbot and nginx serve, all on loopback.

`python -m tests.acme up|down|look FOLDER` is for Molecule; tests use Authority and Site.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

NAME, SECOND = "shop.example.com", "www.shop.example.com"
PROGRAMS = {"pebble": "pebble", "pebble-challtestsrv": "pebble", "certbot": "certbot", "nginx": "nginx-light", "openssl": "openssl"}
VALID = 90 * 86400  # seconds
NGINX = """
user root;
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{main}
events {{}}
http {{
  access_log off;
  server {{ listen 127.0.0.1:{http}; root {folder}/www; }}
  {servers}
}}
"""
SERVER = """
  server {{
    listen {listen} ssl; server_name {names}; root {folder}/www;
    ssl_certificate {live}/fullchain.pem; ssl_certificate_key {live}/privkey.pem;
  }}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing() -> str:
    """What this machine lacks for these tests; '' for nothing."""
    where = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    lacking = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name, path=where)})
    return f"apt-get install {' '.join(lacking)}, as tools/install-test-servers does" if lacking else ""


def run(*words: str, **more: Any) -> str:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    assert done.returncode == 0, done.stdout
    return done.stdout


def ansible(home: Path) -> dict[str, str]:
    """The environment for a playbook of this collection, whose ssh shares no socket: below such a home its path is too long."""
    here = {"ANSIBLE_COLLECTIONS_PATH": str(Path(__file__).resolve().parents[2]), "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
    return {**os.environ, **here, "HOME": str(home)}


def wait_until(is_so: Callable[[], Any], seconds: float = 120) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError, AssertionError):
            if found := is_so():
                return found
        time.sleep(0.02)
    raise AssertionError("it did not come about in time")


@dataclass
class Authority:
    """A pebble of one's own, whose account of the world is that every name is 127.0.0.1."""

    folder: Path
    http: int  # where it asks for what proves that a name is somebody's
    within: Sequence[str] = ()  # put before its commands, to run it in another network
    nonces: int = 0  # percent of good nonces that it turns away
    looks_for: int = 0  # seconds that it takes for a look at a challenge, at most
    ports: list[int] = field(default_factory=lambda: [free_port() for _ in range(4)])
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.ports[0]}/dir"

    @property
    def bundle(self) -> Path:
        return self.folder / "api.pem"

    @property
    def roots(self) -> Path:
        return self.folder / "roots.pem"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def issued(self) -> int:
        """How many certificates it has issued."""
        return self.log.count("Issued certificate serial")

    def orders(self) -> int:
        """How many certificates it was asked for."""
        return self.log.count("POST /order-plz -> calling handler()")

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        if not self.bundle.exists():
            about = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
            where = ["-keyout", str(self.folder / "api.key"), "-out", str(self.bundle)]
            run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *about, *where)
        api, management, names, testing = self.ports
        pebble = {
            "listenAddress": f"127.0.0.1:{api}", "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(self.bundle), "privateKey": str(self.folder / "api.key"),
            "httpPort": self.http, "tlsPort": 1, "ocspResponderURL": "", "certificateValidityPeriod": VALID,
        }  # fmt: skip
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": pebble}))
        answers = ["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{names}"]
        self._start(
            "pebble-challtestsrv", *answers, "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{testing}"
        )
        self._start("pebble", "-config", str(self.folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{names}")
        root = wait_until(lambda: self._ask("/roots/0"))
        self.roots.write_text(root)

    def _start(self, *words: str) -> None:
        pace = {"PEBBLE_VA_SLEEPTIME": str(self.looks_for)} if self.looks_for else {"PEBBLE_VA_NOSLEEP": "1"}
        ways = {**pace, "PEBBLE_AUTHZREUSE": "0", "PEBBLE_WFE_NONCEREJECT": str(self.nonces)}
        surroundings = {"PATH": os.environ["PATH"], **ways}
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen([*self.within, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=surroundings,
                                       start_new_session=True)  # fmt: skip
        self.processes.append(process)

    def _ask(self, path: str) -> str:
        if self.within:
            return run(*self.within, "curl", "-sf", "--cacert", str(self.bundle), f"https://localhost:{self.ports[1]}{path}")
        context = ssl.create_default_context(cafile=str(self.bundle))
        with urllib.request.urlopen(f"https://localhost:{self.ports[1]}{path}", context=context) as answer:
            return str(answer.read().decode())

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()


@dataclass
class Site:
    """An nginx on loopback that serves a lineage of certbot's, the CA that issues it, and the inventory that leads to it."""

    folder: Path
    port: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    nonces: int = 0
    looks_for: int = 0
    authority: Authority = field(init=False)

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder / "ca", self.http, nonces=self.nonces, looks_for=self.looks_for)

    @property
    def config(self) -> Path:
        return self.folder / "letsencrypt"

    @property
    def live(self) -> Path:
        return self.config / "live" / NAME

    @property
    def archive(self) -> Path:
        return self.config / "archive" / NAME

    @property
    def nginx(self) -> list[str]:
        return ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def configure(self, names: str = f"{NAME} {SECOND}", more: str = "", main: str = "", served: bool = True) -> None:
        server = SERVER.format(listen=f"127.0.0.1:{self.port}", names=names, folder=self.folder, live=self.live)
        about = {"folder": self.folder, "http": self.http, "main": main, "servers": (server if served else "") + more}
        (self.folder / "nginx.conf").write_text(NGINX.format(**about))

    def start(self) -> None:
        """The CA, then nginx for the challenge, then the first certificate, then nginx with it."""
        (self.folder / "www").mkdir(parents=True)
        self.authority.start()
        self.configure(served=False)
        self.process = subprocess.Popen(self.nginx)
        wait_until(lambda: socket.create_connection(("127.0.0.1", self.http)).close() or True)
        self.order()
        self.configure()
        self.reload()
        wait_until(self.serial)

        shutil.copytree(self.config, self.folder / "at-first", symlinks=True)

    def order(self) -> None:
        """The first certificate; more than one try, where the CA turns nonces away."""
        where = ["--webroot", "-w", str(self.folder / "www"), "--server", self.authority.url]
        who = ["-m", "ops@example.com", "--agree-tos", "--no-eff-email", "-d", f"{NAME},{SECOND}", "--cert-name", NAME]
        for _ in range(20 if self.nonces else 1):
            with suppress(AssertionError):
                self.certbot("certonly", *where, *who)
                return
        raise AssertionError(self.authority.log[-3000:])

    def reset(self) -> None:
        """Everything as it was after `start`, but what the CA remembers."""
        for path in self.config.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self.folder / "at-first", self.config, symlinks=True, dirs_exist_ok=True)
        self.configure()
        self.settle()

    def settle(self) -> None:
        """Reload, and wait until what is stored is served."""
        self.reload()
        wait_until(lambda: self.serial() == self.stored())

    def certbot(self, *words: str) -> str:
        where = [
            f"--{kind}-dir={self.folder / place}" for kind, place in (("config", "letsencrypt"), ("work", "work"), ("logs", "logs"))
        ]
        trust = {**os.environ, "REQUESTS_CA_BUNDLE": str(self.authority.bundle)}
        return run("certbot", *words, "--non-interactive", *where, env=trust)

    def reload(self) -> None:
        run(*self.nginx, "-s", "reload")

    def serial(self, name: str = NAME) -> str:
        """The serial that a client is shown, asked for by a program that is none of irctl's."""
        about = shown(self.port, name)
        return run("openssl", "x509", "-noout", "-serial", "-in", str(_kept(self.folder / "shown.pem", about))).strip().lower()

    def stored(self) -> str:
        return run("openssl", "x509", "-noout", "-serial", "-in", str(self.live / "cert.pem")).strip().lower()

    def host(self, **more: Any) -> dict[str, Any]:
        about = {"ansible_connection": "local", "irctl_drills": "allowed", "renew_certificate_name": NAME}
        where = {"certificates_config_dir": str(self.config), "certificates_ca_bundle": str(self.authority.bundle)}
        commands = {"certificates_nginx_test": [*self.nginx, "-t"], "certificates_nginx_reload": [*self.nginx, "-s", "reload"]}
        return {**about, **where, **commands, "certificates_roots": str(self.authority.roots), **more}

    def stop(self) -> None:
        self.authority.stop()
        if self.process:
            self.process.terminate()
            self.process.wait()


def _kept(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def shown(port: int, name: str) -> str:
    """The leaf certificate that a server shows, whoever issued it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain, server_hostname=name) as one:
        return ssl.DER_cert_to_PEM_cert(one.getpeercert(binary_form=True) or b"")


@contextmanager
def running(folder: Path, **about: Any) -> Iterator[Site]:
    """A site that is up, and gone at the end."""
    site = Site(folder, **about)
    try:
        site.start()
        yield site
    finally:
        site.stop()


def up(folder: Path) -> None:
    """Leave a site running, with an inventory of it beside it."""
    site = Site(folder)
    site.start()
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"web": site.host()}}}))
    running = [*site.authority.processes, *([site.process] if site.process else [])]
    state = {"pids": [one.pid for one in running], "port": site.port}
    (folder / "state.json").write_text(json.dumps(state))


def down(folder: Path) -> None:
    with suppress(FileNotFoundError):
        for pid in json.loads((folder / "state.json").read_text())["pids"]:
            with suppress(OSError):
                said = Path(f"/proc/{pid}/cmdline").read_bytes()
                if str(folder).encode() in said or b"-dns01" in said:  # its number may be somebody else's by now
                    os.kill(pid, signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)


def look(folder: Path) -> None:
    """What a client is shown, how long that lasts, how many certificates the CA has issued, and how many versions are kept."""
    state = json.loads((folder / "state.json").read_text())
    path = _kept(folder / "shown.pem", shown(state["port"], NAME))
    valid = subprocess.run(["openssl", "x509", "-noout", "-checkend", str(30 * 86400), "-in", path], stdout=subprocess.DEVNULL)
    issued = (folder / "ca" / "log").read_text().count("Issued certificate serial")
    kept = len(list((folder / "letsencrypt" / "archive" / NAME).glob("cert*.pem")))
    print(json.dumps({"lasts": valid.returncode == 0, "issued": issued, "versions": kept}))


if __name__ == "__main__":
    {"up": up, "down": down, "look": look}[sys.argv[1]](Path(sys.argv[2]))
