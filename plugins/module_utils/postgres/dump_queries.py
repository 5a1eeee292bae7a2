"""What PostgreSQL is asked about a database before it is dumped, and in the same moment as the dump. Pure: SQL."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sessions import SERVER

# What a dump of one database leaves out, though a restore needs it.
DATABASE = f"""
WITH given AS (SELECT $1::jsonb AS p)
SELECT json_build_object('server', ({SERVER}),
  'major', current_setting('server_version_num')::int / 10000,
  'now', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  'seconds', extract(epoch FROM clock_timestamp())::float,
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'bytes', pg_database_size(current_database()),
  'owner', pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding), 'collation', datcollate, 'ctype', datctype,
  'connection_limit', datconnlimit, 'acl', datacl::text, 'oid', oid::bigint,
  'settings', (SELECT coalesce(json_agg(json_build_object('role', pg_get_userbyid(nullif(setrole, 0)), 'settings', setconfig)),
     '[]') FROM pg_db_role_setting WHERE setdatabase = d.oid),
  'publications', (SELECT count(*) FROM pg_publication),
  'subscriptions', (SELECT count(*) FROM pg_stat_subscription),
  'slots', (SELECT count(*) FROM pg_replication_slots WHERE database = datname),
  'prepared', (SELECT count(*) FROM pg_prepared_xacts WHERE database = datname),
  'large_objects', (SELECT count(*) FROM pg_largeobject_metadata),
  'unreadable', (SELECT coalesce(json_agg(format('%I.%I', nspname, relname) ORDER BY 1), '[]') FROM (
     SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE relkind IN ('r', 'S') AND relpersistence <> 't' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
       AND NOT has_table_privilege(c.oid, 'SELECT') LIMIT 20) u))
FROM pg_database d, given WHERE datname = current_database()
"""

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

MOMENT = "WITH given AS (SELECT $1::jsonb AS p) SELECT to_json(pg_export_snapshot()) FROM given"

UNLIMITED = """WITH given AS (SELECT $1::jsonb AS p)
SELECT to_json(set_config('statement_timeout', '0', true) || set_config('idle_in_transaction_session_timeout', '0', true))
FROM given"""

# Tables of extensions are made by them; what is partitioned has its rows in its partitions.
COUNTING = """
WITH given AS (SELECT $1::jsonb AS p)
SELECT to_json(coalesce('SELECT json_object_agg(name, number) FROM (' || string_agg(
  format('SELECT %L AS name, count(*) AS number FROM ONLY %I.%I', nspname || '.' || relname, nspname, relname), ' UNION ALL ')
  || ') counted', 'SELECT json_build_object()'))
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace, given
WHERE relkind = 'r' AND relpersistence <> 't' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
"""
