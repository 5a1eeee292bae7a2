"""Debian's PostgreSQL where its language matters, and PgBouncer before a server; both on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers import processes

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
RUSSIAN = Path("/usr/share/locale/ru/LC_MESSAGES")
NOBODY: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
POOLER = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
{setting}
"""


def needs(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that takes these programs of Debian."""
    present = bool(DEBIAN) and any(RUSSIAN.glob("postgres-*.mo")) and shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    marked: Callable[..., None] = pytest.mark.skipif(not present, reason="apt-get install postgresql pgbouncer")(test)
    return marked


@contextmanager
def russian(**settings: str) -> Iterator[int]:
    """The port of a PostgreSQL that speaks Russian; it trusts everybody, and has the roles postgres and ops."""
    [port] = processes.free_ports(1)
    options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "''", "lc_messages": "C.UTF-8"}
    words = " ".join(f"-c {name}={value}" for name, value in (options | {"fsync": "off"} | settings).items())
    with _folder("irctl-russian-") as folder:
        _run("initdb", "-D", "data", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync", cwd=folder)
        try:
            _run("pg_ctl", "start", "-s", "-w", "-D", "data", "-l", "log", "-o", words, cwd=folder)
            with psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True) as session:
                session.execute("CREATE ROLE ops LOGIN IN ROLE pg_read_all_stats, pg_signal_backend")
            yield port
        finally:
            with suppress(subprocess.CalledProcessError):
                _run("pg_ctl", "stop", "-s", "-m", "immediate", "-D", "data", cwd=folder)


def _run(program: str, *words: str, cwd: Path) -> None:
    """LANGUAGE chooses the language of messages wherever the locale is not plain C."""
    environment = {"PATH": "/usr/bin:/bin", "LANGUAGE": "ru", "LC_ALL": "C.UTF-8"}
    command = [str(DEBIAN[-1] / program), *words]
    subprocess.run(command, cwd=cwd, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **NOBODY)


@contextmanager
def pgbouncer(server: int, setting: str = "") -> Iterator[int]:
    """The port of a PgBouncer before the server of that port."""
    [port] = processes.free_ports(1)
    with _folder("irctl-pooler-") as folder:
        config = folder / "pgbouncer.ini"
        config.write_text(POOLER.format(server=server, port=port, setting=setting))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(["pgbouncer", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **NOBODY)
        try:
            _wait_for(port, process, folder / "log")
            yield port
        finally:
            process.kill()
            process.wait()


@contextmanager
def _folder(prefix: str) -> Iterator[Path]:
    """A folder of the servers' user, in a place that it can reach."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/var/tmp"))
    try:
        if NOBODY:
            shutil.chown(folder, NOBODY["user"], NOBODY["group"])
        yield folder
    finally:
        shutil.rmtree(folder)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + processes.SECONDS
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        time.sleep(0.02)
    raise processes.NotStarted(log.read_text(errors="replace")[-2000:])
