#!/bin/sh
# crossplane is the parser of nginx's own people, so one expects that it reads what nginx reads.
# In `set $a b}c;` nginx takes `b}c` for one word, because } ends a block only where a word may begin. crossplane takes the } for the
# end of the block, wherever it stands: of a configuration that `nginx -t` accepts it sees a server that ends too early, and reports
# what stands behind the word as errors.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check crossplane==0.5.8
cat > "$folder/nginx.conf" <<CONF
pid $folder/nginx.pid;
error_log $folder/error.log;
events {}
http {
  access_log off;
  server {
    listen 127.0.0.1:18999;
    set \$a b}c;
    location /open { allow all; }
  }
}
CONF
echo "crossplane $("$folder/venv/bin/pip" show crossplane | sed -n 's/^Version: //p')"
nginx=$(command -v nginx || echo /usr/sbin/nginx)
if [ -x "$nginx" ]; then "$nginx" -v 2>&1; "$nginx" -t -p "$folder" -c "$folder/nginx.conf" 2>&1 | tail -1; else echo "no nginx here to ask too"; fi
"$folder/venv/bin/python" - "$folder/nginx.conf" <<'PYTHON'
import sys
import crossplane

payload = crossplane.parse(sys.argv[1])
config = payload["config"][0]
http = next(one for one in config["parsed"] if one["directive"] == "http")
server = next(one for one in http["block"] if one["directive"] == "server")
names = [(one["directive"], *one["args"]) for one in server["block"]]
print("crossplane's status:", payload["status"], "errors:", [error["error"] for error in config["errors"]])
print("what crossplane says is in the server:", names)
if any(name[0] == "location" for name in names):
    sys.exit("it is otherwise now: the location behind the word is seen in the server")
PYTHON
echo "as found: the location is not in the server that crossplane shows"
