"""Indexes that are built beside the work: what speaks against one, what is still to do, and what to say.

Pure: facts in, steps and sentences out. An index is built table by table: for a partitioned table the parent's index is
made first, invalid and empty, then one for each partition, and each is attached; with the last one the parent's is valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.values import counted, duration, first_few, printable, sized

LONGEST_NAME = 63  # bytes
_REINDEXED = re.compile(r"_cc(?:new|old)\d*$")  # what REINDEX CONCURRENTLY calls its two indexes while it works


@dataclass(frozen=True)
class Step:
    """One statement: what it does to which index of which table. `parent` is the index that it is attached to."""

    does: str
    schema: str
    table: str
    index: str
    parent: str = ""
    parent_schema: str = ""

    @property
    def blocks(self) -> bool:
        """Whether others wait behind it while it waits, so that it must not wait for long."""
        return self.does in ("parent", "drop parent", "attach")


State = Mapping[str, Any]


def asked(params: Mapping[str, Any]) -> dict[str, Any]:
    """Turn module arguments into the statements' one parameter."""
    names = {name: params[name] for name in ("schema", "table", "method")}
    known = {"oid": params["record"]["on"]["table_oid"]} if params.get("record") else {}
    return {**names, **known, "columns": params["column"], "name": name_of(params)}


def name_of(params: Mapping[str, Any]) -> str:
    """The index's name: the one that was given, or one as PostgreSQL would make it, of at most 63 bytes."""
    if params["name"]:
        return str(params["name"])
    whole = "_".join([params["table"], *params["column"]])
    return whole.encode()[: LONGEST_NAME - len("_idx")].decode(errors="ignore") + "_idx"


def member_name(name: str, member: Mapping[str, Any]) -> str:
    """What the index is called on the table itself, or on one of its partitions."""
    return name if not member["level"] else f"{name}_p{member['oid']}"


def refusals(state: State, params: Mapping[str, Any]) -> list[str]:
    """Why the index must not be built, each a sentence."""
    table = f"{printable(params['schema'])}.{printable(params['table'])}"
    if state["server"]["in_recovery"]:
        return ["This server is a standby: an index is built on the primary, and comes from there."]
    if state["table"] is None:
        return [f"There is no table {table} in the database {printable(state['database']['name'])}."]
    objections = [*_table(state, table, params["max_gib"]), *_columns(state, params, table), *_names(state, params)]
    return [*objections, *_duplicates(state, params), *at_work(state)]


def _table(state: State, table: str, most: int) -> list[str]:
    found = []
    foreign = [member["name"] for member in state["members"] if member["kind"] not in "rpm"]
    if foreign:
        found.append(f"No index can be built beside the work on {first_few(foreign)}: not a table of this server, or a view.")
    if state["table"]["persistence"] == "t":
        found.append(f"{table} is a temporary table of a session.")
    if theirs := [f"{member['schema']}.{member['name']}" for member in state["members"] if not member["may_build"]]:
        role, names = printable(state["server"]["role"]), first_few([printable(name, 130) for name in theirs])
        found.append(f"The role {role} has to own {names}, and to have CREATE on its schema.")
    size = sum(member["bytes"] for member in state["members"])
    if size > most << 30:
        found.append(f"{table} had {sized(size)} when it was last analyzed and the limit is {most} GiB (--max-gib).")
    return found


def _columns(state: State, params: Mapping[str, Any], table: str) -> list[str]:
    missing = [printable(column) for column in params["column"] if column not in state["columns"]]
    known = first_few([printable(column, 63) for column in state["columns"]], 20)
    return [f"{table} has no column {first_few(missing)}. It has: {known}."] if missing else []


def _names(state: State, params: Mapping[str, Any]) -> list[str]:
    name = name_of(params)
    longest = max((len(member_name(name, member).encode()) for member in state["members"]), default=0)
    if longest > LONGEST_NAME:
        return [
            f"The name {printable(name)} is too long by {longest - LONGEST_NAME} bytes for the indexes of the partitions (--name)."
        ]
    if state["namesakes"]:
        return [f"There is something else that is called {printable(name)} in the schema (--name)."]
    other = [index for index in state["indexes"] if index["name"] in _own_names(state, name) and not index["wanted"]]
    return [f"{printable(index['name'])} is another index: {printable(index['definition'])} (--name)." for index in other]


def _own_names(state: State, name: str) -> dict[str, Mapping[str, Any]]:
    return {member_name(name, member): member for member in state["members"]}


def _duplicates(state: State, params: Mapping[str, Any]) -> list[str]:
    """An index that leads with the same columns does what the new one would, and each costs every write."""
    name, columns, root = name_of(params), params["column"], state["table"]["oid"]
    same = [
        index
        for index in state["indexes"]
        if index["table"] == root and index["name"] != name and index["valid"] and index["plain"]
        if index["method"] == params["method"]
        if index["keys"] == columns or (index["method"] == "btree" and index["keys"][: len(columns)] == columns)
    ]
    return [f"There is such an index already: {printable(index['definition'])}." for index in same]


def at_work(state: State) -> list[str]:
    """Who else works on the table's indexes, as a sentence."""
    pids = [str(pid or "of a prepared transaction") for pid in state["at_work"]]
    if not pids:
        return []
    return [f"Somebody builds an index of this table, or maintains it, just now: pid {first_few(pids)}. Wait for the end of that."]


