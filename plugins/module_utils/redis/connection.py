"""One connection to one Redis or Valkey server, from settings of the inventory alone; refusals are told by their codes."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeAlias

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

try:  # once, and not anew in each task's process: it takes as long as a scan
    from redis import connection, exceptions
except ImportError:
    connection = exceptions = None  # type: ignore[assignment]

CONNECT_SECONDS = 5
READ_SECONDS = 30  # for one answer
LONGEST_PASSWORD = 4096  # bytes

Command: TypeAlias = "tuple[bytes | str | int, ...]"

# redis-py takes the code off the message and makes a class of it.
_CODES = {
    "AuthenticationError": "NOAUTH",
    "NoPermissionError": "NOPERM",
    "ReadOnlyError": "READONLY",
    "MovedError": "MOVED",
    "AskError": "ASK",
    "TryAgainError": "TRYAGAIN",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "BusyLoadingError": "LOADING",
}


class CommandRefused(Failure):
    """The server answered a command with an error. `code` is the error's first word, such as NOPERM or ERR."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"Redis said: {printable(message, 300)}")
        self.code, self.message = code, message


class ConnectionLost(Failure):
    """The connection ended in the middle of a question or its answer."""


class Server:
    """A connection to one server. It is never made again by itself, or a scan would go on with its cursor at another server."""

    def __init__(self, params: Mapping[str, Any], host: str = "", port: int = 0) -> None:
        """Connect and log in, to the host and port of the settings unless others are given. Raises Unreachable, Failure."""
        self.host, self.port = host or str(params["redis_host"]), port or int(params["redis_port"])
        self._connection = _opened(params, self.host, self.port, self.address)

    @property
    def address(self) -> str:
        """Where it is, as a sentence names it."""
        if self.host.startswith("/"):
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def ask(self, *words: bytes | str | int) -> Any:
        """Carry out one command and return its answer, text as bytes. Raises CommandRefused or ConnectionLost."""
        [answer] = self.answers([words])
        if isinstance(answer, CommandRefused):
            raise answer
        return answer

    def answers(self, commands: Sequence[Command]) -> list[Any]:
        """Carry out several commands in one journey; an answer for each, a CommandRefused where it is an error.

        Raises ConnectionLost, and then nobody knows which of them were carried out.
        """
        try:
            self._connection.send_packed_command(self._connection.pack_commands(commands))
            return [self._answer() for _command in commands]
        except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
            self.close()
            raise ConnectionLost(f"The connection to Redis at {self.address} was lost: {printable(error, 200)}") from None

    def _answer(self) -> Any:
        try:
            return self._connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except (exceptions.BusyLoadingError, exceptions.AuthenticationError) as error:  # to redis-py errors of the connection
            return _refused(error)
        except exceptions.ResponseError as error:
            return _refused(error)

    def close(self) -> None:
        self._connection.disconnect()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _refused(error: Exception) -> CommandRefused:
    message = str(error)
    first = message.partition(" ")[0]
    code = _CODES.get(type(error).__name__) or (first if first.isalpha() and first.isupper() else "ERR")
    return CommandRefused(code, message)


def _opened(params: Mapping[str, Any], host: str, port: int, address: str) -> Any:
    """A connection that has logged in. Raises Unreachable or Failure."""
    if connection is None:
        raise Failure("redis-py is not installed where this runs; install it with: pip install redis.")
    settings = _settings(params)
    kinds: Any = connection
    if host.startswith("/"):
        made = kinds.UnixDomainSocketConnection(path=host, **settings)
    elif params["redis_tls"]:
        made = kinds.SSLConnection(host=host, port=port, **settings, **_tls(params))
    else:
        made = kinds.Connection(host=host, port=port, **settings)
    try:
        made.connect()
    except exceptions.AuthenticationError as error:
        raise Failure(f"Redis at {address} refused the login: {printable(error, 200)}") from None
    except exceptions.BusyLoadingError as error:
        raise Unreachable(f"Redis at {address} is loading its data: {printable(error, 200)}") from None
    except exceptions.ResponseError as error:
        raise Failure(f"Redis at {address} refused the connection: {printable(error, 200)}") from None
    except (exceptions.RedisError, OSError) as error:
        raise Unreachable(f"Redis at {address} does not answer: {printable(error, 200)}") from None
    return made


def _settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """What redis-py is told for any kind of connection. Raises Failure."""
    username, password_file = params.get("redis_username"), params.get("redis_password_file")
    if username and not password_file:
        raise Failure("redis_username is set and redis_password_file is not, so nobody could log in as that user.")
    return {
        "db": params["redis_db"],
        "username": username or None,
        "password": _password(password_file) if password_file else None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": READ_SECONDS,
        "protocol": 2,
        "retry": None,
    }


def _tls(params: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of TLS. Raises Failure where the key is open to others."""
    if key := params.get("redis_key_file"):
        _require_private("redis_key_file", key)
    return {
        "ssl_ca_certs": params.get("redis_ca_file") or None,
        "ssl_certfile": params.get("redis_certificate_file") or None,
        "ssl_keyfile": key or None,
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
    }


def _require_private(setting: str, path: str) -> None:
    """Raises Failure where others may read a secret file."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError as error:
        raise Failure(f"{setting} {printable(path)} cannot be read: {error.strerror}.") from None
    if mode & 0o077:
        raise Failure(f"{setting} {printable(path)} is open to others (mode {mode:04o}); make it 0600.")


def _password(path: str) -> str:
    """The first line of a file. Raises Failure."""
    _require_private("redis_password_file", path)
    try:
        with open(path, "rb") as file:
            line = file.read(LONGEST_PASSWORD).split(b"\n")[0].decode()
    except (OSError, ValueError):
        raise Failure(f"redis_password_file {printable(path)} cannot be read as text.") from None
    if not line:
        raise Failure(f"redis_password_file {printable(path)} has no password in its first line.")
    return line
