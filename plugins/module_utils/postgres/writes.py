"""Freezing the writes of databases: what to look at, as SQL, what speaks against it, what to keep and what to say.

Pure: statements, facts in, sentences out. A default binds the sessions that begin after it, so those from before must end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import sessions
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sessions import SERVER, counted
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sql_text import identifier
from ansible_collections.irctl.runbooks.plugins.module_utils.values import first_few, printable

SETTING = "default_transaction_read_only"
FROZEN = "on"
REVERT = "revert.json"
LARGE_OBJECTS_HELD = 16  # from this version on a session that may only read cannot write large objects either
SHOWN = 8  # of the databases there are, and of those who may go on writing

Settings: TypeAlias = "Mapping[str, str | None]"

STATE = f"""
WITH given AS (SELECT $1::jsonb AS p),
stored AS (SELECT s.setdatabase, s.setrole, substr(c, strpos(c, '=') + 1) AS value
  FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE split_part(c, '=', 1) = '{SETTING}')
SELECT json_build_object('server', ({SERVER}),
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'databases', (SELECT json_object_agg(datname, json_build_object('oid', d.oid::bigint, 'template', datistemplate,
     'owner', pg_get_userbyid(datdba), 'may_alter', pg_has_role(datdba, 'USAGE'),
     'setting', (SELECT value FROM stored WHERE setdatabase = d.oid AND setrole = 0))) FROM pg_database d),
  'roles', (SELECT coalesce(json_agg(json_build_object('role', rolname, 'database', datname, 'setting', value)), '[]')
     FROM given, stored JOIN pg_roles r ON r.oid = setrole LEFT JOIN pg_database d ON d.oid = setdatabase
     WHERE rolcanlogin AND NOT rolsuper AND (setdatabase = 0 OR p->'databases' ? datname)
       AND (p->>'protected_users' = '' OR rolname !~ (p->>'protected_users'))))
"""

# Sessions of the databases, each with one verdict. In a database that was frozen already a session without a transaction id
# has written nothing; whether it is older than the freeze, PostgreSQL does not tell.
_JUDGED = """
WITH given AS (SELECT $1::jsonb AS p),
seen AS (
  SELECT a.pid, (extract(epoch FROM a.backend_start) * 1000000)::bigint AS started, a.datname, a.usename, a.usesysid,
         a.application_name, a.client_addr, a.state, a.query, a.xact_start, a.backend_xid IS NOT NULL AS writes,
         coalesce(a.backend_type, 'client backend') AS kind
  FROM pg_stat_activity a, given WHERE a.pid <> pg_backend_pid() AND p->'databases' ? a.datname),
judged AS (
  SELECT s.*, CASE
    WHEN kind IN ('autovacuum worker', 'parallel worker') THEN 'no writer'
    WHEN kind = 'walsender' AND pid IN (SELECT pid FROM pg_stat_replication WHERE state IN ('streaming', 'catchup'))
      THEN 'no writer'
    WHEN kind = 'walsender' THEN 'replication, which takes statements too'
    WHEN kind <> 'client backend' THEN 'background worker'
    WHEN usesysid = ANY((SELECT array_agg(oid) FROM pg_roles WHERE rolsuper)::oid[]) THEN 'superuser'
    WHEN usename IS NULL THEN 'dropped role'
    WHEN p->>'protected_users' <> '' AND usename ~ (p->>'protected_users') THEN 'protected'
    WHEN p->>'protected_applications' <> '' AND application_name ~ (p->>'protected_applications') THEN 'protected'
    WHEN p->'frozen' ? datname AND NOT writes THEN 'perhaps older than the freeze'
    WHEN NOT (p->>'end_writers')::boolean THEN 'not ended, as asked'
    ELSE 'end' END AS verdict
  FROM seen s, given),
named AS (SELECT (pair->>0)::int AS pid, (pair->>1)::bigint AS started FROM given, jsonb_array_elements(p->'among') pair),
due AS (SELECT judged.* FROM judged, given WHERE verdict = 'end' AND started <= (p->>'before')::bigint)
"""

SESSIONS = (
    _JUDGED
    + """
, spared AS (
  SELECT verdict, usename AS role, count(*) AS n FROM judged WHERE verdict NOT IN ('end', 'no writer') GROUP BY 1, 2
  UNION ALL SELECT 'prepared transaction', owner, count(*) FROM pg_prepared_xacts, given WHERE p->'databases' ? database GROUP BY 2)