def leftovers(state: State, params: Mapping[str, Any]) -> list[Step]:
    """What to drop: invalid indexes that earlier builds of this one, or REINDEX CONCURRENTLY of it, have left."""
    members = {member["oid"]: member for member in state["members"]}
    tables = [(members[index["table"]], index["name"]) for index in _left(state, params)]
    return [Step("drop", member["schema"], member["name"], name) for member, name in tables]


def _left(state: State, params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    names = {member["oid"]: member_name(name_of(params), member) for member in state["members"] if member["kind"] != "p"}
    invalid = [index for index in state["indexes"] if not index["valid"]]
    return [index for index in invalid if _is_of(index["name"], names.get(index["table"], ""))]


def _is_of(name: str, original: str) -> bool:
    """Whether an index is called so, or as REINDEX CONCURRENTLY calls its own; it cuts a long name to make room for its ending."""
    ending = _REINDEXED.search(name)
    if name == original or not ending:
        return name == original
    return name[: ending.start()] == original.encode()[: LONGEST_NAME - len(ending[0])].decode(errors="ignore")


def to_build(state: State, params: Mapping[str, Any]) -> list[Step]:
    """The steps, in their order, from what is there once the leftovers are gone to a valid index."""
    name, own = name_of(params), own_indexes(state, params)
    names = {member["oid"]: (own.get(member["oid"]) or {"name": member_name(name, member)})["name"] for member in state["members"]}
    members = {member["oid"]: member for member in state["members"]}
    make, attach = [], []
    for oid, member in members.items():
        if oid not in own:
            make.append(Step("parent" if member["kind"] == "p" else "build", member["schema"], member["name"], names[oid]))
        if member["level"] and (oid not in own or own[oid]["parent"] is None):
            parent = {"parent": names[member["parent"]], "parent_schema": members[member["parent"]]["schema"]}
            attach.append(Step("attach", member["schema"], member["name"], names[oid], **parent))
    return [*make, *reversed(attach)]


def own_indexes(state: State, params: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """The index of each table by the table's OID, where there is one that stays: of its name, or attached to that of its parent."""
    name, own = name_of(params), dict[int, Mapping[str, Any]]()
    gone = {index["oid"] for index in _left(state, params)}
    staying = [index for index in state["indexes"] if index["wanted"] and index["oid"] not in gone]
    for member in state["members"]:
        above = own.get(member["parent"], {}).get("oid", 0)
        mine = [index for index in staying if index["table"] == member["oid"]]
        attached = [index for index in mine if index["parent"] == above]
        if chosen := attached or [index for index in mine if index["name"] == member_name(name, member)]:
            own[member["oid"]] = chosen[0]
    return own


def valid(state: State, params: Mapping[str, Any]) -> bool:
    """Whether the index is there, whole, on the table and all its partitions."""
    own = own_indexes(state, params).values()
    return not leftovers(state, params) and not to_build(state, params) and all(index["valid"] for index in own)


def remains(state: State, params: Mapping[str, Any], dropped: bool) -> str:
    """What a build that failed has left, once the leftovers were dropped, in a sentence."""
    if valid(state, params):
        return "Somebody else has made it meanwhile."
    if own := own_indexes(state, params):
        names = first_few([printable(index["name"]) for index in own.values()])
        return f"The table is not covered yet, and these stay: {names}. The next run goes on from there; revert drops them."
    return "What it left was dropped." if dropped else "Nothing invalid is left of it."


def summary(state: State, params: Mapping[str, Any]) -> dict[str, Any]:
    """What `before` and `after` show."""
    return {
        **{key: state["server"][key] for key in ("version", "role", "in_recovery")},
        "index": name_of(params),
        "valid": bool(state["table"]) and valid(state, params),
        "leftovers": [step.index for step in leftovers(state, params)],
        "partitions": sum(member["kind"] != "p" for member in state["members"]) if len(state["members"]) > 1 else 0,
        "table_bytes": sum(member["bytes"] for member in state["members"]),
        "oldest_transaction_seconds": state["oldest"] and round(state["oldest"], 1),
    }


def in_words(state: State, params: Mapping[str, Any]) -> str:
    """One line about what is there."""
    if state["table"] is None:
        return "no such table"
    words = [f"{printable(name_of(params))} {'is there' if valid(state, params) else 'is not there'}"]
    if left := leftovers(state, params):
        words.append(f"{counted(len(left), 'invalid leftover')} of it")
    size = sum(member["bytes"] for member in state["members"])
    words.append(f"the table had {sized(size)} when it was last analyzed")
    if state["oldest"] and state["oldest"] > 60:
        words.append(f"a build waits for a transaction that is open for {duration(int(state['oldest']))}")
    return ", ".join(words)


def done(steps: Iterable[Step], would: str = "") -> str:
    """What was, or would be, done, in words."""
    kinds = [step.does for step in steps]
    built, dropped = kinds.count("build"), sum(kind.startswith("drop") for kind in kinds)
    parts = [f"{counted(dropped, 'index', 'indexes')} {would}dropped"] if dropped else []
    parts += [f"{counted(built, 'index', 'indexes')} {would}built"] if built else []
    parts += [f"{counted(kinds.count('attach'), 'index', 'indexes')} {would}attached"] if "attach" in kinds else []
    return ", ".join(parts)


def rows(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The steps as a plan lists them."""
    return [{"index": step.index, "table": f"{step.schema}.{step.table}", "does": step.does} for step in steps]
