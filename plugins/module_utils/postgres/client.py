"""One way to ask PostgreSQL for one JSON value, over psycopg where it is installed and over psql where it is not."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

try:
    import psycopg
except ImportError:  # a target that only has psql
    psycopg = None  # type: ignore[assignment]

LOCK = 0x697263746C  # 'irctl': the advisory lock of whoever changes something; waited for as long as lock_timeout says
CONNECT_SECONDS = 5
PSQL_SECONDS = 60  # above the statement timeout, so that PostgreSQL's own word comes first
SESSION_OPTIONS = "-c statement_timeout=30s -c lock_timeout=5s -c timezone=UTC -c standard_conforming_strings=on"

NAMES = ("host", "port", "user", "dbname", "passfile", "sslmode")  # libpq's own, each after postgres_ as a parameter


class Server(Protocol):
    """A connection to one PostgreSQL server."""

    def ask(self, sql: str, given: Mapping[str, Any]) -> Any:
        """Run one statement whose only parameter, $1, is `given` as JSON; return the one JSON value. Raises Failure."""

    def execute(self, sql: str) -> None:
        """Run statements that take no parameters, all or none, also where a session may only read by default. Raises Failure."""

    def hold(self) -> None:
        """Keep every other irctl from changing anything through this database while the connection lasts.

        Only a connection that lasts can: psql's sessions hold nothing. Raises Failure where another irctl is at it.
        """

    def __enter__(self) -> Server: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def connect(params: Mapping[str, Any]) -> Server:
    """Open the server that the `postgres_*` settings name. Raises Unreachable or Failure."""
    _check_passfile(params.get("postgres_passfile"))
    return OverPsycopg(params) if psycopg else OverPsql(params)


def _check_passfile(path: str | None) -> None:
    if not path:
        return
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise Failure(f"postgres_passfile {printable(path)} cannot be read: {error.strerror}.") from None
    if stat.S_IMODE(mode) & 0o077:
        raise Failure(f"postgres_passfile {printable(path)} is open to others (mode {stat.S_IMODE(mode):04o}); make it 0600.")


def libpq_settings(params: Mapping[str, Any]) -> dict[str, str]:
    """The settings of a connection by libpq's own names; what is unset stays libpq's choice."""
    settings = {name: params.get(f"postgres_{name}") for name in NAMES}
    return {name: str(value) for name, value in settings.items() if value not in (None, "")}


def explained(message: str) -> Failure:
    """Turn libpq's words for a connection that did not come about into a Failure or Unreachable. Pure."""
    text = printable(" ".join(message.split()), 300)
    if "remaining connection slots" in text or "too many clients" in text:
        return Failure(
            f"Every connection slot that this role may use is taken ({text}). "
            "Connect as a role with reserved slots: a superuser, or a member of pg_use_reserved_connections (PostgreSQL 16)."
        )
    if "no password supplied" in text:
        return Failure(f"PostgreSQL asks for a password and there is none: name a file of mode 0600 in postgres_passfile ({text})")
    if "FATAL" in text and "starting up" not in text and "shutting down" not in text:
        return Failure(f"PostgreSQL refused the connection: {text}")
    return Unreachable(f"PostgreSQL does not answer: {text}")


def _as_one(sql: str) -> str:
    return f"BEGIN READ WRITE; {sql}; COMMIT"


class OverPsycopg:
    """A Server through psycopg 3, in this process."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        try:
            self._connection = psycopg.connect(
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name="irctl",
                options=SESSION_OPTIONS,
                cursor_factory=psycopg.RawCursor,
                **libpq_settings(params),  # type: ignore[arg-type]
            )
        except psycopg.OperationalError as error:
            raise explained(str(error)) from None

    def ask(self, sql: str, given: Mapping[str, Any]) -> Any:
        try:
            row = self._connection.execute(sql.encode(), [json.dumps(given)]).fetchone()
        except psycopg.Error as error:
            raise Failure(f"PostgreSQL said: {printable(error.diag.message_primary or error, 300)}") from None
        return row[0] if row else None

    def execute(self, sql: str) -> None:
        try:
            self._connection.execute(_as_one(sql).encode())
        except psycopg.Error as error:
            raise Failure(f"PostgreSQL said: {printable(error.diag.message_primary or error, 300)}") from None

    def hold(self) -> None:
        try:
            self._connection.execute(f"SELECT pg_advisory_lock({LOCK})".encode())
        except psycopg.errors.LockNotAvailable:
            raise Failure(
                "Another irctl is changing something on this server just now. Nothing was changed; run it again."
            ) from None
        except psycopg.Error as error:
            raise Failure(f"PostgreSQL said: {printable(error.diag.message_primary or error, 300)}") from None

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()


class OverPsql:
    """A Server through the psql program: one short session for each statement, values as a psql variable."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        program = shutil.which("psql")
        if not program:
            raise Failure("Neither psycopg nor psql is on this host. Install postgresql-client (Debian) or psycopg.")
        self._command = [program, "-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        settings = {f"PG{'DATABASE' if key == 'dbname' else key.upper()}": value for key, value in libpq_settings(params).items()}
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PG")},
            **settings,
            "PGCONNECT_TIMEOUT": str(CONNECT_SECONDS),
            "PGOPTIONS": SESSION_OPTIONS,
            "PGAPPNAME": "irctl",
            "PGCLIENTENCODING": "UTF8",
        }

    def ask(self, sql: str, given: Mapping[str, Any]) -> Any:
        return json.loads(self._run(sql.replace("$1", ":'given'"), "-v", f"given={json.dumps(given)}"))

    def execute(self, sql: str) -> None:
        self._run(_as_one(sql))

    def hold(self) -> None:
        return None

    def _run(self, script: str, *words: str) -> bytes:
        try:
            done = subprocess.run(
                [*self._command, *words],
                input=script.encode(),
                capture_output=True,
                env=self._environment,
                timeout=PSQL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failure(f"psql did not end within {PSQL_SECONDS} s.") from None
        said = done.stderr.decode("utf-8", "replace")
        if done.returncode == 2:
            raise explained(said)
        if done.returncode:
            raise Failure(f"PostgreSQL said: {printable(' '.join(said.split()), 300)}")
        return done.stdout

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None
