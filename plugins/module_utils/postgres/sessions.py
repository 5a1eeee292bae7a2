"""Which PostgreSQL sessions may be ended, as SQL, and what to say about them. Pure: statements, facts in, sentences out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import names
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sql_text import identifier, without_values

IDLE_FLOOR = 5  # seconds; below this a pool in ordinary use would lose live sessions

# Connection poolers and tools that hold sessions for others: ending theirs ends what others are doing.
ALWAYS_PROTECTED = ("pgbouncer*", "PgBouncer*", "pgpool*", "odyssey*", "pgcat*", "patroni*", "Patroni*", "repmgr*", "pg_cron*")

# Each session is 'pid/start', one text and not two numbers: Ansible looks at each value of a thousand again and again.
# Each gets one verdict. The same words decide what is listed and, re-read in the killing statement, what is ended.
_JUDGED = r"""
WITH given AS (SELECT $1::jsonb AS p),
asked AS (SELECT (p->>'idle_for')::float AS idle_for, (p->>'idle_in_transaction_for')::float AS idle_in_transaction_for,
                 p->>'protected_users' AS protected_users, p->>'protected_applications' AS protected_applications, p FROM given),
seen AS (
  SELECT a.pid, (extract(epoch FROM a.backend_start) * 1000000)::bigint AS started, a.datname, a.usename, a.usesysid,
         a.application_name, a.client_addr, a.state, a.backend_type, a.query, a.state_change, a.xact_start,
         extract(epoch FROM clock_timestamp() - a.state_change)::float AS age
  FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid()),
judged AS (
  SELECT s.*, CASE
    WHEN s.backend_type IS DISTINCT FROM 'client backend' THEN 'not a client'
    WHEN (jsonb_array_length(p->'databases') > 0 AND (p->'databases' ? s.datname) IS NOT TRUE)
      OR (jsonb_array_length(p->'users') > 0 AND (p->'users' ? s.usename) IS NOT TRUE)
      OR (jsonb_array_length(p->'applications') > 0 AND (p->'applications' ? s.application_name) IS NOT TRUE) THEN 'not asked for'
    WHEN s.state = 'idle' AND s.age < idle_for THEN 'recent'
    WHEN s.state LIKE 'idle in transaction%' AND coalesce(s.age < idle_in_transaction_for, true) THEN 'in transaction'
    WHEN s.state NOT LIKE 'idle%' AND s.state <> 'disabled' OR s.state IS NULL THEN 'at work'
    WHEN s.usesysid = ANY((SELECT array_agg(oid) FROM pg_roles WHERE rolsuper)::oid[]) THEN 'superuser'
    WHEN protected_users <> '' AND s.usename ~ protected_users THEN 'protected'
    WHEN protected_applications <> '' AND s.application_name ~ protected_applications THEN 'protected'
    WHEN s.state = 'disabled' THEN 'untracked'
    WHEN s.usename IS NULL THEN 'dropped role'
    WHEN s.query ~* '(^|;|\*/|\n)\s*listen\M' THEN 'listening'
    WHEN s.pid = ANY((SELECT array_agg(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted)::int[]) THEN 'advisory lock'
    ELSE 'end' END AS verdict
  FROM seen s, asked),
named AS (SELECT split_part(one, '/', 1)::int AS pid, split_part(one, '/', 2)::bigint AS started
          FROM given, jsonb_array_elements_text(p->'among') one)
"""

SERVER = """
SELECT json_build_object(
  'version', current_setting('server_version'),
  'role', current_user,
  'sees_all', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR pg_has_role('pg_read_all_stats', 'USAGE'),
  'may_signal', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR pg_has_role('pg_signal_backend', 'USAGE'),
  'in_recovery', pg_is_in_recovery(),
  'max_connections', current_setting('max_connections')::int,
  'in_use', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()))
"""

LISTED = (
    _JUDGED
    + "SELECT json_build_object('server', ("
    + SERVER
    + """),
  'matching', (SELECT coalesce(json_agg(pid || '/' || started ORDER BY state_change), '[]')
     FROM judged WHERE verdict = 'end'),
  'oldest', (SELECT coalesce(max(age), 0) FROM judged WHERE verdict = 'end'),
  'verdicts', (SELECT coalesce(json_object_agg(verdict, n), '{}') FROM (SELECT verdict, count(*) AS n FROM judged GROUP BY 1) v))
"""
)

DESCRIBED = (
    _JUDGED
    + """, locks AS MATERIALIZED (SELECT pid, count(*) AS held FROM pg_locks WHERE granted GROUP BY pid)
SELECT coalesce(json_agg(json_build_object('pid', pid, 'backend_start_us', started, 'database', datname, 'user', usename,
  'application', application_name, 'client', client_addr, 'state', state, 'idle_seconds', round(age), 'verdict', verdict,
  'in_transaction_since', xact_start, 'last_statement', query,
  'encoding', (SELECT pg_encoding_to_char(encoding) FROM pg_database d WHERE d.datname = judged.datname),
  'locks', coalesce(locks.held, 0)) ORDER BY verdict, state_change), '[]')
FROM judged LEFT JOIN locks USING (pid) WHERE verdict IN ('superuser', 'protected', 'listening', 'advisory lock',
     'untracked', 'dropped role')
   OR (pid, started) IN (SELECT pid, started FROM named)
"""
)

ENDED = (
    _JUDGED
    + """
SELECT coalesce(json_agg(pid || '/' || started) FILTER (WHERE signalled), '[]') FROM (
  SELECT pid, started, pg_terminate_backend(pid) AS signalled FROM (
    SELECT pid, started FROM judged JOIN named USING (pid, started) WHERE verdict = 'end'
    ORDER BY state_change LIMIT (SELECT (p->>'limit')::int FROM given)) victims) done
