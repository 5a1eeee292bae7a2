"""The index that a run has built, taken away again: what revert needs to know, what speaks against it, and the steps.

Pure. The table is known by its OID, whatever it is called since; an index has none before it is built, so it is known by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import indexes
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.indexes import State, Step
from ansible_collections.irctl.runbooks.plugins.module_utils.values import first_few, printable


def record(state: State, params: Mapping[str, Any]) -> dict[str, Any]:
    """What revert needs to know."""
    where = {"system_identifier": state["system_identifier"], "database_oid": state["database"]["oid"]}
    sets = {name: params[name] for name in ("schema", "table", "column", "method", "name")}
    tables = [member["oid"] for member in state["members"]]
    return {
        "captured": {"valid": indexes.valid(state, params), "indexes": [index["oid"] for index in state["indexes"]]},
        "sets": {**sets, "name": indexes.name_of(params)},
        "on": {**where, "database": state["database"]["name"], "table_oid": state["table"]["oid"], "table_oids": tables},
    }


def objections(state: State, record: Mapping[str, Any], force: bool) -> list[str]:
    """Why what a run has built must not be dropped, each a sentence."""
    on = record["on"]
    same = (state["system_identifier"], state["database"]["oid"]) == (on["system_identifier"], on["database_oid"])
    if not same or (state["table"] is None and state["of_the_name"]):
        return ["This is not the table that it was: another server, database or table has its name now."]
    return indexes.at_work(state) or ([] if force or record["captured"]["valid"] else _doubts(state, record))


def _doubts(state: State, record: Mapping[str, Any]) -> list[str]:
    """What is not known to be of that run, each a sentence; a person settles it with --force."""
    name, before = record["sets"]["name"], record["captured"].get("indexes", [])
    if other := _others(state, record):
        return [f"Somebody else has made another index of this name since: {printable(other[0]['definition'])}."]
    own = indexes.own_indexes(state, record["sets"])
    root = record["on"]["table_oid"]
    since = [index for index in state["indexes"] if index["table"] == root and index["oid"] not in before]
    alike = [printable(index["name"]) for index in since if index["wanted"] and index["valid"]]
    if alike and root not in own:
        return [
            f"There is no {printable(name)}, and {alike[0]} is such an index, made since. Whether it is that one under another "
            "name cannot be judged: drop it by hand if it is. --force takes it for another."
        ]
    names = {indexes.member_name(name, member) for member in state["members"]}
    attached = [index["name"] for index in own.values() if index["oid"] in before and index["name"] not in names]
    return [f"With it goes what was there before that run and is attached to it: {first_few(attached)}."] if attached else []


def _others(state: State, record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [index for index in state["indexes"] if index["name"] == record["sets"]["name"] and not index["wanted"]]


def to_drop(state: State, record: Mapping[str, Any], force: bool = False) -> list[Step]:
    """The steps that take away what a run has built, as far as it is there; with force also another index of its name."""
    if record["captured"]["valid"]:
        return []
    tables = record["on"].get("table_oids", [])
    detached = [index for index in state["detached"] if index["table"] in tables]
    steps = [Step("drop", index["schema"], index["name"], index["index"]) for index in detached]
    return steps if state["table"] is None else [*indexes.leftovers(state, record["sets"]), *_loose(state, record, force), *steps]


def _loose(state: State, record: Mapping[str, Any], force: bool) -> list[Step]:
    """Those that no other index takes with it when it goes."""
    own, members = indexes.own_indexes(state, record["sets"]), {member["oid"]: member for member in state["members"]}
    if force and (other := _others(state, record)):
        own[other[0]["table"]] = other[0]
    loose = [oid for oid, index in own.items() if oid == record["on"]["table_oid"] or index["parent"] is None]
    return [Step(_drop(members[oid]), members[oid]["schema"], members[oid]["name"], own[oid]["name"]) for oid in loose]


def _drop(member: Mapping[str, Any]) -> str:
    return "drop parent" if member["kind"] == "p" else "drop"
