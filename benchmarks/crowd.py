"""A real PostgreSQL, and crowds of sessions on it that are idle for long enough to be ended."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import yaml

from benchmarks.measure import IRCTL, command
from irctl.lab.postgres import Postgres

OLD = 5.2  # seconds; the shortest --idle-for is 5s
OPENERS = 8
# The crowd's own role, whose password costs one round of hashing: thousands of sessions are opened, and none is measured.
CLIENT = ("SET scram_iterations = 1", "CREATE ROLE client LOGIN PASSWORD 'client'")


@dataclass
class Crowd:
    """Opens idle sessions under an application's name, and counts those that live."""

    server: Postgres
    folder: Path
    _open: list[psycopg.Connection] = field(default_factory=list)

    def gather(self, applications: Iterable[str]) -> None:
        """Open one session for each name, all at once, and wait until they are old enough."""
        self.disperse()
        with ThreadPoolExecutor(OPENERS) as pool:
            self._open = list(pool.map(self._session, applications))
        time.sleep(OLD)

    def disperse(self) -> None:
        for session in self._open:
            with suppress(psycopg.Error):
                session.close()
        self._open = []

    def must_be_gone(self, application: str) -> None:
        """Wait a little for sessions whose end was ordered. Raises AssertionError where some of them stay."""
        until = time.monotonic() + 10
        while (left := self.living(application)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not left, f"{left} sessions of {application} were not ended"

    def living(self, application: str) -> int:
        """How many sessions have a name that begins so."""
        statement = "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, %s)"
        with psycopg.connect(self.server.address("postgres"), autocommit=True) as session:
            row = session.execute(statement, [application]).fetchone()
        return int(row[0]) if row else 0

    def password(self, user: str) -> str:
        lines = (line.split(":") for line in self.server.passfile.read_text().splitlines())
        return next(line[4] for line in lines if line[3] == user)

    def inventory(self, name: str, hosts: dict[str, dict[str, Any]]) -> Path:
        """Write a folder with hosts that all lead to this server."""
        reach = {"ansible_connection": "local", "postgres_host": "127.0.0.1", "postgres_port": self.server.port}
        how = {"postgres_user": "ops", "postgres_passfile": str(self.server.passfile), "db_connections_idle_for": "5s"}
        path = self.folder / f"{name}.yml"
        path.write_text(yaml.safe_dump({"fleet": {"hosts": hosts, "vars": reach | how}}))
        return path

    def remediation(self, host: str, applications: dict[str, str], *more: str) -> Callable[[], None]:
        """What runs `irctl remediate db-connections` on these hosts, each ending the idle sessions of its application."""
        hosts = {name: {"db_connections_application": [application]} for name, application in applications.items()}
        where = ("--inventory", self.inventory("ours", hosts), "--home", self.folder / "home")
        return command(IRCTL, "remediate", "db-connections", "--host", host, *where, *more)

    def _session(self, application: str) -> psycopg.Connection:
        address = f"host=127.0.0.1 port={self.server.port} user=client password=client dbname=postgres"
        session = psycopg.connect(address, application_name=application, autocommit=True, connect_timeout=30)
        session.execute("SELECT 1")
        return session


@contextmanager
def crowd(max_connections: int) -> Iterator[Crowd]:
    """Yield a crowd on a server of its own, and remove both."""
    with tempfile.TemporaryDirectory(prefix="irctl-bench-") as folder:
        server = Postgres(Path(folder) / "postgres")
        try:
            server.start({"max_connections": str(max_connections)})
            with psycopg.connect(server.address("postgres"), autocommit=True) as session:
                for statement in CLIENT:
                    session.execute(statement.encode())
            found = Crowd(server, Path(folder))
            yield found
            found.disperse()
        finally:
            server.stop()
