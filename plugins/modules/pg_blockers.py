#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""List the PostgreSQL sessions that block others, describe them for evidence, or cancel and end them."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_blockers
short_description: List, describe or free what PostgreSQL sessions wait for
description:
  - Follows C(pg_blocking_pids) from each session that waits for a lock to the roots, which wait for no lock themselves.
  - Cancels those named in O(among) that are at work, and ends those that take no cancel or still block after O(grace). Each is
    judged again in the statement that hits it, by pid, start and start of its statement.
  - Never touches its own session, superusers, background processes, protected users and applications, sessions that wait for a
    synchronous standby, prepared transactions, and, unless O(advisory), who holds nothing but an advisory lock.
  - Own module, because C(community.postgresql.postgresql_query) acts in check mode, needs a driver on the target and
    cannot tell a session that may be ended from one that may not.
options:
  state:
    description: What to do with the roots. V(listed), V(described) and V(proved) only look; V(proved) fails where somebody waits
      for long enough, or where that cannot be told.
    type: str
    choices: [listed, described, freed, proved]
    default: listed
  among:
    description: The roots to free, each as V(pid/start/start of its statement), as V(state=listed) returned them. With
      V(state=listed) itself, fail where one of them still blocks.
    type: list
    elements: str
  remembered:
    description: Applications that earlier runs have seen on this host, so that their absence is no typing error. An action hands
      them over.
    type: list
    elements: str
    default: []
extends_documentation_fragment: [irctl.runbooks.db_blockers, irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Who blocks others for over a minute
  irctl.runbooks.pg_blockers:
    waiting_for: 1m
    postgres_protected_applications: [reports*]
"""
RETURN = """
matching:
  description: Each root that may be freed, as its pid, its start and the start of its statement in microseconds since 1970.
  returned: when listed without O(among)
  type: list
  elements: str
summary:
  description: The server's version and role, how many wait, and the roots with a verdict each.
  returned: when listed
  type: dict
cancelled:
  description: How many were cancelled and block no more.
  returned: when freed
  type: int
ended:
  description: How many were ended and seen to be gone.
  returned: when freed
  type: int
refusals:
  description: Why these roots must not be touched, each a sentence.
  returned: when listed
  type: list
  elements: str
"""

import json
import time
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_blockers, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import blockers, names, sessions
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import Server, connect

SHARED = ("postgres_",)
PARAMETERS: dict[str, Any] = {**db_blockers.MAIN, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "described", "freed", "proved"], "default": "listed"},
    "among": {"type": "list", "elements": "str"},
    "remembered": {"type": "list", "elements": "str", "default": []},
    **PARAMETERS,
}
EVIDENCE = "blockers-before.json"
remember = names.remember
GONE_SECONDS = 10.0


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what params['state'] says. In check mode 'freed' only says what it would do. Raises Failure or ValueError."""
    among = params["among"] or []
    asked = blockers.asked(params, among)
    if params["state"] == "freed" and (check_mode or not among):
        message = f"{blockers.counted(len(among))} would be cancelled, then ended" if among else "nothing to free"
        return {"changed": bool(among), "cancelled": 0, "ended": 0, "msg": message}
    with connect(params) as server:
        if params["state"] == "listed":
            return _listed(server, asked, params) if params["among"] is None else _verified(server, asked, check_mode)
        if params["state"] == "proved":
            return _proved(server, asked, params, check_mode)
        return _described(server, asked) if params["state"] == "described" else _freed(server, asked, params)


def _listed(server: Server, asked: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    listing = server.ask(blockers.LISTED, asked)
    return {
        "changed": False,
        "matching": listing["matching"],
        "summary": blockers.summary(listing),
        "in_short": blockers.usage(listing),
        "refusals": blockers.refusals(listing, asked["limit"]) or names.unknown(server, params),
        "msg": blockers.in_words(listing, params["waiting_for"]),
    }


def _proved(server: Server, asked: dict[str, Any], params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """What is there; Failure where somebody has waited long enough, Undecided where that cannot be told, if this is in earnest."""
    listing = server.ask(blockers.LISTED, asked)
    message = blockers.in_words(listing, params["waiting_for"])
    obstacles = blockers.obstacles(listing)
    if (listing["matching"] or obstacles) and not check_mode:
        raise Failure(" ".join([f"{message}.", *obstacles]))
    missing = names.unknown(server, params, applications=False)  # an application may have gone
    unjudged = [*sessions.missing_grants(listing["server"]), *missing, *blockers.unexplained(listing)]
    if unjudged and not check_mode:
        raise Undecided(" ".join(unjudged))
    return {"changed": False, "summary": blockers.summary(listing), "msg": message}


def _verified(server: Server, asked: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Who of the named still blocks, in earnest a Failure."""
    blocking = server.ask(blockers.STILL_BLOCKING, asked)
    if blocking and not check_mode:
        pids = values.first_few([one.partition("/")[0] for one in blocking])
        raise Failure(f"Of the roots that were to be freed some still block others: pid {pids}.")
    listing = server.ask(blockers.LISTED, asked)
    message = "not done in a dry run" if blocking else "none of them blocks anybody"
    return {"changed": False, "summary": blockers.summary(listing), "in_short": blockers.usage(listing), "msg": message}


def _described(server: Server, asked: dict[str, Any]) -> dict[str, Any]:
    described = sessions.keepable(server.ask(blockers.DESCRIBED, asked))
    evidence = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
    affected = [blockers.identified(session) for session in described if session["verdict"] == "free"]
    return {"changed": False, "evidence": {EVIDENCE: evidence}, "affected": affected, "msg": EVIDENCE}


def _freed(server: Server, asked: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    if len(asked["among"]) > asked["limit"]:
        raise Failure(f"{blockers.counted(len(asked['among']))} were named and the limit is {asked['limit']}.")
    server.hold()
    uncancellable = server.ask(blockers.UNCANCELLABLE, asked)
    cancelled = server.ask(blockers.CANCELLED, asked)
    blocking = _wait(server, asked, cancelled, values.seconds(params["grace"]))
    ended = server.ask(blockers.ENDED, {**asked, "among": [*uncancellable, *blocking]}) if params["end"] else []
    blocking = _wait(server, asked, asked["among"], GONE_SECONDS if ended else 0)
    return {"changed": bool(cancelled or ended), **_counts(asked["among"], {*cancelled}, {*ended}, {*blocking})}


def _counts(among: list[str], cancelled: set[str], ended: set[str], blocking: set[str]) -> dict[str, Any]:
    """How many came to which end, in numbers and in words. Pure."""
    freed, gone = len(cancelled - ended - blocking), len(ended - blocking)
    moved = len({one.rpartition("/")[0] for one in among} - cancelled - ended - blocking)
    words = ((freed, "cancelled"), (gone, "ended"), (len(blocking), "still blocking"), (moved, "gone or at something else by then"))
    return {"cancelled": freed, "ended": gone, "msg": ", ".join(f"{number} {word}" for number, word in words if number)}


def _wait(server: Server, asked: dict[str, Any], roots: list[str], most: float) -> list[str]:
    """Those of the roots that still block others after so many seconds, or none as soon as there is none."""
    until, pause = time.monotonic() + most, 0.002
    blocking: list[str] = roots and server.ask(blockers.STILL_BLOCKING, {**asked, "among": roots})
    while blocking and time.monotonic() < until:
        time.sleep(pause)
        pause = min(pause * 2, 0.1)
        blocking = server.ask(blockers.STILL_BLOCKING, {**asked, "among": blocking})
    return blocking


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
