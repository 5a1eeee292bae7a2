#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Dump a PostgreSQL database into the evidence of a run, read the dump through, and count its rows."""

from __future__ import annotations

DOCUMENTATION = """
module: pg_snapshot
short_description: Dump a database as evidence, with proof
description:
  - Dumps a database with pg_dump as one moment saw it, reads the dump through to its end, and compares the rows of each table with
    those that were counted in the same moment. Its action fetches the dump, compares its sha256, and leaves nothing on the host.
  - What a dump leaves out (owner, privileges and settings of the database and of roles in it) is kept beside it.
  - Own module, because C(community.postgresql.postgresql_db) leaves the dump where it was made and takes an exit code for a proof.
options:
  state:
    description: What to do. V(listed), V(captured) and V(proved) only look; V(proved) fails where the database is there
      and no run has kept a dump of it that is young enough.
    type: str
    choices: [listed, captured, changed, proved]
    default: listed
  remembered:
    description: The dumps that earlier runs have kept of this host's database. An action hands them over.
    type: list
    elements: dict
    default: []
extends_documentation_fragment: [irctl.runbooks.db_snapshot, irctl.runbooks.run.run_evidence_folder, irctl.runbooks.postgres]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Whether a dump could be made
  irctl.runbooks.pg_snapshot:
    database: shop
"""
RETURN = """
summary:
  description: The server, the database's size in bytes, and the newest dump of it in the record.
  returned: when listed or proved
  type: dict
refusals:
  description: Why no dump can be made, each a sentence.
  returned: when listed
  type: list
  elements: str
"""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import db_snapshot, postgres
from ansible_collections.irctl.runbooks.plugins.module_utils.capture import evidence_names, snapshots
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.own_names import own_names
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import dump_queries, dumps, names
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import Server, connect
from ansible_collections.irctl.runbooks.plugins.module_utils.values import duration, first_few, printable, sized

SHARED = ("postgres_", "run_")
OWN_NAMES = {"run_evidence_folder": "folder"}
PARAMETERS: dict[str, Any] = {**db_snapshot.MAIN, "run_evidence_folder": {"type": "path"}, **postgres.ARGUMENTS}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["listed", "captured", "changed", "proved"], "default": "listed"},
    "remembered": {"type": "list", "elements": "dict", "default": []},
    **PARAMETERS,
}
EVIDENCE = "database.json"
SETTINGS = "database-settings.json"
SCHEMA = "irctl/database-dump/1"
LEFT_OUT = ("owner", "encoding", "collation", "ctype", "connection_limit", "acl", "settings")
KINDS: dict[str, Any] = {
    "file": str,
    "sha256": str,
    "bytes": int,
    "taken": str,
    "seconds": int | float,
    "system_identifier": str,
    "oid": int,
}
ATTACHED = {
    "subscriptions": "what subscriptions receive",
    "slots": "the positions of logical slots",
    "prepared": "the transactions that are prepared",
}

Params = dict[str, Any]
Result = dict[str, Any]


def remember(arguments: Mapping[str, Any], evidence: Iterable[tuple[Any, Any]]) -> list[dict[str, Any]]:
    """The newest dump of the database in earlier evidence that is what was hashed when it was made, or none."""
    for folder, one in evidence:
        if _is_of(one, arguments.get("database")) and _is_whole(os.path.join(folder, one["file"]), one):
            return [one]
    return []


def _is_of(one: Any, database: object) -> bool:
    if not isinstance(one, dict) or (one.get("schema"), one.get("database")) != (SCHEMA, database):
        return False
    return all(isinstance(one.get(key), kind) for key, kind in KINDS.items()) and evidence_names.is_inside(one["file"])


def _is_whole(path: str, one: Mapping[str, Any]) -> bool:
    try:
        return snapshots.digest_of(path) == (one["bytes"], one["sha256"])
    except OSError:
        return False


def run(params: Params, check_mode: bool) -> Result:
    """Do the step that params['state'] says. Raises Failure or ValueError."""
    params = own_names(params, SHARED, OWN_NAMES)
    with connect(params) as server:
        missing = names.missing(server.ask(names.KNOWN, {"databases": [params["database"]]}))
    if missing:
        return _without_database(params["state"], missing[0], check_mode)
    params = {**params, "postgres_dbname": params["database"]}
    with connect(params) as server:
        about = server.ask(dump_queries.DATABASE, {})
        young = _young(params, about)
        if params["state"] == "changed":
            return _changed(server, params, about, young, check_mode)
    return {"listed": _listed, "captured": _captured, "proved": _proved}[params["state"]](params, about, young, check_mode)