SELECT json_build_object(
  'matching', (SELECT coalesce(json_agg(json_build_array(pid, started) ORDER BY started), '[]') FROM judged WHERE verdict = 'end'),
  'there', (SELECT count(*) FROM judged WHERE kind = 'client backend'),
  'left', (SELECT count(*) FROM judged JOIN named USING (pid, started)),
  'spared', (SELECT coalesce(json_agg(spared ORDER BY verdict, role), '[]') FROM spared))
"""
)

DESCRIBED = (
    _JUDGED
    + """
SELECT coalesce(json_agg(json_build_object('pid', pid, 'backend_start_us', started, 'database', datname, 'user', usename,
  'application', application_name, 'client', client_addr, 'kind', kind, 'state', state, 'verdict', verdict, 'writes', writes,
  'in_transaction_since', xact_start, 'last_statement', query,
  'encoding', (SELECT pg_encoding_to_char(encoding) FROM pg_database d WHERE d.datname = judged.datname))
  ORDER BY verdict, started), '[]')
FROM judged WHERE verdict <> 'no writer'
"""
)

CLOCK = "WITH given AS (SELECT $1::jsonb AS p) SELECT to_json((extract(epoch FROM clock_timestamp()) * 1000000)::bigint) FROM given"

# Those that were signalled already are in `among`; they count as left until they are gone.
ENDED = (
    _JUDGED
    + """
SELECT json_build_object('left', (SELECT count(*) FROM due),
  'signalled', (SELECT coalesce(json_agg(json_build_array(pid, started)) FILTER (WHERE signalled), '[]') FROM (
    SELECT pid, started, pg_terminate_backend(pid) AS signalled FROM (
      SELECT pid, started FROM due WHERE (pid, started) NOT IN (SELECT pid, started FROM named)
      ORDER BY started LIMIT (SELECT (p->>'limit')::int FROM given)) victims) done))
"""
)

STATEMENTS = f"""
WITH given AS (SELECT $1::jsonb AS p)
SELECT to_json(string_agg(CASE WHEN value IS NULL THEN format('ALTER DATABASE %I RESET {SETTING}', name)
  ELSE format('ALTER DATABASE %I SET {SETTING} = %L', name, value) END, '; '))
FROM given, jsonb_each_text(p) AS wanted(name, value)
"""

EFFECT = f"""
WITH given AS (SELECT $1::jsonb AS p)
SELECT json_build_object('value', setting, 'source', source) FROM pg_settings, given WHERE name = '{SETTING}'
"""


def is_on(setting: str | None) -> bool:
    """Read a stored setting as PostgreSQL does: any beginning of true and yes, on, 1. Unset is off."""
    text = (setting or "").lower()
    return text in ("on", "1") or (text != "" and ("true".startswith(text) or "yes".startswith(text)))


def same(one: str | None, other: str | None) -> bool:
    return (one is None) == (other is None) and is_on(one) == is_on(other)


def asked(params: Mapping[str, Any], frozen: Iterable[str] = ()) -> dict[str, Any]:
    """Turn module arguments into the statements' one parameter; `frozen` are the databases that were so before this run."""
    return {
        "databases": params["database"],
        "frozen": list(frozen),
        "end_writers": params["end_writers"],
        **sessions.protected(params),
        "among": [],
        "before": 0,
        "limit": params["max"],
    }


def settings(state: Mapping[str, Any], names: Iterable[str]) -> dict[str, str | None]:
    """The stored setting of each of these databases that is there; None where it has none."""
    return {name: state["databases"][name]["setting"] for name in names if name in state["databases"]}


def refusals(state: Mapping[str, Any], params: Mapping[str, Any], matching: int) -> list[str]:
    """Say why these databases must not be frozen; an empty list means they may be."""
    said = [*_cannot_alter(state, params["database"]), *_overriding(state["roles"])]
    if params["end_writers"]:
        said += sessions.missing_grants(state["server"])
        if matching > params["max"]:
            said.append(
                f"{counted(matching)} would be ended and the limit is {params['max']}. Name fewer databases, or raise --max."
            )
    return said


