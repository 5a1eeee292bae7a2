"""What a diagnosis asks of Redis: cheap commands that switch nothing on, and what became of each question."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.redis import server_info
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.connection import CommandRefused, Server

SLOWEST = 10  # entries of the slow log
SETTINGS = ("maxclients", "slowlog-log-slower-than", "latency-monitor-threshold")


class Slow(NamedTuple):
    """A command that took long. Its arguments are not here: they are values of users."""

    command: str
    at: int  # seconds since 1970
    seconds: float


class Delay(NamedTuple):
    """An event of the server's latency monitor, such as fork, with its last and its longest time."""

    event: str
    at: int  # seconds since 1970
    seconds: float
    longest: float


class Facts(NamedTuple):
    """All that was answered, and why what was not: the error by the question."""

    info: dict[str, str]
    cluster: dict[str, str]
    settings: dict[str, str]
    slow: list[Slow]
    delays: list[Delay]
    now: int  # seconds since 1970, by the server's clock
    unasked: dict[str, str]


def ask(server: Server) -> Facts:
    """Ask everything. Raises Failure where a password is needed or something else than Redis answers, ConnectionLost."""
    settings = [("CONFIG", "GET", name) for name in SETTINGS]
    questions = [("INFO",), ("TIME",), ("SLOWLOG", "GET", SLOWEST), ("LATENCY", "LATEST"), *settings]
    answers = {" ".join(map(str, words)): answer for words, answer in zip(questions, server.answers(questions), strict=True)}
    info = answers["INFO"]
    if isinstance(info, CommandRefused) and info.code == "NOAUTH":
        raise Failure(f"Redis at {server.address} asks for a password; name a file with it in redis_password_file.")
    parsed = {} if isinstance(info, CommandRefused) else server_info.parsed(info)
    if server_info.server_info(parsed).mode == "cluster":
        [answers["CLUSTER INFO"]] = server.answers([("CLUSTER", "INFO")])
    unasked = {question: str(answer) for question, answer in answers.items() if isinstance(answer, CommandRefused)}
    known = {question: answer for question, answer in answers.items() if question not in unasked}
    return _facts(parsed, known, unasked)


def _facts(info: dict[str, str], known: dict[str, Any], unasked: dict[str, str]) -> Facts:
    slow = [Slow(_name(one[3]), one[1], one[2] / 1e6) for one in known.get(f"SLOWLOG GET {SLOWEST}", [])]
    delays = [Delay(_text(one[0]), one[1], one[2] / 1e3, one[3] / 1e3) for one in known.get("LATENCY LATEST", [])]
    settings = {name: _text(pair[1]) for name in SETTINGS if len(pair := known.get(f"CONFIG GET {name}", [])) == 2}
    now = int(known["TIME"][0]) if "TIME" in known else 0
    cluster = server_info.parsed(known.get("CLUSTER INFO", b""))
    return Facts(info, cluster, settings, slow, delays, now, unasked)


def _name(words: list[bytes]) -> str:
    return _text(words[0]).upper() if words else ""


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