def _without_database(state: str, missing: str, check_mode: bool) -> Result:
    if state in ("listed", "proved") or check_mode:
        return {"changed": False, "summary": {}, "refusals": [missing], "msg": missing}
    raise Failure(missing)


def _young(params: Params, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """The dump in the record that is young enough, by the server's clock, and of this very database."""
    for one in params["remembered"]:
        same = (one["system_identifier"], one["oid"]) == (about["system_identifier"], about["oid"])
        if same and 0 <= about["seconds"] - one["seconds"] <= values.seconds(params["fresh_for"]):
            return dict(one)
    return None


def _listed(params: Params, about: Mapping[str, Any], young: dict[str, Any] | None, check_mode: bool) -> Result:
    return {
        "changed": False,
        "summary": _summary(about, young),
        "refusals": [] if young else _refusals(params, about),
        "msg": f"{printable(params['database'])} has {sized(about['bytes'])}, {_kept(about, young)}",
    }


def _summary(about: Mapping[str, Any], young: dict[str, Any] | None) -> Result:
    return {**about["server"], "bytes": about["bytes"], "dump": young and {key: young[key] for key in ("taken", "file", "sha256")}}


def _kept(about: Mapping[str, Any], young: dict[str, Any] | None) -> str:
    if young is None:
        return "and no dump of it that is young enough is in the record"
    return f"and a dump of it is in the record, {duration(int(about['seconds'] - young['seconds']))} old"


def _refusals(params: Params, about: Mapping[str, Any]) -> list[str]:
    reasons = []
    if (version := dumps.major(dumps.program("pg_dump", params["programs"]))) < about["major"]:
        reasons.append(f"pg_dump is of PostgreSQL {version} and the server of {about['major']}, which an older one cannot dump.")
    if params["format"] == "custom":
        dumps.program("pg_restore", params["programs"])
    if about["bytes"] > params["max_gib"] << 30:
        reasons.append(f"The database has {sized(about['bytes'])} and the limit is {params['max_gib']} GiB (--max-gib).")
    if about["unreadable"]:
        role = printable(about["server"]["role"])
        reasons.append(f"The role {role} may not read {first_few(about['unreadable'])}: GRANT pg_read_all_data TO {role}.")
    return [*reasons, *_no_room(params["temp"], about["bytes"])]


def _no_room(folder: str, size: int) -> list[str]:
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return [f"{folder} cannot be used for the dump: {(error.strerror or '').lower()}."]
    free = disk.f_bavail * disk.f_frsize
    if size + snapshots.ROOM <= free:
        return []
    return [f"A dump may take {sized(size)} of {folder}, and {sized(free)} are free there (--temp)."]


def _captured(params: Params, about: Mapping[str, Any], young: dict[str, Any] | None, check_mode: bool) -> Result:
    """Keep what a dump of one database leaves out."""
    rows = [] if young else [{"dump": printable(params["database"]), "bytes": about["bytes"]}]
    rows += [{"remove": folder} for folder in _leftovers(params)]
    settings = {key: about[key] for key in LEFT_OUT}
    return {"changed": False, "evidence": {SETTINGS: _text(settings)}, "affected": rows, "msg": SETTINGS}


def _leftovers(params: Params) -> list[str]:
    return snapshots.leftovers(params["temp"], snapshots.owner_of(params["folder"]))


def _changed(server: Server, params: Params, about: Mapping[str, Any], young: dict[str, Any] | None, check_mode: bool) -> Result:
    if check_mode:
        swept = [f"would be removed: {', '.join(_leftovers(params))}"] if _leftovers(params) else []
        dump = [] if young else [f"{printable(params['database'])} would be dumped, {sized(about['bytes'])} or less"]
        return {"changed": bool(swept or dump), "msg": ", ".join([*dump, *swept]) or _kept(about, young).removeprefix("and ")}
    swept = snapshots.sweep(params["temp"], snapshots.owner_of(params["folder"]))
    removed = [f"removed: {', '.join(swept)}"] if swept else []
    if young:
        return {
            "changed": bool(swept),
            "msg": ", ".join([f"not dumped again: {_kept(about, young).removeprefix('and ')}", *removed]),
        }
    if refusals := _refusals(params, about):
        raise Failure(" ".join(refusals))
    result = _dumped(server, params, about)
    return {**result, "msg": ", ".join([result["msg"], *removed])}


def _dumped(server: Server, params: Params, about: Mapping[str, Any]) -> Result:
    """Dump it, read the dump through, and hold it against what was counted in the same moment. Raises Failure."""
    moment = _moment(server)
    program = dumps.program("pg_dump", params["programs"])
    words = dumps.command(program, params["format"], values.seconds(params["wait"]), moment)
    with snapshots.making(params["temp"], snapshots.owner_of(params["folder"])) as snapshot:
        name = f"{evidence_names.safe(params['database'])}.{'sql' if params['format'] == 'plain' else 'dump'}"
        with dumps.running(words, dumps.environment(params)) as output:
            piece = snapshot.add(name, f"pg_dump {params['database']}", dumps.pieces(output))
        counted = server.ask(server.ask(dump_queries.COUNTING, {}) + " WHERE $1::text IS NOT NULL", {}) if moment else None
        dumped = _read_through(params, snapshot.path)
        if counted is not None and (wrong := dumps.differences(dumped, counted)):
            raise Failure(f"The dump is not what the database was: {first_few(wrong, separator=' ')}")
    kept = {"name": piece.name, "source": piece.source, "bytes": piece.size, "sha256": piece.sha256, "note": ""}
    listing = {"kept": [kept], "skipped": [], "unlisted": 0, "older": 0}
    document = {**_document(params, about, dumped, counted is not None), "file": name, "sha256": piece.sha256, "bytes": piece.size}
    return {
        "changed": True,
        "snapshot": {"path": snapshot.path, "bytes": snapshot.size, "files": [(piece.name, piece.size, piece.sha256)]},
        "evidence": {"captured.json": _text(listing), EVIDENCE: _text(document)},
        "msg": _in_words(name, piece.size, dumped, counted is not None, about),
    }


def _moment(server: Server) -> str:
    """Begin a transaction that sees one moment, and give it a name that pg_dump can take; '' where no session lasts."""
    if not server.lasts:
        return ""
    server.alone(dump_queries.BEGIN, 1)
    server.ask(dump_queries.UNLIMITED, {})
    return str(server.ask(dump_queries.MOMENT, {}))


def _read_through(params: Params, path: str) -> dict[str, int]:
    if params["format"] == "plain":
        return dumps.plain(path)
    return dumps.restored(path, dumps.program("pg_restore", params["programs"]))


def _document(params: Params, about: Mapping[str, Any], dumped: Mapping[str, int], counted: bool) -> dict[str, Any]:
    """database.json: what was dumped when, its rows, and what a dump of one database leaves out."""
    whole = {key: value for key, value in about.items() if key not in ("server", "unreadable", "bytes", "now")}
    return {
        "schema": SCHEMA,
        "database": params["database"],
        "taken": about["now"],
        "format": params["format"],
        "server_version": about["server"]["version"],
        "database_bytes": about["bytes"],
        "keep_for": params["keep_for"],
        "rows": dict(dumped),
        "counted_in_the_same_moment": counted,
        **whole,
    }


def _in_words(name: str, size: int, dumped: Mapping[str, int], counted: bool, about: Mapping[str, Any]) -> str:
    amount = f"{values.counted(len(dumped), 'table')}, {values.counted(sum(dumped.values()), 'row')}"
    proof = (
        "read through, and each row counted" if counted else "read through; its rows were not counted at the server (no psycopg)"
    )
    left_out = [text for key, text in ATTACHED.items() if about[key]]
    missing = f"; not in it: {first_few(left_out)}" if left_out else ""
    return f"{name}, {sized(size)}, {amount}, {proof}{missing}"


def _text(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _proved(params: Params, about: Mapping[str, Any], young: dict[str, Any] | None, check_mode: bool) -> Result:
    if young is None and not check_mode:
        raise Failure(f"No dump of {printable(params['database'])} from the last {params['fresh_for']} is in the record.")
    message = _kept(about, young).removeprefix("and ")
    return {"changed": False, "summary": _summary(about, young), "msg": message}


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
