"""What a look at PostgreSQL found, in plain words with the command to run next. Pure: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sessions import SERVER, counted, doubts, missing_grants
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sql_text import without_values
from ansible_collections.irctl.runbooks.plugins.module_utils.values import duration, printable

SHOWN = 5  # rows of each kind; a diagnosis at 3 a.m. is read, not searched
REPLICA_BEHIND = 10.0  # seconds
LONG_PREPARED = 60  # seconds
LONG_WAIT = 1  # seconds
NEARLY_FULL = 0.9  # of a limit
SYNCHRONOUS = "IPC SyncRep"  # it has committed and waits for a standby; who cancels it hides that


class Finding(TypedDict):
    """One thing that was found. `level` is problem, notice or fine; in `next`, {host} stands for the host."""

    level: str
    says: str
    next: str


# A prepared transaction has no process: pg_blocking_pids gives 0 for it, and its locks are known by its transaction alone.
FACTS = f"""
WITH RECURSIVE given AS (SELECT $1::jsonb AS p),
activity AS MATERIALIZED (
  SELECT *, extract(epoch FROM clock_timestamp() - state_change)::float AS state_age,
    extract(epoch FROM clock_timestamp() - coalesce(query_start, xact_start, backend_start))::float AS query_age,
    CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(pid) ELSE '{{}}' END AS blocked_by
  FROM pg_stat_activity WHERE pid <> pg_backend_pid()),
client AS (SELECT * FROM activity WHERE backend_type = 'client backend'),
explained AS (
  SELECT pid FROM activity, unnest(blocked_by) AS blocker
    WHERE blocker NOT IN (SELECT pid FROM activity WHERE wait_event_type = 'Lock')
  UNION SELECT w.pid FROM activity w JOIN explained e ON e.pid = ANY(w.blocked_by)),
short AS (
  SELECT a.*, json_build_object('pid', pid, 'kind', backend_type, 'user', usename, 'database', datname,
    'application', application_name, 'backend_start', backend_start, 'state', state, 'statement', query,
    'wait', wait_event_type || ' ' || wait_event, 'seconds', round(CASE WHEN state LIKE 'idle%' THEN state_age ELSE query_age END),
    'blocks', (SELECT count(*) FROM activity w WHERE a.pid = ANY(w.blocked_by))) AS said
  FROM activity a),
thing AS MATERIALIZED (
  SELECT pid, granted, virtualtransaction, transactionid, row(locktype, database, relation, page, tuple, virtualxid,
    transactionid, classid, objid, objsubid)::text AS thing FROM pg_locks),
prepared AS (
  SELECT gid, owner, database, round(extract(epoch FROM clock_timestamp() - prepared)) AS seconds,
    (SELECT count(DISTINCT w.pid) FROM activity w JOIN thing wanted ON wanted.pid = w.pid AND NOT wanted.granted
       JOIN thing held ON held.thing = wanted.thing AND held.granted AND held.pid IS NULL
     WHERE 0 = ANY(w.blocked_by) AND held.virtualtransaction = own.virtualtransaction) AS blocks
  FROM pg_prepared_xacts p LEFT JOIN thing own ON own.pid IS NULL AND own.transactionid = p.transaction AND own.granted),
slot AS (SELECT slot_name, restart_lsn, to_jsonb(s)->>'wal_status' IS NOT DISTINCT FROM 'lost' AS lost FROM pg_replication_slots s
  WHERE NOT active AND to_jsonb(s)->>'synced' IS DISTINCT FROM 'true')
