"""Which PostgreSQL sessions block others and may be cancelled or ended, as SQL, and what to say about them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import sessions

# A root is a session that blocks others and waits for no lock itself. Each is 'pid/start/start of its statement'.
# A waiting parallel worker counts as its leader, because PostgreSQL names the leader as the one who blocks.
# What others wait for by an advisory lock alone may be meant so: a leader, and those who would follow it.
# What only reads from its client takes no cancel: a COPY FROM STDIN answers true and goes on.
_JUDGED = r"""
WITH RECURSIVE given AS (SELECT $1::jsonb AS p),
asked AS (SELECT (p->>'waiting_for')::float AS waiting_for, p->>'protected_users' AS protected_users,
                 p->>'protected_applications' AS protected_applications, p FROM given),
seen AS MATERIALIZED (
  SELECT a.*, (extract(epoch FROM a.backend_start) * 1000000)::bigint AS started,
         coalesce((extract(epoch FROM a.query_start) * 1000000)::bigint, 0) AS statement_started,
         extract(epoch FROM clock_timestamp() - a.state_change)::float AS state_age
  FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid()),
wanted AS MATERIALIZED (
  SELECT l.*, extract(epoch FROM clock_timestamp()
           - coalesce((to_jsonb(l)->>'waitstart')::timestamptz, s.query_start))::float AS seconds,
         coalesce((to_jsonb(s)->>'leader_pid')::int, l.pid) AS waiter, pg_blocking_pids(l.pid) AS blockers
  FROM pg_locks l JOIN seen s USING (pid) WHERE NOT l.granted),
edge AS (SELECT DISTINCT waiter, blocker FROM wanted, unnest(blockers) blocker WHERE blocker <> waiter),
behind AS (
  SELECT blocker AS root, waiter FROM edge WHERE blocker NOT IN (SELECT waiter FROM wanted)
  UNION SELECT b.root, e.waiter FROM behind b JOIN edge e ON e.blocker = b.waiter),
root AS (
  SELECT b.root AS pid, count(DISTINCT b.waiter) AS waiting, max(w.seconds) AS longest,
         bool_and(w.locktype = 'advisory') FILTER (WHERE b.root = ANY(w.blockers)) AS advisory
  FROM behind b JOIN wanted w USING (waiter) GROUP BY 1),
judged AS (
  SELECT s.*, r.waiting, r.longest,
    CASE WHEN s.state IN ('active', 'fastpath function call') AND s.wait_event IS DISTINCT FROM 'ClientRead'
      THEN 'cancel' ELSE 'end' END AS how,
    CASE
    WHEN r.longest < waiting_for THEN 'recent'
    WHEN (jsonb_array_length(p->'databases') > 0 AND (p->'databases' ? s.datname) IS NOT TRUE)
      OR (jsonb_array_length(p->'users') > 0 AND (p->'users' ? s.usename) IS NOT TRUE)
      OR (jsonb_array_length(p->'applications') > 0 AND (p->'applications' ? s.application_name) IS NOT TRUE) THEN 'not asked for'
    WHEN s.backend_type IS DISTINCT FROM 'client backend' THEN 'not a client'
    WHEN s.usesysid = ANY((SELECT array_agg(oid) FROM pg_roles WHERE rolsuper)::oid[]) THEN 'superuser'
    WHEN s.usename IS NULL THEN 'dropped role'
    WHEN protected_users <> '' AND s.usename ~ protected_users THEN 'protected'
    WHEN protected_applications <> '' AND s.application_name ~ protected_applications THEN 'protected'
    WHEN s.wait_event = 'SyncRep' THEN 'standby'
    WHEN s.state IS NULL OR (s.state NOT LIKE 'idle%' AND s.state NOT IN ('active', 'fastpath function call')) THEN 'unknown'
    WHEN r.advisory AND NOT (p->>'advisory')::bool THEN 'advisory lock'
    ELSE 'free' END AS verdict
  FROM root r JOIN seen s USING (pid), asked),
named AS (SELECT split_part(one, '/', 1)::int AS pid, split_part(one, '/', 2)::bigint AS started,
                 nullif(split_part(one, '/', 3), '')::bigint AS statement_started
          FROM given, jsonb_array_elements_text(p->'among') one),
victim AS (SELECT j.* FROM judged j JOIN named n USING (pid, started)
           WHERE verdict = 'free' AND coalesce(n.statement_started, j.statement_started) = j.statement_started
           ORDER BY j.waiting DESC LIMIT (SELECT (p->>'limit')::int FROM given))