"""
)

STILL_THERE = _JUDGED + "SELECT coalesce(json_agg(pid || '/' || started), '[]') FROM judged JOIN named USING (pid, started)"

UNJUDGED = ("untracked", "dropped role")

SPARED = {
    "protected": "{} protected",
    "listening": "{} listening",
    "advisory lock": "{} holding an advisory lock",
    "superuser": "{} of superusers",
    "in transaction": "{} idle in transaction",
    "untracked": "{} whose state is not tracked",
    "dropped role": "{} of dropped roles",
}


def asked(params: Mapping[str, Any], among: Sequence[Any] = (), limit: int = 0) -> dict[str, Any]:
    """Turn module arguments into the statements' one parameter. Raises ValueError for a duration that must not be used."""
    idle = values.seconds(params["idle_for"])
    in_transaction = values.seconds(params["idle_in_transaction_for"]) if params["idle_in_transaction_for"] else None
    for name, length in (("idle_for", idle), ("idle_in_transaction_for", in_transaction)):
        if length is not None and length < IDLE_FLOOR:
            raise ValueError(f"{name}: at least {IDLE_FLOOR}s, or sessions in ordinary use would be ended (got {length}s)")
    return {
        "idle_for": idle,
        "idle_in_transaction_for": in_transaction,
        "databases": params["database"],
        "users": params["user"],
        "applications": params["application"],
        **protected(params),
        "among": list(among),
        "limit": limit,
    }


def protected(params: Mapping[str, Any]) -> dict[str, str]:
    """Who is never to be ended, as regular expressions for the statements' parameter."""
    applications = [kept for name in params["postgres_protected_applications"] for kept in names.as_kept(name)]
    return {
        "protected_users": values.any_of(params["postgres_protected_users"]),
        "protected_applications": values.any_of([*ALWAYS_PROTECTED, *applications]),
    }


def refusals(listing: Mapping[str, Any], limit: int) -> list[str]:
    """Say why the sessions in `listing` must not be ended; an empty list means they may be."""
    if said := missing_grants(listing["server"]):
        return said
    matching = len(listing["matching"])
    if matching > limit:
        return [f"{counted(matching)} match and the limit is {limit}. Narrow with --database or --user, or raise --max."]
    return [] if matching else doubts(listing)


def missing_grants(server: Mapping[str, Any]) -> list[str]:
    """Say what the role cannot do, and what makes it able to."""
    role = values.printable(server["role"])
    grants = (("sees_all", "pg_read_all_stats"), ("may_signal", "pg_signal_backend"))
    missing = [grant for able, grant in grants if not server[able]]
    if not missing:
        return []
    cannot = "see the state of other sessions" if not server["sees_all"] else "end other sessions"
    return [f"The role {role} cannot {cannot}. As a superuser: GRANT {', '.join(missing)} TO {identifier(server['role'])};"]


def doubts(listing: Mapping[str, Any]) -> list[str]:
    """Say of which sessions it cannot be told whether they may be ended, and why."""
    untracked, ownerless = (listing["verdicts"].get(verdict, 0) for verdict in UNJUDGED)
    sentences = []
    if untracked:
        sentences.append(
            f"Whether {counted(untracked)} may be ended cannot be told: track_activities is off there, so PostgreSQL does not "
            "say what they do. Set it on for the server and its roles, or end them by pid."
        )
    if ownerless:
        sentences.append(
            f"Whether {counted(ownerless)} may be ended cannot be told: the role was dropped, so nobody knows "
            "whether it is protected. Find them in pg_stat_activity (usename IS NULL) and end them by pid."
        )
    return sentences


def counted(number: int) -> str:
    """'1 session' or '12 sessions'."""
    return values.counted(number, "session")


def summary(listing: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers that a record keeps of a listing."""
    return {**listing["server"], "matching": len(listing["matching"]), "verdicts": listing["verdicts"]}


def usage(listing: Mapping[str, Any]) -> str:
    """How full the server is, and what could not be judged: '36 of 100 in use, not judged: 1 of dropped roles'."""
    server, unjudged = listing["server"], _counted_verdicts(listing, UNJUDGED)
    used = f"{server['in_use']} of {server['max_connections']} in use"
    return f"{used}, not judged: {', '.join(unjudged)}" if unjudged else used


def _counted_verdicts(listing: Mapping[str, Any], verdicts: Iterable[str]) -> list[str]:
    counts = listing["verdicts"]
    return [SPARED[verdict].format(counts[verdict]) for verdict in verdicts if counts.get(verdict)]


def in_words(listing: Mapping[str, Any], idle_for: str) -> str:
    """One line: how full the server is, what would end, what is spared and why."""
    server, matching = listing["server"], len(listing["matching"])
    spared = _counted_verdicts(listing, SPARED)
    line = f"{server['in_use']} of {server['max_connections']} sessions in use, {matching} idle for over {idle_for}"
    return f"{line} · spared: {', '.join(spared)}" if spared else line


def identified(session: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a described session from the others."""
    columns = ("pid", "user", "database", "application", "client", "idle_seconds")
    return {column: session[column] for column in columns if column in session}


def keepable(sessions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The described sessions as evidence may hold them: statements without values, text without control characters."""
    return [
        {
            **{key: values.printable(value) if isinstance(value, str) else value for key, value in session.items()},
            "last_statement": without_values(session["last_statement"] or ""),
        }
        for session in sessions
    ]
