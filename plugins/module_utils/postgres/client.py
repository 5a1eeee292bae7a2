"""One way to ask PostgreSQL for one JSON value, over psycopg where it is installed and over psql where it is not."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Protocol

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import encodings, refused_connection
from ansible_collections.irctl.runbooks.plugins.module_utils.values import database_name, printable

try:
    import psycopg
except ImportError:  # a target that only has psql
    psycopg = None  # type: ignore[assignment]

_CONNECTED = "\\echo connected\n"  # psql's first word to itself, so that a refused connection is told from a lost one
LOCK = 0x697263746C  # 'irctl': the advisory lock of whoever changes something; waited for as long as lock_timeout says
CONNECT_SECONDS = 5
PSQL_SECONDS = 60  # above the statement timeout, so that PostgreSQL's own word comes first
STATEMENT_TIMEOUT = "30s"
SEARCH_PATH = "pg_catalog"
SESSION_OPTIONS = (
    f"-c statement_timeout={STATEMENT_TIMEOUT} -c lock_timeout=5s -c timezone=UTC -c standard_conforming_strings=on"
    " -c client_encoding=SQL_ASCII"  # so nothing is converted, and no text of another session can fail to be
    f" -c search_path={SEARCH_PATH}"  # the owner of a database may set another one, in which every name here is a trap
    " -c jit=off"  # the planner takes the system's views for large: to compile a statement took 5 s, to run it 0.04 s
    " -c synchronous_commit=local"  # a commit that waits for a lost standby waits for ever, and heeds no statement_timeout
)
_INTRODUCTION = """SELECT json_build_object('pid', pg_backend_pid(), 'timeout', current_setting('statement_timeout'),
  'search_path', current_setting('search_path'), 'encoding', getdatabaseencoding()) WHERE $1::text IS NOT NULL"""

# Of PostgreSQL 14 and 17. Those of a role, a database or the server would end irctl's session between two statements, or in one.
_TIME_LIMITS = "('idle_session_timeout', 'transaction_timeout')"
_NO_TIME_LIMITS = f"SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN {_TIME_LIMITS}"

NAMES = ("host", "port", "user", "dbname", "passfile", "sslmode")  # libpq's own, each after postgres_ as a parameter


class WaitedInVain(Failure):
    """Others held what a statement needs for longer than it was to wait."""


class Server(Protocol):
    """A connection to one PostgreSQL server. `lasts` says whether it is one session, or one for each statement."""

    lasts: bool

    def ask(self, sql: str, given: Mapping[str, Any]) -> Any:
        """Run one statement whose only parameter, $1, is `given` as JSON; return the one JSON value. Raises Failure."""

    def execute(self, sql: str) -> None:
        """Run statements that take no parameters, all or none, also where a session may only read by default. Raises Failure."""

    def alone(self, sql: str, wait: float) -> None:
        """Run one statement outside of a transaction, for as long as it works; it waits for others up to `wait` seconds at a time.

        It ends when this process does, as far as the server knows how to. A lost standby is not waited for. Raises WaitedInVain
        where others did not let it go on in time, else Failure.
        """

    def introduce(self) -> None:
        """Check that this is PostgreSQL itself, and learn its encoding. Raises Failure where it is a pooler."""

    def hold(self) -> None:
        """Keep every other irctl from changing anything through this database while the connection lasts.

        Only a connection that lasts can: psql's sessions hold nothing. Raises Failure where another irctl is at it.
        """

    def __enter__(self) -> Server: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def connect(params: Mapping[str, Any]) -> Server:
    """Open the server that the `postgres_*` settings name. Raises Unreachable or Failure, also where a pooler is in between."""
    for name in ("user", "dbname"):
        _check_name(f"postgres_{name}", params.get(f"postgres_{name}"))
    _check_passfile(params.get("postgres_passfile"))
    with ExitStack() as closed_on_failure:
        server = closed_on_failure.enter_context(OverPsycopg(params) if psycopg else OverPsql(params))
        server.introduce()
        closed_on_failure.pop_all()
        return server


def _check_name(setting: str, value: str | None) -> None:
    """Raises Failure, without the value, where libpq might take a password out of it."""
    try:
        if value:
            database_name(value)
    except ValueError as error:
        raise Failure(f"{setting}: {error}.") from None


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


def require_postgres(introduction: Mapping[str, Any], pid: int | None) -> None:
    """Raises Failure where a pooler answers instead of PostgreSQL: it drops options, or names another process. Pure."""
    if (introduction["timeout"], introduction["search_path"]) != (STATEMENT_TIMEOUT, SEARCH_PATH):
        raise refused_connection.pooler("the options of the session do not reach the server")
    if pid is not None and introduction["pid"] != pid:
        raise refused_connection.pooler("the process that serves the session is not the one that the connection was promised")


def _as_one(sql: str) -> str:
    return f"BEGIN READ WRITE; {sql}; COMMIT"


def _unlimited(wait: float) -> list[str]:
    """What lets a session's next statement take its time, but not outlive its client."""
    return [
        "SET statement_timeout = 0",
        f"SET lock_timeout = {max(1, int(wait * 1000))}",
        "SET default_transaction_read_only = off",
        "SET synchronous_commit = local",
        "SELECT set_config(name, '5s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'",
        _NO_TIME_LIMITS,
    ]


_LIMITED = [
    f"RESET {name}" for name in ("statement_timeout", "lock_timeout", "default_transaction_read_only", "synchronous_commit")
]