"""

_SHORT = """json_build_object('pid', pid, 'user', usename, 'database', datname, 'application', application_name,
  'state', state, 'backend_type', backend_type, 'seconds', round(state_age), 'waiting', waiting, 'longest', longest,
  'verdict', verdict, 'how', how)"""

# A prepared transaction is no session: pg_blocking_pids says 0. Its locks bear the virtual transaction of the session that prepared
# it, after a restart another; the lock on its own number, under the same, tells which one it is.
_PREPARED = """
SELECT coalesce(json_agg(json_build_object('gid', gid, 'database', database, 'owner', owner,
    'seconds', round(extract(epoch FROM clock_timestamp() - prepared)), 'waiting', waiting) ORDER BY prepared), '[]')
FROM (SELECT x.gid, x.database, x.owner, x.prepared, count(DISTINCT w.waiter) AS waiting
  FROM wanted w JOIN pg_locks h ON h.pid IS NULL AND h.granted
    AND (h.locktype, h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid::text, h.classid, h.objid, h.objsubid)
      IS NOT DISTINCT FROM
        (w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid::text, w.classid, w.objid, w.objsubid)
  JOIN pg_locks own ON own.pid IS NULL AND own.locktype = 'transactionid' AND own.virtualtransaction = h.virtualtransaction
  JOIN pg_prepared_xacts x ON x.transaction = own.transactionid
  WHERE 0 = ANY(w.blockers) AND w.seconds >= (SELECT waiting_for FROM asked) GROUP BY 1, 2, 3, 4) x
"""

LISTED = (
    _JUDGED
    + f"""SELECT json_build_object('server', ({sessions.SERVER}),
  'matching', (SELECT coalesce(json_agg(pid || '/' || started || '/' || statement_started ORDER BY waiting DESC), '[]')
     FROM judged WHERE verdict = 'free'),
  'roots', (SELECT coalesce(json_agg({_SHORT} ORDER BY waiting DESC), '[]') FROM judged),
  'prepared', ({_PREPARED}),
  'waiting', (SELECT count(DISTINCT waiter) FROM wanted),
  'longest', (SELECT coalesce(max(seconds), 0) FROM wanted),
  'unexplained', (SELECT count(DISTINCT waiter) FROM wanted WHERE waiter NOT IN (SELECT waiter FROM behind)
     AND seconds >= (SELECT waiting_for FROM asked)))
"""
)

DESCRIBED = (
    _JUDGED
    + """SELECT coalesce(json_agg(json_build_object('pid', pid, 'backend_start_us', started, 'database', datname, 'user', usename,
  'application', application_name, 'client', client_addr, 'backend_type', backend_type, 'state', state,
  'in_state_seconds', round(state_age), 'in_transaction_since', xact_start, 'last_statement', query,
  'blocked_by', (SELECT coalesce(json_agg(DISTINCT blocker), '[]') FROM edge WHERE waiter = s.pid),
  'waiting', (SELECT json_build_object('lock', w.locktype, 'mode', w.mode, 'relation', w.relation::bigint,
     'seconds', round(w.seconds))
     FROM wanted w WHERE w.waiter = s.pid LIMIT 1),
  'verdict', (SELECT verdict FROM judged j WHERE j.pid = s.pid)) ORDER BY pid), '[]')
FROM seen s WHERE pid IN (SELECT waiter FROM edge UNION SELECT blocker FROM edge)
"""
)

_HIT = """SELECT coalesce(json_agg(pid || '/' || started) FILTER (WHERE signalled), '[]')
FROM (SELECT pid, started, {} AS signalled {}) hit"""
CANCELLED = _JUDGED + _HIT.format("pg_cancel_backend(pid)", "FROM (SELECT * FROM victim WHERE how = 'cancel' OFFSET 0) victims")
ENDED = _JUDGED + _HIT.format("pg_terminate_backend(pid)", "FROM (SELECT * FROM victim OFFSET 0) victims")
UNCANCELLABLE = (
    _JUDGED + "SELECT coalesce(json_agg(pid || '/' || started || '/' || statement_started), '[]') FROM victim WHERE how = 'end'"
)
STILL_BLOCKING = _JUDGED + "SELECT coalesce(json_agg(pid || '/' || started), '[]') FROM judged JOIN named USING (pid, started)"

WHY_SPARED = {
    "not a client": "is no client's session ({backend_type})",
    "superuser": "is a superuser's",
    "protected": "is protected",
    "dropped role": "is of a dropped role, so nobody knows whether it is protected",
    "standby": "waits for a synchronous standby, and cancelling it would hide that",
    "advisory lock": "holds an advisory lock, which is an application's own arrangement (--advisory)",
    "unknown": "does not say what it does (track_activities is off for it)",
}


def asked(params: Mapping[str, Any], among: Sequence[str] = ()) -> dict[str, Any]:
    """Turn module arguments into the statements' one parameter. Raises ValueError for a duration that is none."""
    return {
        "waiting_for": values.seconds(params["waiting_for"]),
        "databases": params["database"],
        "users": params["user"],
        "applications": params["application"],
        "advisory": params["advisory"],
        **sessions.protected(params),
        "among": list(among),
        "limit": params["max"],
    }


