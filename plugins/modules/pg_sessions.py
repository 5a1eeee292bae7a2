#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""List idle PostgreSQL sessions, describe them for evidence, or end them."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_sessions
short_description: List, describe or end idle PostgreSQL sessions
description:
  - Looks at C(pg_stat_activity) and judges each session in one statement; ends those named in O(among) in one statement
    that judges them again, by pid and start time, as it ends them.
  - Never touches its own session, superusers, replication, background workers, sessions that listen for notifications,
    protected users and applications, holders of advisory locks, and sessions at work.
  - Own module, because C(community.postgresql.postgresql_query) acts in check mode, needs a driver on the target and
    cannot tell a session that may be ended from one that may not.
options:
  state:
    description: What to do with the sessions. V(listed), V(described) and V(proved) only look; V(proved) fails where one may
      be ended, or where that cannot be told.
    type: str
    choices: [listed, described, ended, proved]
    default: listed
  among:
    description: The sessions to describe or end, each as V(pid/start time), as V(state=listed) returned them. With
      V(state=listed) itself, fail where one of them still matches.
    type: list
    elements: str
  remembered:
    description: Applications that earlier runs have seen on this host, so that their absence is no typing error. An action hands
      them over.
    type: list
    elements: str
    default: []
extends_documentation_fragment: [irctl.runbooks.db_connections, irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Sessions idle for over ten minutes
  irctl.runbooks.pg_sessions:
    idle_for: 10m
    postgres_protected_applications: [reports*]
"""
RETURN = """
matching:
  description: Each session that may be ended, as its pid, a slash and its start time in microseconds since 1970.
  returned: when listed without O(among)
  type: list
  elements: str
summary:
  description: The server's version, role, connections in use, and how many sessions got which verdict.
  returned: when listed
  type: dict
ended:
  description: How many sessions were ended and seen to be gone.
  returned: when ended
  type: int
refusals:
  description: Why these sessions must not be ended, each a sentence.
  returned: when listed
  type: list
  elements: str
"""

import json
import time
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_connections, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import names, sessions
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import Server, connect

SHARED = ("postgres_",)
PARAMETERS: dict[str, Any] = {**db_connections.MAIN, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "described", "ended", "proved"], "default": "listed"},
    "among": {"type": "list", "elements": "str"},
    "remembered": {"type": "list", "elements": "str", "default": []},
    **PARAMETERS,
}
GONE_SECONDS = 10.0
EVIDENCE = "sessions-before.json"
remember = names.remember


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what params['state'] says. In check mode 'ended' only says what it would end. Raises Failure or ValueError."""
    asked = sessions.asked(params, params["among"] or [], params["max"])
    if params["state"] == "ended" and (check_mode or not asked["among"]):
        number = len(asked["among"])
        said = f"{sessions.counted(number)} would be ended" if number else "nothing to end"
        return {"changed": number > 0, "ended": 0, "msg": said}
    with connect(params) as server:
        if params["state"] == "listed":
            return _verified(server, asked, check_mode) if params["among"] is not None else _listed(server, asked, params)
        if params["state"] == "proved":
            return _proved(server, asked, params, check_mode)
        return _described(server, asked) if params["state"] == "described" else _ended(server, asked)


def _listed(server: Server, asked: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    listing = server.ask(sessions.LISTED, asked)
    return {
        "changed": False,
        "matching": listing["matching"],
        "summary": sessions.summary(listing),
        "in_short": sessions.usage(listing),
        "refusals": sessions.refusals(listing, asked["limit"]) or names.unknown(server, params),
        "msg": sessions.in_words(listing, params["idle_for"]),
    }


def _verified(server: Server, asked: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Of the sessions that were to end, those that still match; Failure where there are any and this is in earnest."""
    listing = server.ask(sessions.LISTED, asked)
    left = len({*asked["among"]} & {*listing["matching"]})
    if left and not check_mode:
        raise Failure(f"{sessions.counted(left)} of those that were to end still match.")
    said = "none left" if not left else "not done in a dry run"
    return {"changed": False, "summary": sessions.summary(listing), "in_short": sessions.usage(listing), "msg": said}


def _proved(server: Server, asked: dict[str, Any], params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """What is there; Failure where a session may be ended, Undecided where that cannot be told, if this is in earnest."""
    listing = server.ask(sessions.LISTED, asked)
    said = sessions.in_words(listing, params["idle_for"])
    if listing["matching"] and not check_mode:
        raise Failure(said)
    missing = names.unknown(server, params, applications=False)  # an application may have gone
    unjudged = [*sessions.missing_grants(listing["server"]), *missing, *sessions.doubts(listing)]
    if unjudged and not check_mode:
        raise Undecided(" ".join(unjudged))
    return {"changed": False, "summary": sessions.summary(listing), "msg": said}


def _described(server: Server, asked: dict[str, Any]) -> dict[str, Any]:
    found = sessions.keepable(server.ask(sessions.DESCRIBED, asked))
    evidence = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    affected = [sessions.identified(session) for session in found if session["verdict"] == "end"]
    return {"changed": False, "evidence": {EVIDENCE: evidence}, "affected": affected, "msg": EVIDENCE}


def _ended(server: Server, asked: dict[str, Any]) -> dict[str, Any]:
    if len(asked["among"]) > asked["limit"]:
        raise Failure(f"{sessions.counted(len(asked['among']))} were named and the limit is {asked['limit']}.")
    server.hold()
    signalled = server.ask(sessions.ENDED, asked)
    wait_until = time.monotonic() + GONE_SECONDS
    left, pause = signalled, 0.002
    while left and time.monotonic() < wait_until:
        left = server.ask(sessions.STILL_THERE, {**asked, "among": signalled})
        if left:
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
    ended, woke = len(signalled) - len(left), len(asked["among"]) - len(signalled)
    said = f"{sessions.counted(ended)} ended"
    said += f", {woke} spared that were in use again or gone" if woke else ""
    said += f", {len(left)} did not end in {GONE_SECONDS:.0f} s" if left else ""
    return {"changed": ended > 0, "ended": ended, "msg": said}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