def _cannot_alter(state: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    server, found = state["server"], state["databases"]
    if server["in_recovery"]:
        return ["The server is a replica: it takes no writes, and its settings are changed on its primary."]
    return [said for name in names if (said := _why_not(name, found, printable(server["role"])))]


def _why_not(name: str, found: Mapping[str, Any], role: str) -> str:
    if name not in found:
        known = sorted(one for one, about in found.items() if not about["template"])
        return f"There is no database {printable(name)!r}. There are: {listed(known)}."
    shown, about = printable(name), found[name]
    if about["template"]:
        return f"{shown} is a template, and templates are left alone."
    if not about["may_alter"]:
        owner = printable(about["owner"])
        return (
            f"The role {role} may not change {shown}: it is neither its owner, {owner}, nor a superuser. Set postgres_user to one."
        )
    return ""


def _overriding(roles: Iterable[Mapping[str, Any]]) -> list[str]:
    """A role's own setting goes before its database's."""
    said = []
    for one in roles:
        if not is_on(one["setting"]):
            role, within = printable(one["role"]), f" IN DATABASE {identifier(one['database'])}" if one["database"] else ""
            undo = f"ALTER ROLE {identifier(one['role'])}{within} RESET {SETTING};"
            said.append(
                f"The role {role} has {SETTING} = {shown(one['setting'])} of its own, which goes before a database's. {undo}"
            )
    return said


def record(state: Mapping[str, Any], found: Settings) -> dict[str, Any]:
    """What a revert needs to know: the settings as they were, as this run sets them, and of which databases of which server."""
    oids = {name: state["databases"][name]["oid"] for name in found}
    return {
        "captured": dict(found),
        "sets": dict.fromkeys(found, FROZEN),
        "on": {"system_identifier": state["system_identifier"], "databases": oids},
    }


def check(kept: Mapping[str, Any]) -> None:
    """Check that a record is one of this remediation. Raises ValueError."""
    captured, sets, oids = kept["captured"], kept["sets"], kept["on"].get("databases")
    sound = bool(captured) and isinstance(oids, dict) and set(captured) == set(sets) == set(oids)
    if not sound or not all(value is None or isinstance(value, str) for value in (*captured.values(), *sets.values())):
        raise ValueError("record: not what freezing the writes of a database keeps")


def elsewhere(state: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    """Say that this is another server than the one that the record is of; '' where it is the same."""
    here, there = state["system_identifier"], printable(kept["on"].get("system_identifier"))
    return "" if here == there else f"This is another server than that run changed: its system identifier is {here}, not {there}."


def gone(state: Mapping[str, Any], kept: Mapping[str, Any]) -> list[str]:
    """The databases of the record that are not there any more, or are others of that name."""
    now = {name: about["oid"] for name, about in state["databases"].items()}
    return [name for name, oid in kept["on"]["databases"].items() if now.get(name) != oid]


def objections(state: Mapping[str, Any], kept: Mapping[str, Any], force: bool) -> list[str]:
    """Say why the settings of the record must not be put back; an empty list means they may be."""
    if said := elsewhere(state, kept):
        return [said]
    lost = gone(state, kept)
    there = [name for name in kept["captured"] if name not in lost]
    return _cannot_alter(state, there) + ([] if force else [*map(_lost, lost), *_changed_since(settings(state, there), kept)])


def _lost(name: str) -> str:
    return f"The database {printable(name)} is not the one that was changed: it was dropped, renamed or made anew since."


def _changed_since(now: Settings, kept: Mapping[str, Any]) -> list[str]:
    return [
        f"Somebody else has changed {SETTING} of {printable(name)} since: it is now {shown(setting)}, "
        f"this run had set {shown(kept['sets'][name])} and found {shown(kept['captured'][name])}."
        for name, setting in now.items()
        if not same(setting, kept["sets"][name]) and not same(setting, kept["captured"][name])
    ]


def to_put_back(state: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, str | None]:
    """The captured settings of those databases that do not have them."""
    lost = gone(state, kept)
    now = settings(state, [name for name in kept["captured"] if name not in lost])
    return {name: kept["captured"][name] for name, setting in now.items() if not same(setting, kept["captured"][name])}


def doubt(effect: Mapping[str, Any], wanted: str | None) -> str:
    """Judge what a new session saw: '' where it saw what was wanted, 'hidden' where it could not, else what it saw instead."""
    if "why" in effect or effect["source"] in ("user", "database user", "client", "environment variable", "command line"):
        return "hidden"
    stored = effect["value"] if effect["source"] == "database" else None
    return "" if same(stored, wanted) else shown(stored)


def shown(setting: str | None) -> str:
    return "unset" if setting is None else printable(setting, 40)


def listed(names: Sequence[str]) -> str:
    """Name some, and count the rest."""
    return first_few([printable(name, 200) for name in names], SHOWN)


def may_write(spared: Sequence[Mapping[str, Any]], version: str) -> str:
    """Whose sessions may still write, and why they were left, and what a server of this version lets all write: '' for none."""
    said = [f"{one['n']} of {printable(one['role'] or 'nobody', 63)} ({one['verdict']})" for one in spared]
    number = re.match(r"\d+", version)
    if number and int(number[0]) < LARGE_OBJECTS_HELD:
        said.append(f"everybody to large objects (PostgreSQL before {LARGE_OBJECTS_HELD})")
    return f"may still write: {listed(said)}" if said else ""