SELECT json_build_object('server', ({SERVER}),
  'states', (SELECT coalesce(json_object_agg(coalesce(state, 'unknown'),
     json_build_object('count', n, 'oldest_seconds', oldest)), '{{}}')
     FROM (SELECT state, count(*) AS n, round(max(state_age)) AS oldest FROM client GROUP BY state) s),
  'in_transaction', (SELECT coalesce(json_agg(said), '[]') FROM (SELECT said FROM short
     WHERE backend_type = 'client backend' AND state LIKE 'idle in transaction%' ORDER BY state_change LIMIT {SHOWN}) s),
  'long', (SELECT coalesce(json_agg(said), '[]') FROM (SELECT said FROM short, given
     WHERE backend_type = 'client backend' AND state = 'active' AND query_age >= (p->>'long_for')::float
     ORDER BY query_start LIMIT {SHOWN}) s),
  'blockers', (SELECT coalesce(json_agg(said), '[]') FROM (SELECT said FROM short
     WHERE (said->>'blocks')::int > 0 AND blocked_by = '{{}}' ORDER BY (said->>'blocks')::int DESC LIMIT {SHOWN}) s),
  'prepared', (SELECT coalesce(json_agg(p), '[]') FROM (SELECT * FROM prepared ORDER BY blocks DESC, seconds DESC LIMIT {SHOWN}) p),
  'prepared_in_all', (SELECT count(*) FROM prepared),
  'waiting', (SELECT count(*) FROM activity WHERE blocked_by <> '{{}}'),
  'unexplained', (SELECT count(*) FROM activity WHERE wait_event_type = 'Lock' AND query_age >= {LONG_WAIT}
     AND pid NOT IN (SELECT pid FROM explained)),
  'reserved', current_setting('superuser_reserved_connections')::int
     + coalesce(current_setting('reserved_connections', true)::int, 0),
  'limits', (SELECT coalesce(json_agg(json_build_object('what', what, 'name', name, 'limit', most, 'in_use', n)), '[]') FROM (
     SELECT 'role' AS what, rolname AS name, rolconnlimit AS most, count(*) AS n
       FROM pg_roles r JOIN pg_stat_activity a ON a.usesysid = r.oid WHERE rolconnlimit >= 0 AND NOT rolsuper GROUP BY 1, 2, 3
     UNION ALL SELECT 'database', datname, datconnlimit, count(*)
       FROM pg_database d JOIN pg_stat_activity a USING (datname) WHERE datconnlimit >= 0 AND backend_type = 'client backend'
       GROUP BY 1, 2, 3) l WHERE n >= most * {NEARLY_FULL}),
  'replicas', (SELECT coalesce(json_agg(json_build_object('application', application_name, 'state', state,
     'behind_seconds', coalesce(extract(epoch FROM replay_lag)::float, 0))), '[]') FROM pg_stat_replication),
  'behind_seconds', CASE WHEN pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
     THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float ELSE 0 END,
  'replayed_seconds', CASE WHEN pg_is_in_recovery()
     THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float END,
  'receives', (SELECT count(*) FROM pg_stat_wal_receiver) > 0,
  'paused', CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
  'idle_slots', (SELECT coalesce(json_agg(slot_name), '[]') FROM slot WHERE restart_lsn IS NOT NULL AND NOT lost),
  'lost_slots', (SELECT coalesce(json_agg(slot_name), '[]') FROM slot WHERE lost))
"""


def findings(facts: Mapping[str, Any], listing: Mapping[str, Any], idle_for: str) -> list[Finding]:
    """Everything worth saying, what needs a person first at the top."""
    found = [
        *_sight(listing),
        *_fullness(facts),
        *_blocking(facts),
        *_prepared(facts),
        *_in_transaction(facts),
        *_endable(listing, idle_for),
        *_long(facts),
        *_replication(facts),
    ]
    order = {"problem": 0, "notice": 1, "fine": 2}
    return sorted(found, key=lambda finding: order[finding["level"]])


def _sight(listing: Mapping[str, Any]) -> Iterator[Finding]:
    for says in missing_grants(listing["server"]):
        yield Finding(level="problem", says=says, next="irctl diagnose postgres --host {host}")
    for says in doubts(listing):
        yield Finding(level="notice", says=says, next='psql -c "SELECT * FROM pg_stat_activity"')


def _fullness(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Reserved connections are not for everybody, so that most are refused before the server is full."""
    in_use, most, reserved = facts["server"]["in_use"], facts["server"]["max_connections"], facts["reserved"]
    share = in_use / max(most - reserved, 1)
    level = "problem" if share >= NEARLY_FULL else "notice" if share >= 0.75 else "fine"
    kept = f", and {reserved} are reserved" if level != "fine" and reserved else ""
    says = f"{in_use} of {most} connections are in use ({in_use / most:.0%}){kept}."
    yield Finding(level=level, says=says, next="irctl plan db-connections --host {host}" if level != "fine" else "")
    for limit in facts["limits"]:
        name = f"The {limit['what']} {printable(limit['name'])}"
        says = f"{name} has {limit['in_use']} of the {limit['limit']} connections that it may have."
        yield Finding(level="problem", says=says, next="irctl plan db-connections --host {host}")


def _blocking(facts: Mapping[str, Any]) -> Iterator[Finding]:
    for session in facts["blockers"]:
        says = (
            f"{_who(session)} blocks {session['blocks']} session(s); "
            f"it is {session['state'] or 'at work'} for {duration(session['seconds'])}."
        )
        freed = "irctl plan db-blockers --host {host} --waiting-for 5s" if session["kind"] == "client backend" else _free(session)
        yield Finding(level="problem", says=says, next=freed)
    if facts["unexplained"]:
        says = f"Who blocks {counted(facts['unexplained'])} cannot be told: PostgreSQL names nobody, or they wait in a circle."
        yield Finding(level="problem", says=says, next='psql -c "SELECT * FROM pg_locks WHERE NOT granted"')


