"""Debian's PostgreSQL where its language matters, and PgBouncer before a server; both on loopback, below folders."""

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
    folder = Path(tempfile.mkdtemp(prefix="irctl-russian-", dir="/var/tmp"))
    shutil.chown(folder, NOBODY.get("user"), NOBODY.get("group"))
    options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "''", "lc_messages": "C.UTF-8"}
    words = " ".join(f"-c {name}={value}" for name, value in (options | {"fsync": "off"} | settings).items())
    try:
        _run("initdb", "-D", "data", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync", cwd=folder)
        _run("pg_ctl", "start", "-s", "-w", "-D", "data", "-l", "log", "-o", words, cwd=folder)
        with psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True) as session:
            session.execute("CREATE ROLE ops LOGIN IN ROLE pg_read_all_stats, pg_signal_backend")
        yield port
    finally:
        with suppress(subprocess.CalledProcessError):
            _run("pg_ctl", "stop", "-s", "-m", "immediate", "-D", "data", cwd=folder)
        shutil.rmtree(folder)


def _run(program: str, *words: str, cwd: Path) -> None:
    """LANGUAGE chooses the language of messages wherever the locale is not plain C."""
    environment = {"PATH": "/usr/bin:/bin", "LANGUAGE": "ru", "LC_ALL": "C.UTF-8"}
    command = [str(DEBIAN[-1] / program), *words]
    subprocess.run(command, cwd=cwd, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **NOBODY)


@contextmanager
def pgbouncer(folder: Path, server: int, setting: str = "") -> Iterator[int]:
    """The port of a PgBouncer before the server of that port."""
    folder.mkdir()
    [port] = processes.free_ports(1)
    config = folder / "pgbouncer.ini"
    config.write_text(POOLER.format(server=server, port=port, setting=setting))
    for path in (*folder.parents[:3], folder, config):
        path.chmod(path.stat().st_mode | 0o055)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["pgbouncer", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **NOBODY)
    try:
        _wait_for(port, process, folder / "log")
        yield port
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + processes.SECONDS
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        time.sleep(0.02)
    raise processes.NotStarted(log.read_text(errors="replace")[-2000:])
