"""What PostgreSQL is asked about a table and its indexes, and how it writes the statements that build one. Pure: SQL."""

from __future__ import annotations

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.sessions import SERVER

# Sizes are those of the last VACUUM or ANALYZE: to measure one would wait for whoever locks the table.
STATE = f"""
WITH RECURSIVE given AS (SELECT $1::jsonb AS p),
target AS (SELECT c.oid, c.relkind, c.relpersistence, c.relowner, c.relnamespace, n.nspname FROM given, pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE CASE WHEN p ? 'oid' THEN c.oid = (p->>'oid')::oid ELSE n.nspname = p->>'schema' AND c.relname = p->>'table' END),
members(oid, parent, level) AS (SELECT oid, NULL::oid, 0 FROM target
  UNION ALL SELECT inhrelid, inhparent, level + 1 FROM members JOIN pg_inherits ON inhparent = members.oid
    JOIN pg_class c ON c.oid = inhparent AND c.relkind = 'p'),
columns AS (SELECT array_agg(attname::text ORDER BY attnum) AS names FROM target JOIN pg_attribute ON attrelid = target.oid
  WHERE attnum > 0 AND NOT attisdropped),
wanted AS (SELECT format('USING %I (%s)', p->>'method', string_agg(quote_ident(name), ', ' ORDER BY place)) AS text
  FROM given, jsonb_array_elements_text(p->'columns') WITH ORDINALITY AS c(name, place) GROUP BY p),
indexes AS (SELECT i.indexrelid AS oid, i.indrelid, ci.relname, i.indisvalid, i.indisready AND i.indislive AS complete,
    (SELECT inhparent FROM pg_inherits WHERE inhrelid = i.indexrelid) AS parent, pg_get_indexdef(i.indexrelid) AS definition,
    am.amname, i.indpred IS NULL AND i.indexprs IS NULL AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) k
      JOIN pg_opclass o ON o.oid = i.indclass[k] JOIN pg_attribute t ON t.attrelid = i.indrelid AND t.attnum = i.indkey[k]
      WHERE NOT o.opcdefault OR i.indcollation[k] <> t.attcollation OR i.indoption[k] <> i.indoption[0]) AS plain,
    ci.relpages::bigint * current_setting('block_size')::int AS bytes,
    (SELECT json_agg(attname ORDER BY place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)
      JOIN pg_attribute ON attrelid = i.indrelid AND attnum = number WHERE place <= i.indnkeyatts) AS keys
  FROM members JOIN pg_index i ON i.indrelid = members.oid JOIN pg_class ci ON ci.oid = i.indexrelid
    JOIN pg_am am ON am.oid = ci.relam)
SELECT json_build_object('server', ({SERVER}),
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'database', (SELECT json_build_object('oid', oid::bigint, 'name', datname) FROM pg_database WHERE datname = current_database()),
  'table', (SELECT json_build_object('oid', oid::bigint, 'kind', relkind, 'persistence', relpersistence) FROM target),
  'of_the_name', (SELECT c.oid::bigint FROM given, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = p->>'schema' AND c.relname = p->>'table'),
  'wanted', (SELECT text FROM wanted),
  'columns', (SELECT coalesce(to_json(names), '[]') FROM columns),
  'members', (SELECT coalesce(json_agg(json_build_object('oid', m.oid::bigint, 'parent', m.parent::bigint, 'level', level,
     'schema', nspname, 'name', relname, 'kind', relkind,
     'may_build', pg_has_role(relowner, 'USAGE') AND has_schema_privilege(relnamespace, 'CREATE'),
     'bytes', relpages::bigint * current_setting('block_size')::int)
     ORDER BY level, m.oid), '[]') FROM members m JOIN pg_class c ON c.oid = m.oid JOIN pg_namespace n ON n.oid = relnamespace),
  'indexes', (SELECT coalesce(json_agg(json_build_object('oid', oid::bigint, 'table', indrelid::bigint, 'name', relname,
     'valid', indisvalid AND complete, 'parent', parent::bigint, 'definition', definition, 'method', amname, 'plain', plain,
     'keys', keys, 'bytes', bytes, 'wanted', right(definition, length(text) + 1) = ' ' || text
       AND definition LIKE 'CREATE INDEX %') ORDER BY oid), '[]') FROM indexes, wanted),
  'detached', (SELECT coalesce(json_agg(json_build_object('table', i.indrelid::bigint, 'schema', nspname, 'name', t.relname,
     'index', ci.relname) ORDER BY i.indrelid), '[]') FROM given, pg_index i JOIN pg_class ci ON ci.oid = i.indexrelid
     JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
     WHERE ci.relname = format('%s_p%s', p->>'name', i.indrelid) AND i.indrelid NOT IN (SELECT oid FROM members)),
  'namesakes', (SELECT coalesce(json_agg(relname ORDER BY relname), '[]') FROM target JOIN pg_class c USING (relnamespace), given
     WHERE relname = p->>'name' AND c.oid NOT IN (SELECT oid FROM indexes)),
  'at_work', (SELECT coalesce(json_agg(DISTINCT l.pid), '[]') FROM members JOIN pg_locks l ON l.relation = members.oid
     LEFT JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.mode = 'ShareUpdateExclusiveLock' AND l.pid <> pg_backend_pid() AND l.granted
       AND a.backend_type IS DISTINCT FROM 'autovacuum worker'),
  'oldest', (SELECT extract(epoch FROM clock_timestamp() - min(xact_start))::float FROM pg_stat_activity
     WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()))
"""

STATEMENTS = """
WITH given AS (SELECT $1::jsonb AS p)
SELECT to_json(array_agg(CASE step->>'does'
  WHEN 'build' THEN format('CREATE INDEX CONCURRENTLY %I ON %I.%I %s', step->>'index', step->>'schema', step->>'table',
    p->>'wanted')
  WHEN 'parent' THEN format('CREATE INDEX %I ON ONLY %I.%I %s', step->>'index', step->>'schema', step->>'table', p->>'wanted')
  WHEN 'attach' THEN format('ALTER INDEX %I.%I ATTACH PARTITION %I.%I', step->>'parent_schema', step->>'parent',
    step->>'schema', step->>'index')
  WHEN 'drop' THEN format('DROP INDEX CONCURRENTLY IF EXISTS %I.%I', step->>'schema', step->>'index')
  WHEN 'drop parent' THEN format('DROP INDEX IF EXISTS %I.%I', step->>'schema', step->>'index') END ORDER BY place))
FROM given, jsonb_array_elements(p->'steps') WITH ORDINALITY AS s(step, place) GROUP BY p
"""

PROBE = """
WITH given AS (SELECT $1::jsonb AS p)
SELECT to_json(format('SELECT to_json(count(*)) FROM (SELECT FROM %I.%I LIMIT 1) one', p->>'schema', p->>'table')) FROM given
"""
