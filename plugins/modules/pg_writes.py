#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Freeze the writes of PostgreSQL databases, or put back the setting that a run found."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_writes
short_description: Let new sessions of databases only read, and end those that may still write
description:
  - Sets C(default_transaction_read_only) on databases, then ends the sessions that began before it, because a default binds
    new sessions only. In a database that was frozen already it ends only sessions whose open transaction has written.
  - Never ends its own session, superusers, background workers, and protected users and applications; names them instead.
  - With O(record) it puts back what a run found, and refuses where somebody else has changed it since.
  - Own module, because C(community.postgresql.postgresql_set) sets the server's own settings only, and
    C(community.postgresql.postgresql_query) acts in check mode and needs a driver on the target.
options:
  state:
    description: The step to do. V(listed), V(captured) and V(proved) only look.
    type: str
    choices: [listed, captured, changed, proved]
    default: listed
  found:
    description: What V(state=listed) returned as RV(found). V(captured) and V(changed) need it; with V(proved), its sessions
      must be gone.
    type: dict
  record:
    description: What a run captured, to be put back. An action hands it over from the file that C(restores) names.
    type: dict
extends_documentation_fragment: [irctl.runbooks.db_freeze_writes, irctl.runbooks.db_freeze_writes.revert, irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: What freezing a database would do
  irctl.runbooks.pg_writes:
    database: [shop]
"""
RETURN = """
found:
  description: The setting of each database, and pid and start time (microseconds since 1970) of each session that would end.
  returned: when listed
  type: dict
summary:
  description: The server's version and role, the setting of each database, and who may still write.
  returned: when listed or proved
  type: dict
ended:
  description: How many sessions were ended.
  returned: when changed
  type: int
refusals:
  description: Why this must not be done, each a sentence.
  returned: when listed
  type: list
  elements: str
"""

import json
import time
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_freeze_writes, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import sessions, writes
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import Server, connect
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sessions import counted

SHARED = ("postgres_",)
PARAMETERS: dict[str, Any] = {
    **db_freeze_writes.MAIN,
    **db_freeze_writes.REVERT,
    **postgres.ARGUMENTS,
}
REVERT_PARAMETERS = {**db_freeze_writes.REVERT, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "captured", "changed", "proved"], "default": "listed"},
    "found": {"type": "dict"},
    "record": {"type": "dict"},
    **PARAMETERS,
}
SETTLE_SECONDS = 0.05  # a session that was just starting with the old default is in pg_stat_activity by then
GONE_SECONDS = 10.0

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Do the step that params['state'] says; in check mode 'changed' only says what it would do. Raises Failure or ValueError."""
    if params["record"] is not None:
        writes.check(params["record"])
        params = {**params, "database": list(params["record"]["captured"])}
    elif not params["database"]:
        raise ValueError("databases: at least one is needed; nothing ever means all of them")
    elif params["found"] is None and params["state"] in ("captured", "changed"):
        raise ValueError("found: needed, as state=listed returned it")
    steps = _FREEZE if params["record"] is None else _PUT_BACK
    with connect(params) as server:
        return steps[params["state"]](server, params, check_mode)


def _look(server: Server, params: Params) -> Any:
    return server.ask(writes.STATE, writes.asked(params))


def _frozen(settings: writes.Settings) -> list[str]:
    return [name for name, setting in settings.items() if writes.is_on(setting)]


def _listed(server: Server, params: Params, check_mode: bool) -> Result:
    state = _look(server, params)
    settings = writes.settings(state, params["database"])
    seen = server.ask(writes.SESSIONS, writes.asked(params, _frozen(settings)))
    said = [f"{name} {'is frozen already' if writes.is_on(setting) else 'takes writes'}" for name, setting in settings.items()]
    return {
        "changed": False,
        "found": {"settings": settings, "sessions": seen["matching"]},
        "summary": _summary(state, settings, seen),
        "refusals": writes.refusals(state, params, len(seen["matching"])),
        "msg": f"{writes.listed(said)} · {counted(len(seen['matching']))} to end",
    }


def _summary(state: Any, settings: writes.Settings, seen: Any) -> Result:
    return {**state["server"], "settings": dict(settings), "sessions": seen["there"], "may_still_write": seen["spared"]}


def _captured(server: Server, params: Params, check_mode: bool) -> Result:
    found = params["found"]["settings"]
    record = writes.record(_as_found(server, params), found)
    kept = sessions.keepable(server.ask(writes.DESCRIBED, writes.asked(params, _frozen(found))))
    evidence = {writes.REVERT: _text(record), "sessions-before.json": _text(kept)}
    affected = [{"freeze": name} for name in found if not writes.is_on(found[name])]
    affected += [sessions.identified(session) for session in kept if session["verdict"] == "end"]
    return {"changed": False, "evidence": evidence, "affected": affected, "msg": ", ".join(evidence)}


def _as_found(server: Server, params: Params) -> Any:
    """The state, once it is still as it was found. Raises Failure where it is not."""
    state = _look(server, params)
    if writes.settings(state, params["database"]) != params["found"]["settings"]:
        raise Failure("Somebody else has changed the setting just now. This run changed nothing; look, and run it again.")
    return state


def _text(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _changed(server: Server, params: Params, check_mode: bool) -> Result:
    found = params["found"]["settings"]
    if not check_mode:
        server.hold()
    _as_found(server, params)
    frozen = _frozen(found)
    fresh = [name for name in found if name not in frozen]
    asked = writes.asked(params, frozen)
    due = server.ask(writes.SESSIONS, asked)["matching"]
    if len(due) > params["max"]:
        raise Failure(f"{counted(len(due))} would be ended and the limit is {params['max']}. Nothing was changed.")
    if check_mode:
        return {"changed": bool(fresh or due), "ended": 0, "msg": _done(fresh, len(due), "would be ")}
    _set(server, dict.fromkeys(fresh, writes.FROZEN))
    ended, left = _end(server, asked) if params["end_writers"] else (0, 0)
    said = _done(fresh, ended) + (f", {counted(left)} did not end in {GONE_SECONDS:.0f} s" if left else "")
    return {"changed": bool(fresh or ended), "ended": ended, "msg": said}


def _done(fresh: list[str], ended: int, would: str = "") -> str:
    parts = [f"{writes.listed(fresh)} {would}frozen"] if fresh else ["frozen already"]
    return ", ".join([*parts, *([f"{counted(ended)} {would}ended"] if ended else [])])


def _set(server: Server, wanted: writes.Settings) -> None:
    if wanted:
        server.execute(server.ask(writes.STATEMENTS, wanted))


def _end(server: Server, asked: dict[str, Any]) -> tuple[int, int]:
    """End the sessions from before now; return how many were signalled, and how many of them are still there."""
    asked = {**asked, "before": server.ask(writes.CLOCK, {})}
    begun, signalled = time.monotonic(), list[Any]()
    while True:
        passed = time.monotonic() - begun
        seen = server.ask(writes.ENDED, {**asked, "among": signalled, "limit": asked["limit"] - len(signalled)})
        signalled += seen["signalled"]
        if passed > GONE_SECONDS or (passed >= SETTLE_SECONDS and not seen["left"]):
            return len(signalled), seen["left"]
        time.sleep(SETTLE_SECONDS)


def _proved(server: Server, params: Params, check_mode: bool) -> Result:
    """What is there now; Failure where a database is not frozen or a session writes on, if this is in earnest."""
    state = _look(server, params)
    settings = writes.settings(state, params["database"])
    before = params["found"] or {"settings": settings, "sessions": []}
    asked = writes.asked(params, _frozen(before["settings"]))
    seen = server.ask(writes.SESSIONS, {**asked, "among": before["sessions"]})
    result = {
        "changed": False,
        "summary": _summary(state, settings, seen),
        "in_short": writes.may_write(seen["spared"], state["server"]["version"]),
    }
    if check_mode:
        return {**result, "msg": "not done in a dry run"}
    thawed = [name for name in params["database"] if not writes.is_on(settings.get(name))]
    if thawed:
        raise Failure(f"Not frozen: {writes.listed(thawed)}.")
    if left := seen["left"] if params["found"] else len(seen["matching"]):
        raise Failure(f"{counted(left)} from before {'goes' if left == 1 else 'go'} on and may write.")
    return _with_effect(result, params, dict.fromkeys(params["database"], writes.FROZEN))


def _with_effect(result: Result, params: Params, wanted: writes.Settings) -> Result:
    """Open a new session in each database and say where that cannot show the effect. Raises Failure where it shows another."""
    hidden = []
    for name, setting in wanted.items():
        effect = _new_session(params, name)
        doubt = writes.doubt(effect, setting)
        if doubt == "hidden":
            hidden.append(f"{name} ({effect.get('why') or 'the role has a setting of its own'})")
        elif doubt:
            raise Failure(f"A new session in {name} has {writes.SETTING} {doubt}, not {writes.shown(setting)}.")
    unseen = f"not seen in a new session, only as stored: {writes.listed(hidden)}" if hidden else ""
    in_short = ", ".join(word for word in (result["in_short"], unseen) if word)
    return {**result, "in_short": in_short, "msg": unseen or "seen in new sessions"}


def _new_session(params: Params, name: str) -> Any:
    try:
        with connect({**params, "postgres_dbname": name}) as own:
            return own.ask(writes.EFFECT, {})
    except Unreachable:
        raise
    except Failure as error:
        return {"why": str(error)}


def _to_put_back(server: Server, params: Params, check_mode: bool) -> Result:
    state, record = _look(server, params), params["record"]
    settings = writes.settings(state, params["database"])
    said = [f"{name}: {writes.shown(setting)}, was {writes.shown(record['captured'][name])}" for name, setting in settings.items()]
    return {
        "changed": False,
        "summary": {**state["server"], "settings": settings},
        "refusals": writes.objections(state, record, params["force"]),
        "msg": writes.listed(said),
    }


def _captured_again(server: Server, params: Params, check_mode: bool) -> Result:
    state = _look(server, params)
    settings = writes.settings(state, params["database"])
    back = writes.to_put_back(state, params["record"])
    affected = [{"database": name, "put_back": writes.shown(setting)} for name, setting in back.items()]
    evidence = {"settings-before.json": _text(settings)}
    return {"changed": False, "evidence": evidence, "affected": affected, "msg": "settings-before.json"}


def _put_back(server: Server, params: Params, check_mode: bool) -> Result:
    if not check_mode:
        server.hold()
    state, record = _look(server, params), params["record"]
    if refusals := writes.objections(state, record, params["force"]):
        raise Failure(f"{' '.join(refusals)} Nothing was changed.")
    wanted = writes.to_put_back(state, record)
    if not check_mode:
        _set(server, wanted)
    would = "would be " if check_mode else ""
    said = [f"{name} {would}put back to {writes.shown(setting)}" for name, setting in wanted.items()]
    lost = [f"{name} left alone: not the database that it was" for name in writes.gone(state, record)]
    return {"changed": bool(wanted), "msg": writes.listed([*said, *lost]) or "as it was found"}


def _proved_back(server: Server, params: Params, check_mode: bool) -> Result:
    """What is there now; Failure where a database does not have what was captured, if this is in earnest."""
    state, record = _look(server, params), params["record"]
    settings = writes.settings(state, params["database"])
    result = {"changed": False, "summary": {**state["server"], "settings": settings}}
    if check_mode:
        return {**result, "msg": "not done in a dry run"}
    if left := writes.to_put_back(state, record):
        raise Failure(f"Not put back: {writes.listed(list(left))}.")
    there = {name: kept for name, kept in record["captured"].items() if name not in writes.gone(state, record)}
    return _with_effect({**result, "in_short": _readers(server, params, there)}, params, there)


def _readers(server: Server, params: Params, back: writes.Settings) -> str:
    """How many sessions began while their database was frozen, perhaps; those go on reading only."""
    names = [name for name, setting in back.items() if not writes.is_on(setting)]
    number = server.ask(writes.SESSIONS, writes.asked({**params, "database": names}))["there"]
    return f"{counted(number)} may only read until reconnected" if number else ""


_FREEZE = {"listed": _listed, "captured": _captured, "changed": _changed, "proved": _proved}
_PUT_BACK = {"listed": _to_put_back, "captured": _captured_again, "changed": _put_back, "proved": _proved_back}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
