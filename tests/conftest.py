"""What all tests share: the irctl command as a user runs it, and a real PostgreSQL with sessions of every kind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from irctl.lab.postgres import Postgres
from tests.schemas import require_valid

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # what nohup has these tests ignore, the commands that they start would ignore too

pytest_plugins = ["tests.schedule", "tests.timings"]
ROOT = Path(__file__).resolve().parent.parent
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted, which needs root")
PATIENCE = 6  # how much slower than on a quiet machine things may be
OLD = 5.3  # seconds; a little over the shortest --idle-for


@dataclass(frozen=True)
class Done:
    """How one irctl command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        require_valid(found)
        return found

    def host(self, name: str = "lab") -> dict[str, Any]:
        found: dict[str, Any] = self.json["hosts"][name]
        return found


@dataclass
class Irctl:
    """Runs the command as a process of its own, with a home and an inventory of its own."""

    home: Path
    inventory: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        return self._start(["-m", "irctl", *words], environment)

    def python(self, script: str) -> Done:
        """Run Python code in the command's own surroundings."""
        process = self._start(["-c", script], {})
        out, err = process.communicate(timeout=60 * PATIENCE)
        return Done(process.returncode, out, err)

    def surroundings(self, **environment: str) -> dict[str, str]:
        """The whole environment of a command."""
        settings = {"IRCTL_HOME": str(self.home), "IRCTL_INVENTORY": str(self.inventory), "IRCTL_CONFIG": ""}
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "USER") if name in os.environ}
        return {**kept, **settings, **self.environment, **environment}

    def _start(self, words: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *words],
            env=self.surroundings(**environment),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.home.parent,
        )  # fmt: skip

    def __call__(self, *words: str, **environment: str) -> Done:
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=60 * PATIENCE)
        return Done(process.returncode, out, err)

    def mend(self, *words: str, host: str = "lab") -> Done:
        """remediate db-connections --host HOST --json WORDS..."""
        return self("remediate", "db-connections", "--host", host, "--json", *words)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real PostgreSQL for the whole session of this worker."""
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    server.start({"wal_level": "logical", "max_prepared_transactions": "5"})
    yield server
    server.stop()


def host_of(server: Postgres, **more: Any) -> dict[str, Any]:
    """The inventory variables that lead to a server."""
    reach = {"ansible_connection": "local", "irctl_drills": "allowed", "postgres_host": "127.0.0.1", "postgres_user": "ops"}
    where = {"postgres_port": server.port, "postgres_passfile": str(server.passfile), "db_connections_idle_for": "5s"}
    return reach | where | more


def write_inventory(folder: Path, hosts: dict[str, dict[str, Any]], **groups: list[str]) -> Path:
    """Write an inventory file with these hosts and groups; return its path."""
    tree: dict[str, Any] = {
        "all": {"hosts": hosts, "children": {name: {"hosts": dict.fromkeys(of)} for name, of in groups.items()}}
    }
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture
def irctl(tmp_path: Path, server: Postgres) -> Irctl:
    """The command, with host `lab` leading to the server."""
    return Irctl(tmp_path / "home", write_inventory(tmp_path, {"lab": host_of(server)}, prod=["lab"]))


class Sessions:
    """Opens sessions on a server for one test, and says which of them live."""

    def __init__(self, server: Postgres, stack: ExitStack) -> None:
        self._server, self._stack = server, stack

    def open(
        self,
        number: int = 1,
        *statements: str,
        user: str = "ops",
        database: str = "postgres",
        application: str = "web",
        **more: Any,
    ) -> list[psycopg.Connection]:
        opened = []
        for _ in range(number):
            session = psycopg.connect(
                self._server.address(user, database), application_name=application, autocommit=True, connect_timeout=5, **more
            )
            for statement in statements or ("SELECT 1",):
                session.execute(statement.encode())
            opened.append(self.keep(session))
        return opened

    def keep(self, session: psycopg.Connection) -> psycopg.Connection:
        """Close it when the test is over."""
        self._stack.callback(session.close)
        return session

    def grow_old(self) -> None:
        time.sleep(OLD)

    @contextmanager
    def in_use(self, sessions: list[psycopg.Connection]) -> Iterator[None]:
        """Use these sessions again and again meanwhile, so that none of them is idle for long."""
        done = threading.Event()

        def use() -> None:
            while not done.wait(0.5):
                for session in sessions:
                    session.execute("SELECT 1")

        user = threading.Thread(target=use)
        user.start()
        try:
            yield
        finally:
            done.set()
            user.join()

    @contextmanager
    def at_work(self, session: psycopg.Connection, statement: str = "SELECT pg_sleep(3600)") -> Iterator[None]:
        """Have a session carry out a long statement meanwhile."""

        def work() -> None:
            with suppress(psycopg.errors.QueryCanceled):
                session.execute(statement.encode())

        worker = threading.Thread(target=work)
        worker.start()
        try:
            yield
        finally:
            session.cancel()
            worker.join()

    def alive(self, sessions: list[psycopg.Connection]) -> int:
        pids = [session.info.backend_pid for session in sessions]
        return int(self.ask("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", pids))

    def ask(self, statement: str, *values: Any) -> Any:
        """Run one statement as the superuser and return its one value."""
        with psycopg.connect(self._server.address("postgres"), autocommit=True, application_name="test") as session:
            cursor = session.execute(statement.encode(), values or None)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None


@pytest.fixture
def sessions(server: Postgres) -> Iterator[Sessions]:
    with ExitStack() as stack:
        yield Sessions(server, stack)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], Any], float], Any]:
    """Call something until it is true, at most so many seconds; PATIENCE times as many, because others may be busy here.

    Looking may itself take processor time, from those that are waited for: no more than a fifth of the wait is spent on it.
    """

    def wait(is_so: Callable[[], Any], most: float = 10.0) -> Any:
        until = time.monotonic() + most * PATIENCE
        while (begun := time.monotonic()) < until:
            if found := is_so():
                return found
            time.sleep(max(0.02, min(1.0, 4 * (time.monotonic() - begun))))
        raise AssertionError("it did not come about in time")

    return wait