class OverPsycopg:
    """A Server through psycopg 3, in this process."""

    lasts = True

    def __init__(self, params: Mapping[str, Any]) -> None:
        settings = {
            **libpq_settings(params),
            "application_name": "irctl",
            "options": SESSION_OPTIONS,
            "connect_timeout": str(CONNECT_SECONDS),
        }
        self._encoding = ""
        try:
            self._connection = psycopg.connect(autocommit=True, cursor_factory=psycopg.RawCursor, **settings)  # type: ignore[arg-type]
        except psycopg.errors.ConnectionTimeout as error:  # nobody said anything: a second attempt would only wait as long again
            raise refused_connection.explained(str(error), refused_connection.Attempt("")) from None
        except psycopg.OperationalError as error:
            raise refused_connection.reason(settings, str(error), CONNECT_SECONDS) from None

    def introduce(self) -> None:
        introduction = self.ask(_INTRODUCTION, {})
        require_postgres(introduction, self._connection.info.backend_pid)
        self._encoding = introduction["encoding"]
        self._connection.execute(_NO_TIME_LIMITS.encode())

    def _error(self, error: psycopg.Error) -> Failure:
        """What PostgreSQL said; Unreachable where the connection is gone, so that nobody knows what the last statement did."""
        refused = _refused(error, self._encoding)
        return Unreachable(f"The connection to PostgreSQL was lost. {refused}") if self._connection.closed else refused

    def ask(self, sql: str, given: Mapping[str, Any]) -> Any:
        try:
            result = self._connection.execute(sql.encode(), [encodings.parameter(given, self._encoding)]).pgresult
        except psycopg.Error as error:
            raise self._error(error) from None
        value = result.get_value(0, 0) if result and result.ntuples else None
        return None if value is None else encodings.loaded(value, self._encoding)

    def execute(self, sql: str) -> None:
        try:
            self._connection.execute(_as_one(sql).encode(encodings.codec(self._encoding)))
        except psycopg.Error as error:
            raise self._error(error) from None

    def alone(self, sql: str, wait: float) -> None:
        try:
            for statement in [*_unlimited(wait), sql]:
                self._connection.execute(statement.encode(encodings.codec(self._encoding)))
        except psycopg.errors.LockNotAvailable as error:
            raise WaitedInVain(str(_refused(error, self._encoding))) from None
        except psycopg.Error as error:
            raise self._error(error) from None
        finally:
            with suppress(psycopg.Error):
                for statement in _LIMITED:
                    self._connection.execute(statement.encode())

    def hold(self) -> None:
        try:
            self._connection.execute(f"SELECT pg_advisory_lock({LOCK})".encode())
        except psycopg.errors.LockNotAvailable:
            raise Failure(
                "Another irctl is changing something on this server just now. Nothing was changed; run it again."
            ) from None
        except psycopg.Error as error:
            raise self._error(error) from None

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()


def _refused(error: psycopg.Error, encoding: str) -> Failure:
    """What PostgreSQL said to a statement."""
    primary = error.pgresult.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY) if error.pgresult else None
    return _answered(primary or str(error).encode(), encoding)


def _answered(message: bytes, encoding: str) -> Failure:
    return Failure(f"PostgreSQL said: {printable(encodings.message(message, encoding), 300)}")


class OverPsql:
    """A Server through the psql program: one short session for each statement, values as a psql variable."""

    lasts = False

    def __init__(self, params: Mapping[str, Any]) -> None:
        program = shutil.which("psql")
        if not program:
            raise Failure("Neither psycopg nor psql is on this host. Install postgresql-client (Debian) or psycopg.")
        self._command = [program, "-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        self._settings = libpq_settings(params)
        self._encoding = ""
        named = {f"PG{'DATABASE' if key == 'dbname' else key.upper()}": value for key, value in self._settings.items()}
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PG")},
            **named,
            "PGCONNECT_TIMEOUT": str(CONNECT_SECONDS),
            "PGOPTIONS": SESSION_OPTIONS,
            "PGAPPNAME": "irctl",
            "PGCLIENTENCODING": "SQL_ASCII",
        }

    def introduce(self) -> None:
        introduction = self.ask(_INTRODUCTION, {})
        require_postgres(introduction, None)
        self._encoding = introduction["encoding"]

    def ask(self, sql: str, given: Mapping[str, Any]) -> Any:
        value = self._run(sql.replace("$1", ":'given'"), "-v", f"given={encodings.parameter(given, self._encoding)}").strip()
        return encodings.loaded(value, self._encoding) if value else None

    def execute(self, sql: str) -> None:
        self._run(_as_one(sql))

    def alone(self, sql: str, wait: float) -> None:
        self._run(";\n".join([*_unlimited(wait), sql]), "-v", "VERBOSITY=verbose", seconds=None)

    def hold(self) -> None:
        return None

    def _run(self, script: str, *words: str, seconds: float | None = PSQL_SECONDS) -> bytes:
        """What psql prints for the script. Raises Failure, WaitedInVain or Unreachable."""
        try:
            done = subprocess.run(
                [*self._command, *words],
                input=(_CONNECTED + script).encode(encodings.codec(self._encoding)),
                capture_output=True,
                env=self._environment,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"psql did not end within {PSQL_SECONDS} s.") from None
        connected, _newline, output = done.stdout.partition(b"\n")
        if done.returncode == 2 and not connected:
            options = {"options": SESSION_OPTIONS, "application_name": "irctl"}
            message = encodings.message(done.stderr, self._encoding)
            raise refused_connection.reason({**self._settings, **options}, message, CONNECT_SECONDS)
        answer = _answered(done.stderr, self._encoding)
        if done.returncode == 2:
            raise Unreachable(f"The connection to PostgreSQL was lost. {answer}")
        if done.returncode:
            raise WaitedInVain(str(answer)) if b"  55P03: " in done.stderr else answer
        return output

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None
