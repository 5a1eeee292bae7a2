#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Build an index of a PostgreSQL table beside the work, or take away the one that a run has built."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_index
short_description: Build an index beside the work, whole or not at all
description:
  - Builds with C(CREATE INDEX CONCURRENTLY), partition by partition where the table has those, and drops first what an earlier
    build or a C(REINDEX CONCURRENTLY) of this index has left invalid. What a build leaves that fails here is dropped at once.
  - An index counts as there only where it is valid, on each partition too. Another index of the name, and one that leads with the
    same columns, are refused, and so is a table whose indexes somebody else is building.
  - With O(record) it drops the index that a run has built, unless it was there before, or somebody else has made another.
  - Own module, because C(community.postgresql.postgresql_idx) takes an INVALID index of the name for done, knows no partitions,
    and needs a driver on the target.
options:
  state:
    description: The step to do. V(listed), V(captured) and V(proved) only look.
    type: str
    choices: [listed, captured, changed, proved]
    default: listed
  found:
    description: What V(state=listed) returned as RV(found); another table that has the name by now is refused then.
    type: dict
  record:
    description: What a run captured, to be put back. An action hands it over from the run's revert.json.
    type: dict
extends_documentation_fragment: [irctl.runbooks.db_index, irctl.runbooks.db_index.revert, irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Whether the index is there
  irctl.runbooks.pg_index:
    database: shop
    table: orders
    column: [customer_id]
"""
RETURN = """
found:
  description: The OID of the table.
  returned: when listed
  type: dict
summary:
  description: The server's version and role, the index, whether it is valid, what is left of earlier builds, and sizes in bytes.
  returned: when listed or proved
  type: dict
refusals:
  description: Why this must not be done, each a sentence.
  returned: when listed
  type: list
  elements: str
"""

import json
import time
from dataclasses import asdict
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_index, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.phases import REVERT_RECORD
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import index_queries, index_removal, indexes, names
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import Server, WaitedInVain, connect
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.indexes import Step
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.probe import Probe

SHARED = ("postgres_",)
PARAMETERS: dict[str, Any] = {**db_index.MAIN, **db_index.REVERT, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "captured", "changed", "proved"], "default": "listed"},
    "found": {"type": "dict"},
    "record": {"type": "dict"},
    **PARAMETERS,
}
SHORT_WAIT = 2.0  # seconds that others may have to queue behind a statement of ours
PAUSE = 0.2  # seconds between two tries of such a statement

Params = dict[str, Any]
Result = dict[str, Any]


def run(params: Params, check_mode: bool) -> Result:
    """Do the step that params['state'] says; in check mode 'changed' only says what it would do. Raises Failure or ValueError."""
    record = params["record"]
    if record is not None:
        params = {**params, **record["sets"], "database": record["on"]["database"]}
    elif not (params["database"] and params["table"] and params["column"]):
        raise ValueError("database, table and column are needed")
    with connect(params) as server:
        missing = names.missing(server.ask(names.KNOWN, {"databases": [params["database"]]}))
    if missing:
        return _without_database(params["state"], missing[0], check_mode)
    steps = _BUILD if record is None else _TAKE_AWAY
    params = {**params, "postgres_dbname": params["database"]}
    with connect(params) as server:
        return steps[params["state"]](server, params, check_mode)


def _without_database(state: str, missing: str, check_mode: bool) -> Result:
    if state == "listed" or check_mode:
        return {"changed": False, "summary": {}, "refusals": [missing], "msg": missing}
    raise Failure(missing)


def _look(server: Server, params: Params) -> Any:
    """The state of the table. Raises Failure where it is not the one that was found."""
    state = server.ask(index_queries.STATE, indexes.asked(params))
    if params["found"] and (state["table"] or {}).get("oid") != params["found"]["table_oid"]:
        raise Failure("Another table has this name by now, or none. Look, and run it again.")
    return state


def _listed(server: Server, params: Params, check_mode: bool) -> Result:
    state = _look(server, params)
    refusals = indexes.refusals(state, params)
    return {
        "changed": False,
        "found": {"table_oid": state["table"] and state["table"]["oid"]},
        "summary": indexes.summary(state, params),
        "refusals": refusals,
        "msg": indexes.in_words(state, params),
    }


def _captured(server: Server, params: Params, check_mode: bool) -> Result:
    state = _look(server, params)
    steps = [*indexes.leftovers(state, params), *indexes.to_build(state, params)]
    evidence = {REVERT_RECORD: _text(index_removal.record(state, params)), "indexes-before.json": _text(state["indexes"])}
    return {"changed": False, "evidence": evidence, "affected": indexes.rows(steps), "msg": ", ".join(evidence)}


def _text(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _changed(server: Server, params: Params, check_mode: bool) -> Result:
    state = _look(server, params)
    if refusals := indexes.refusals(state, params):
        raise Failure(f"{' '.join(refusals)} Nothing was changed.")
    drop, build = indexes.leftovers(state, params), indexes.to_build(state, params)
    if check_mode or not (drop or build):
        return {"changed": bool(drop or build), "msg": indexes.done([*drop, *build], "would be ") or "there already"}
    probe = Probe(params, server.ask(index_queries.PROBE, indexes.asked(params)))
    with probe:
        begun = time.monotonic()
        _carry_out(server, params, state, drop)
        try:
            _carry_out(server, params, state, build)
        except Failure as error:
            raise Failure(f"{_sentence(error)} {_cleaned(params)}") from None
    seconds = time.monotonic() - begun
    return {"changed": True, "msg": f"{indexes.done([*drop, *build])} in {seconds:.1f} s, {probe.in_words()}"}


def _carry_out(server: Server, params: Params, state: Any, steps: list[Step]) -> None:
    """Carry out each step. Raises Failure where others keep one waiting for too long, or it fails."""
    if not steps:
        return
    asked = {"wanted": state["wanted"], "steps": [asdict(step) for step in steps]}
    for step, statement in zip(steps, server.ask(index_queries.STATEMENTS, asked), strict=True):
        wait = float(values.seconds(params["wait"]))
        if step.blocks:
            _again_and_again(server, statement, wait)
        else:
            server.alone(statement, wait)


def _again_and_again(server: Server, statement: str, wait: float) -> None:
    """Try a statement that others have to queue behind for a short time each, until it gets through. Raises WaitedInVain."""
    until = time.monotonic() + wait
    while True:
        try:
            return server.alone(statement, SHORT_WAIT)
        except WaitedInVain:
            if time.monotonic() > until:
                raise
            time.sleep(PAUSE)


def _sentence(error: Failure) -> str:
    return f"{str(error).rstrip('.')}."


def _cleaned(params: Params) -> str:
    """Drop what a build has left that failed; what became of that, in a sentence. The build's own session may be gone."""
    try:
        with connect(params) as server:
            state = _undisturbed(server, params)
            if others := indexes.at_work(state):
                return f"What there is of it was left alone. {others[0]}"
            left = indexes.leftovers(state, params)
            _carry_out(server, params, state, left)
            state = _look(server, params)
    except Failure as error:
        return f"What it left could not be dropped: {_sentence(error)} The next run tries again."
    return indexes.remains(state, params, bool(left))


def _undisturbed(server: Server, params: Params) -> Any:
    """The state, if possible once nobody works on the table; a session that was ended takes a moment to let go."""
    until = time.monotonic() + SHORT_WAIT
    while indexes.at_work(state := _look(server, params)) and time.monotonic() < until:
        time.sleep(PAUSE)
    return state


def _proved(server: Server, params: Params, check_mode: bool) -> Result:
    """What is there now; Failure where the index is not valid everywhere, if this is in earnest."""
    state = _look(server, params)
    result = {"changed": False, "summary": indexes.summary(state, params)}
    if check_mode:
        return {**result, "msg": "not done in a dry run"}
    if state["table"] is None or not indexes.valid(state, params):
        raise Failure(f"The index is not valid: {indexes.in_words(state, params)}.")
    size = sum(index["bytes"] for index in state["indexes"] if index["name"] == indexes.name_of(params))
    return {**result, "in_short": f"{indexes.name_of(params)} is valid", "msg": f"valid, {values.sized(size)}"}


def _to_take_away(server: Server, params: Params, check_mode: bool) -> Result:
    state, record = _look(server, params), params["record"]
    return {
        "changed": False,
        "summary": indexes.summary(state, params),
        "refusals": index_removal.objections(state, record, params["force"]),
        "msg": indexes.in_words(state, params),
    }


def _captured_again(server: Server, params: Params, check_mode: bool) -> Result:
    state = _look(server, params)
    evidence = {"indexes-before.json": _text(state["indexes"])}
    rows = indexes.rows(index_removal.to_drop(state, params["record"], params["force"]))
    return {"changed": False, "evidence": evidence, "affected": rows, "msg": "indexes-before.json"}


def _taken_away(server: Server, params: Params, check_mode: bool) -> Result:
    state, record = _look(server, params), params["record"]
    if refusals := index_removal.objections(state, record, params["force"]):
        raise Failure(f"{' '.join(refusals)} Nothing was changed.")
    steps = index_removal.to_drop(state, record, params["force"])
    if not check_mode:
        _carry_out(server, params, state, steps)
    words = indexes.done(steps, "would be " if check_mode else "")
    kept = "it was there before that run" if record["captured"]["valid"] else "not there any more"
    return {"changed": bool(steps), "msg": words or kept}


def _proved_away(server: Server, params: Params, check_mode: bool) -> Result:
    state = _look(server, params)
    result = {"changed": False, "summary": indexes.summary(state, params)}
    if check_mode:
        return {**result, "msg": "not done in a dry run"}
    if left := index_removal.to_drop(state, params["record"], params["force"]):
        raise Failure(f"Still there: {values.first_few([step.index for step in left])}.")
    return {**result, "msg": "as that run found it"}


_BUILD = {"listed": _listed, "captured": _captured, "changed": _changed, "proved": _proved}
_TAKE_AWAY = {"listed": _to_take_away, "captured": _captured_again, "changed": _taken_away, "proved": _proved_away}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
