"""Dumps of a database: made by pg_dump as a stream, and read through again to the end, each row counted.

A list of its contents says nothing about a dump: that of one which was cut is whole.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import libpq_settings
from ansible_collections.irctl.runbooks.plugins.module_utils.programs import PATH, pipe
from ansible_collections.irctl.runbooks.plugins.module_utils.values import printable

PIECE = 1 << 20
END_MARK = b"-- PostgreSQL database dump complete"
_NAME = rb'(?:"(?:[^"]|"")*"|[^\s"(.]+)'
_COPY = re.compile(rb"COPY (%s)\.(%s) .*FROM stdin;$" % (_NAME, _NAME))
_VERSION = re.compile(r"\(PostgreSQL\) ([0-9]+)")


def program(name: str, folder: str | None) -> str:
    """Where a program lies: in the folder, or where programs lie. Raises Failure where it does not."""
    path = f"{os.environ.get('PATH', '')}:{PATH}"
    found = shutil.which(name, path=folder or path)
    if not found:
        where = f"in {printable(folder)}" if folder else "on this host"
        raise Failure(f"{name} is not {where}. Install postgresql-client (Debian), or name its folder in db_snapshot_programs.")
    return found


def major(path: str) -> int:
    """Of which PostgreSQL a program is. Raises Failure."""
    found = _VERSION.search(_output([path, "--version"]))
    if not found:
        raise Failure(f"{printable(path)} does not say of which PostgreSQL it is.")
    return int(found[1])


def environment(params: Mapping[str, Any]) -> dict[str, str]:
    """How a program of PostgreSQL reaches the server: by the settings of the inventory, and by nothing of the caller's."""
    settings = libpq_settings(params)
    named = {f"PG{'DATABASE' if key == 'dbname' else key.upper()}": value for key, value in settings.items()}
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return {**ours, **named, "PGCONNECT_TIMEOUT": "5", "PGAPPNAME": "irctl", "LC_ALL": "C"}


def command(path: str, form: str, wait_seconds: int, snapshot: str) -> list[str]:
    """pg_dump's words: everything as one moment saw it, in one format, waiting for locks so long and no longer."""
    moment = [f"--snapshot={snapshot}"] if snapshot else []
    return [path, "--no-password", f"--format={form}", f"--lock-wait-timeout={wait_seconds * 1000}", *moment]


@contextmanager
def running(words: Sequence[str], surroundings: Mapping[str, str]) -> Iterator[IO[bytes]]:
    """A program whose output the caller reads to its end. It never outlives this. Raises Failure where it does not end well."""
    name = os.path.basename(words[0])
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=dict(surroundings)
            )
        except OSError as error:
            raise Failure(f"{name} cannot be started: {error.strerror}.") from None
        with process:
            try:
                yield pipe(process.stdout)
                code = process.wait()
            except BaseException:
                process.kill()
                raise
        if code:
            errors.seek(0)
            said = errors.read(4096).decode(errors="replace").strip().splitlines() or ["nothing"]
            raise Failure(f"{name} ended with {code}: {printable(said[0], 300)}")


def pieces(output: IO[bytes]) -> Iterator[bytes]:
    """What a program prints, in pieces."""
    while piece := output.read(PIECE):
        yield piece


def restored(path: str, program_path: str) -> dict[str, int]:
    """The rows of each table of a dump in pg_dump's own format, read through to its end. Raises Failure where it cannot be read."""
    with running([program_path, "--file=-", path], {**os.environ, "LC_ALL": "C"}) as output:
        return rows(output)[0]


def plain(path: str) -> dict[str, int]:
    """The rows of each table of a dump in SQL. Raises Failure where its end is missing."""
    with open(path, "rb") as file:
        counted, ended = rows(file)
    if not ended:
        raise Failure("The dump has no end: the line with which pg_dump ends it is missing.")
    return counted


def rows(lines: Iterable[bytes]) -> tuple[dict[str, int], bool]:
    """How many rows each table gets, as SCHEMA.TABLE with a dot between, and whether the mark of the end came. Pure."""
    counted: dict[str, int] = {}
    table, ended = "", False
    for line in lines:
        if table:
            if line.rstrip(b"\r\n") == b"\\.":
                table = ""
            else:
                counted[table] += 1
        elif (copy := _COPY.match(line)) is not None:
            table = f"{_unquoted(copy[1])}.{_unquoted(copy[2])}"
            counted[table] = 0
        elif line.startswith(END_MARK):
            ended = True
    if table:
        raise Failure(f"The dump ends within the rows of {printable(table)}.")
    return counted, ended


def differences(dumped: Mapping[str, int], there: Mapping[str, int]) -> list[str]:
    """Each table whose rows in the dump are not those that were counted in the same moment, as a sentence. Pure."""
    return [
        f"{printable(table)} had {number} rows and the dump has {dumped.get(table, 'no such table')}."
        for table, number in sorted(there.items())
        if dumped.get(table) != number
    ]


def _unquoted(name: bytes) -> str:
    text = name.decode("utf-8", "backslashreplace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _output(words: Sequence[str]) -> str:
    with running(words, {**os.environ, "LC_ALL": "C"}) as output:
        return output.read().decode(errors="replace")