def refusals(listing: Mapping[str, Any], limit: int) -> list[str]:
    """Say why the roots in `listing` must not be touched; an empty list means they may be, or that nobody waits."""
    if grants := sessions.missing_grants(listing["server"]):
        return grants
    number = len(listing["matching"])
    if number > limit:
        return [f"{counted(number)} match and the limit is {limit}. Narrow with --database or --user, or raise --max."]
    return [] if number else obstacles(listing) + unexplained(listing)


def obstacles(listing: Mapping[str, Any]) -> list[str]:
    """Say of those who block and are not to be ended who they are, in one sentence if there are any."""
    reasons = [
        f"{who(root)} {WHY_SPARED[root['verdict']].format(**root)}" for root in listing["roots"] if root["verdict"] in WHY_SPARED
    ]
    reasons += [_prepared(one) for one in listing["prepared"]]
    return [f"Somebody waits, and no session may be ended for it: {values.first_few(reasons, separator='; ')}."] if reasons else []


def unexplained(listing: Mapping[str, Any]) -> list[str]:
    """Say of how many sessions nobody is seen who blocks them and does not wait."""
    number = sessions.counted(listing["unexplained"])
    return (
        [f"Who blocks {number} cannot be told: PostgreSQL names nobody, as on a standby that replays, or they wait in a circle."]
        if listing["unexplained"]
        else []
    )


def _prepared(prepared: Mapping[str, Any]) -> str:
    gid, database, owner = (values.printable(prepared[key], 80) for key in ("gid", "database", "owner"))
    command = "ROLLBACK PREPARED '{}'".format(gid.replace("'", "''"))
    age = values.duration(prepared["seconds"])
    return f"the prepared transaction {gid} is {age} old; {owner} ends it by {command} in database {database}"


def counted(number: int) -> str:
    """'1 root' or '2 roots'."""
    return values.counted(number, "root")


def who(root: Mapping[str, Any]) -> str:
    """'pid 12 (app in shop, batch)'."""
    names = f"{values.printable(root['user'] or '')} in {values.printable(root['database'] or '')}"
    application = f", {values.printable(root['application'])}" if root["application"] else ""
    return f"pid {root['pid']} ({names}{application})"


def summary(listing: Mapping[str, Any]) -> dict[str, Any]:
    """What a record keeps of a listing."""
    kept = {key: listing[key] for key in ("roots", "prepared", "waiting", "unexplained")}
    return {**listing["server"], **kept, "longest_seconds": round(listing["longest"], 1), "matching": len(listing["matching"])}


def usage(listing: Mapping[str, Any]) -> str:
    """How many wait: '3 sessions wait for a lock'."""
    number = listing["waiting"]
    return f"{sessions.counted(number)} {'waits' if number == 1 else 'wait'} for a lock" if number else "nobody waits for a lock"


def in_words(listing: Mapping[str, Any], waiting_for: str) -> str:
    """One line: who waits, what would be cancelled or ended for it, and what is spared."""
    if not listing["waiting"]:
        return usage(listing)
    line = f"{usage(listing)}, the longest for {values.duration(listing['longest'])}"
    free = [root for root in listing["roots"] if root["verdict"] == "free"]
    if free:
        blocking = f"behind {who(free[0])}, {values.printable(free[0]['state'])} for {values.duration(free[0]['seconds'])}"
        line += f", {blocking}" + (f" and {len(free) - 1} more" if len(free) > 1 else "")
    elif listing["longest"] < values.seconds(waiting_for):
        line += f", none for {waiting_for}"
    spared = sum(root["verdict"] in WHY_SPARED for root in listing["roots"]) + len(listing["prepared"])
    return f"{line} · spared: {spared}" if spared else line


def identified(session: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a described session from the others."""
    columns = ("pid", "user", "database", "application", "client", "state", "in_state_seconds", "last_statement")
    return {column: session[column] for column in columns}
