"""Why a connection to PostgreSQL did not come about, by its SQLSTATE: the words are in the language of the server.

Neither psycopg nor psql tells the SQLSTATE of a refused connection. libpq does where it is asked to say codes and not words.
"""

from __future__ import annotations

import ctypes
import re
import select
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

TOO_MANY_CONNECTIONS, CANNOT_CONNECT_NOW, PROTOCOL_VIOLATION = "53300", "57P03", "08P01"
_SQLSTATE = re.compile(rb":  ([0-9A-Z]{5})$", re.MULTILINE)
_ONLY_SQLSTATE = 3  # PQERRORS_SQLSTATE
_STARTED, _OK = 2, 0  # of ConnStatusType: waiting for the network; connected
_FAILED, _READING, _WRITING = 0, 1, 2  # of PostgresPollingStatusType
_LIBRARIES = ("psycopg_binary.pq", "psycopg_c.pq")  # each is linked with the libpq that psycopg uses


class Attempt(NamedTuple):
    """One attempt to connect. `code` is the SQLSTATE, '' where no server said one; `reached` that the network led somewhere."""

    code: str
    needs_password: bool = False
    reached: bool = False
    connected: bool = False


def reason(settings: Mapping[str, str], message: str, seconds: float) -> Failure:
    """Say why libpq's `message` came instead of a connection; a second attempt within `seconds` tells the code."""
    library = _libpq()
    return explained(message, attempt(library, settings, seconds) if library else None)


def explained(message: str, attempt: Attempt | None) -> Failure:
    """Turn libpq's words and the code of an attempt, None where there is no code to be had, into an error. Pure."""
    text = printable(" ".join(message.split()), 300)
    if attempt is None:
        return Failure(f"The connection to PostgreSQL did not come about: {text}")
    if attempt.connected:
        return Failure(f"PostgreSQL refused a connection and took another one a moment later; run it again. It said: {text}")
    if attempt.needs_password:
        return Failure(f"PostgreSQL asks for a password and there is none: name a file of mode 0600 in postgres_passfile ({text})")
    if attempt.code == TOO_MANY_CONNECTIONS:
        return Failure(
            f"Every connection slot that this role may use is taken ({text}). "
            "Connect as a role with reserved slots: a superuser, or a member of pg_use_reserved_connections (PostgreSQL 16); "
            "or raise the CONNECTION LIMIT, where the role or the database has one."
        )
    if attempt.code == PROTOCOL_VIOLATION:
        return pooler(text)
    if attempt.code and attempt.code != CANNOT_CONNECT_NOW:
        return Failure(f"PostgreSQL refused the connection: {text}")
    if attempt.reached and not attempt.code:
        return Unreachable(f"Something answers there, and no connection to PostgreSQL came about: {text}")
    return Unreachable(f"PostgreSQL does not answer: {text}")


def pooler(text: str) -> Failure:
    """The error for a port that leads to a connection pooler, with what showed it. Pure."""
    return Failure(f"This is the port of a connection pooler; name PostgreSQL's own host and port in the inventory ({text}).")


def attempt(library: Any, settings: Mapping[str, str], seconds: float) -> Attempt:
    """Try to connect with libpq's settings and close again at once."""
    names = (ctypes.c_char_p * (len(settings) + 1))(*(name.encode() for name in settings), None)
    contents = (ctypes.c_char_p * (len(settings) + 1))(*(value.encode() for value in settings.values()), None)
    connection = ctypes.c_void_p(library.PQconnectStartParams(names, contents, 0))
    try:
        library.PQsetErrorVerbosity(connection, _ONLY_SQLSTATE)
        reached = _wait(library, connection, time.monotonic() + seconds)
        codes = _SQLSTATE.findall(library.PQerrorMessage(connection))
        code = codes[-1].decode() if codes else ""
        needs_password = bool(library.PQconnectionNeedsPassword(connection))
        return Attempt(code, needs_password, reached, library.PQstatus(connection) == _OK)
    finally:
        library.PQfinish(connection)


def _wait(library: Any, connection: ctypes.c_void_p, deadline: float) -> bool:
    """Carry the attempt to its end or the deadline; return whether it came farther than the network, and ended by itself."""
    farther, state = False, _WRITING
    while state in (_READING, _WRITING):
        sockets, remaining = [library.PQsocket(connection)], deadline - time.monotonic()
        if sockets == [-1] or remaining <= 0:
            return False
        readable, writable = (sockets, []) if state == _READING else ([], sockets)
        select.select(readable, writable, [], remaining)
        state = library.PQconnectPoll(connection)
        farther = farther or library.PQstatus(connection) > _STARTED
    return farther


def _libpq() -> Any:
    """libpq as psycopg or psql use it, ready to be called; None where it cannot be loaded."""
    linked = [path for name in _LIBRARIES if (path := getattr(sys.modules.get(name), "__file__", None))]
    for path in [*linked, "libpq.so.5"]:
        try:
            return _declared(ctypes.CDLL(path))
        except (OSError, AttributeError):
            continue
    return None


def _declared(library: Any) -> Any:
    """Tell ctypes the types of the functions that are called. Raises AttributeError where one is missing."""
    library.PQconnectStartParams.restype = ctypes.c_void_p
    library.PQerrorMessage.restype = ctypes.c_char_p
    for name in ("PQsetErrorVerbosity", "PQsocket", "PQconnectPoll", "PQstatus", "PQconnectionNeedsPassword", "PQfinish"):
        getattr(library, name)
    return library