def _prepared(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Transactions that were prepared for a two-phase commit. They outlive their sessions, and only a person ends them."""
    for one in facts["prepared"]:
        what = f"The prepared transaction {printable(one['gid'])} ({printable(one['owner'])} in {printable(one['database'])})"
        blocks = f" and blocks {one['blocks']} session(s)" if one["blocks"] else ""
        says = (
            f"{what} is open for {duration(one['seconds'])}{blocks}; COMMIT PREPARED or ROLLBACK PREPARED in that database ends it."
        )
        level = "problem" if one["blocks"] else "notice" if one["seconds"] >= LONG_PREPARED else "fine"
        yield Finding(level=level, says=says, next='psql -c "SELECT * FROM pg_prepared_xacts"')
    if others := facts["prepared_in_all"] - len(facts["prepared"]):
        yield Finding(level="notice", says=f"{others} more prepared transactions are open.", next="")


def _free(session: Mapping[str, Any]) -> str:
    if session["wait"] == SYNCHRONOUS:
        return 'psql -c "SELECT * FROM pg_stat_replication"'
    if session["kind"] != "client backend":
        return f'psql -c "SELECT * FROM pg_stat_activity WHERE pid = {int(session["pid"])}"'
    if session["state"].startswith("idle in transaction") and session["seconds"] >= 5:
        return f"irctl plan db-connections --host {{host}} --idle-in-transaction-for {max(5, int(session['seconds'] // 2))}s"
    same = f"pid = {int(session['pid'])} AND backend_start = '{session['backend_start']}'"
    return f'psql -c "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {same}"'


def _in_transaction(facts: Mapping[str, Any]) -> Iterator[Finding]:
    blockers = {session["pid"] for session in facts["blockers"]}
    for session in facts["in_transaction"]:
        if session["pid"] not in blockers:
            says = f"{_who(session)} is {session['state']} for {duration(session['seconds'])}."
            level = "notice" if session["seconds"] >= 60 else "fine"
            yield Finding(level=level, says=says, next=_free(session) if level == "notice" else "")


def _endable(listing: Mapping[str, Any], idle_for: str) -> Iterator[Finding]:
    number, spared = (
        len(listing["matching"]),
        sum(listing["verdicts"].get(why, 0) for why in ("protected", "listening", "advisory lock")),
    )
    if number:
        says = f"{number} sessions are idle for over {idle_for}, and db-connections would end them; it would spare {spared}."
        yield Finding(level="notice", says=says, next="irctl remediate db-connections --host {host} --check")
    else:
        yield Finding(level="fine", says=f"No session that may be ended is idle for over {idle_for}.", next="")


def _long(facts: Mapping[str, Any]) -> Iterator[Finding]:
    for session in facts["long"]:
        statement = without_values(session["statement"] or "", 80)
        wait = f", waiting for {printable(session['wait'])}" if session["wait"] else ""
        says = f"{_who(session)} runs for {duration(session['seconds'])}{wait}: {statement}"
        yield Finding(level="notice", says=says, next=_free(session))


def _replication(facts: Mapping[str, Any]) -> Iterator[Finding]:
    for replica in facts["replicas"]:
        late = replica["behind_seconds"] >= REPLICA_BEHIND or replica["state"] != "streaming"
        says = f"Replica {printable(replica['application'])} is {replica['state']}, {replica['behind_seconds']:.1f} s behind."
        yield Finding(level="notice" if late else "fine", says=says, next="irctl diagnose postgres --host {host}" if late else "")
    yield from _replay(facts)
    for slot in facts["idle_slots"][:SHOWN]:
        says = f"Nobody reads replication slot {printable(slot)}; it keeps WAL until the disk is full."
        yield Finding(level="notice", says=says, next='psql -c "SELECT * FROM pg_replication_slots"')

    for slot in facts["lost_slots"][:SHOWN]:
        says = f"Replication slot {printable(slot)} is lost: the WAL that it was to keep is gone, and its reader has to begin anew."
        yield Finding(level="notice", says=says, next='psql -c "SELECT * FROM pg_replication_slots"')


def _replay(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Of a replica, how far behind it is, where that can be told: who receives nothing does not know what there is."""
    again = "irctl diagnose postgres --host {host}"
    if facts["server"]["in_recovery"] and not facts["receives"]:
        last = f"; the last transaction it has is {duration(facts['replayed_seconds'])} old" if facts["replayed_seconds"] else ""
        says = f"This server is a replica that receives nothing, so how far behind it is cannot be told{last}."
        yield Finding(level="notice", says=says, next='psql -c "SELECT * FROM pg_stat_wal_receiver"')
    elif facts["behind_seconds"] >= REPLICA_BEHIND:
        says = f"This server is a replica and {duration(facts['behind_seconds'])} behind its primary."
        yield Finding(level="notice", says=says, next=again)
    if facts["paused"]:
        yield Finding(level="notice", says="This server is a replica, and its replay is paused.", next=again)


def _who(session: Mapping[str, Any]) -> str:
    application = f", {printable(session['application'])}" if session["application"] else ""
    kind = "" if session["kind"] == "client backend" else f"{printable(session['kind'])} "
    user = printable(session["user"]) if session["user"] else "of a dropped role" if not kind else ""
    within = f"in {printable(session['database'])}" if session["database"] else ""
    return f"pid {session['pid']} ({kind}{' '.join(word for word in (user, within) if word)}{application})"


def kept(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as a record may hold them: statements without values."""
    sessions = ("in_transaction", "long", "blockers")
    clean = {key: [{**row, "statement": without_values(row["statement"] or "")} for row in facts[key]] for key in sessions}
    return {**facts, **clean}
