"""Our reading of 240 files in the shapes of real sites, held against crossplane's, each set taken by nginx itself.

A } within a word is not among them: crossplane ends a block there, and nginx does not; test_nginx_access.py asks nginx for that.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import crossplane
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import configuration
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import ESCAPES, Directive

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(not NGINX, reason="apt-get install nginx-light")

HTTP = [  # what stands beside the servers
    "map $http_upgrade $connection_upgrade_{n} {{ default upgrade; '' close; }}",
    'map $http_user_agent $bot_{n} {{ default 0; "~*(curl|wget|python-requests)/[0-9.]{{1,5}}" 1; ~*sqlmap 1; }}',
    "geo $internal_{n} {{ default 0; 10.0.0.0/8 1; 2001:db8::/32 1; }}",
    "upstream app_{n} {{ least_conn; server 127.0.0.1:9{n:03} max_fails=3; server unix:/run/app{n}.sock backup; }}",
    "limit_req_zone $binary_remote_addr zone=login_{n}:10m rate=5r/m;",
    'log_format json_{n} escape=json \'{{ "time": "$time_iso8601", "status": $status, "uri": "$uri" }}\';',
    'split_clients "${{remote_addr}}AAA" $variant_{n} {{ 0.5% .one; 2.0% .two; * ""; }}',
    '# a }} and a {{ within a comment; and "one quote',
    "proxy_cache_path /tmp/cache_{n} levels=1:2 keys_zone=cache_{n}:1m;",
]
SERVER = [  # what stands in a server
    "return 301 https://$host$request_uri;",
    "add_header Content-Security-Policy \"default-src 'self'; script-src 'self' 'unsafe-inline'; img-src *\" always;",
    "add_header Strict-Transport-Security 'max-age=31536000; includeSubDomains' always;",
    "location / {{ try_files $uri $uri/ /index.php?$args; }}",
    "location ~ \\.php$ {{ include fastcgi_params_{n}; fastcgi_pass unix:/run/php/php8.2-fpm.sock; fastcgi_index index.php; }}",
    "location ~* \\.(?:css|js|jpe?g|gif|ico|png|svg|woff2?)$ {{ expires 30d; access_log off; log_not_found off; }}",
    'location ~ "^/[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}$" {{ return 404; }}',
    "location ^~ /.well-known/acme-challenge/ {{ default_type text/plain; root /var/www/letsencrypt; }}",
    'location = /healthz {{ access_log off; return 200 "ok\\n"; }}',
    "location ~ /\\. {{ deny all; }}",
    "location @app_{n} {{ proxy_set_header Host $http_host; proxy_pass http://127.0.0.1:8{n:03}; proxy_redirect off; }}",
    "location /ws {{ proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_pass http://${{host}}:1; }}",
    "location /a {{ proxy_pass http://127.0.0.1:1/${{uri}}x; }}",
    "if ($request_method !~ ^(GET|HEAD|POST)$) {{ return 405; }}",
    'if ($http_referer ~* "(spam|casino)\\.(com|net)") {{ return 403; }}',
    "if ($scheme = http) {{ rewrite ^ https://$host$request_uri? permanent; }}",
    "rewrite ^/old/(.*)$ /new/$1 last;",
    'rewrite "^/([0-9]{{4}})/([0-9]{{2}})$" /archive?y=$1&m=$2 break;',
    "error_page 500 502 503 504 /50x.html; location = /50x.html {{ internal; root /usr/share/nginx/html; }}",
    'set $token "a\\"b\\\\c;{{}}"; set $other \'its\';',
    "set $path /a\\ b#c;",
    'location /admin {{ satisfy any; allow 10.0.0.0/8; deny all; auth_basic "Closed; go away"; auth_basic_user_file /x; }}',
    "location /files {{ alias /srv/files/; autoindex on; limit_except GET {{ deny all; }} }}",
    "location ~ ^/(?<lang>en|de)/ {{ return 204; }}",
    "gzip on; gzip_types text/plain text/css application/json;\n\tgzip_min_length 1k; # small ones; not worth it }}",
    "client_max_body_size 64m; large_client_header_buffers 4 16k;\r\n    keepalive_timeout   65;",
    "access_log /dev/null combined buffer=32k; error_log /dev/null crit;",
    "sub_filter '</head>' '<script>var a = {{\"b\": 1}};</script></head>'; sub_filter_once on;",
    "valid_referers none blocked server_names *.example.com ~\\.google\\.;",
    'proxy_cookie_path / "/; Secure; HttpOnly; SameSite=lax";',
]


def written(seed: int, folder: Path) -> list[Path]:
    """A main file, and ten sites that it includes, put together by chance that is the same every time."""
    chance = random.Random(seed)
    sites = folder / f"sites-{seed}"
    sites.mkdir()
    paths = []
    for number in range(10):
        n = seed * 10 + number
        (folder / f"fastcgi_params_{n}").write_text("fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n")
        outer = [text.format(n=n) for text in chance.sample(HTTP, 3)]
        body = [text.format(n=n) for text in once(chance.sample(SERVER, 9))]
        names = chance.choice(
            [f"site{n}.example.com www.site{n}.example.com", f"~^(?<sub>.+)\\.s{n}\\.example$", f"*.s{n}.example", '""']
        )
        listen = chance.choice(
            [f"listen 127.0.0.1:{20000 + n};", f"listen [::1]:{20000 + n} ipv6only=on;", f"listen\n    {20000 + n} ;"]
        )
        paths.append(sites / f"{number:02}.conf")
        server = "\n    ".join([listen, f"server_name {names};", *body])
        paths[-1].write_bytes("\n".join([*outer, f"server {{\n    {server}\n}}\n"]).encode())
    main = folder / f"nginx-{seed}.conf"
    main.write_text(f"pid {folder}/pid;\nerror_log /dev/null;\nevents {{ }}\nhttp {{\n  include sites-{seed}/*.conf;\n}}\n")
    return [main, *paths]


def once(texts: list[str]) -> list[str]:
    """Without what nginx takes once only: one return, and one of each location."""
    kept: dict[str, str] = {}
    for text in texts:
        kept.setdefault("return" if text.startswith("return") else text, text)
    return list(kept.values())


def ours(directives: tuple[Directive, ...]) -> list[Any]:
    return [[list(one.words), one.line, None if one.block is None else ours(one.block)] for one in directives]


def theirs(directives: list[dict[str, Any]]) -> list[Any]:
    known = (one for one in directives if one["directive"] != "#")
    return [
        [[one["directive"], *map(unescaped, one["args"])], one["line"], theirs(one["block"]) if "block" in one else None]
        for one in known
    ]


def unescaped(text: str) -> str:
    """crossplane leaves an escape as it is written; nginx takes it for the character."""
    result, rest = "", iter(text)
    for character in rest:
        if character == "\\":
            following = next(rest, "")
            result += ESCAPES.get(following, f"\\{following}")
        else:
            result += character
    return result


def without_parentheses(directives: list[Any]) -> list[Any]:
    """crossplane takes away those of an `if`."""
    result = []
    for words, line, block in directives:
        if words[0] == "if":
            words = ["if", *" ".join(words[1:]).removeprefix("(").removesuffix(")").strip().split(" ")]
        result.append([words, line, block and without_parentheses(block)])
    return result


@pytest.mark.parametrize("seed", range(24))
def test_every_directive_is_read_as_crossplane_and_nginx_read_it(tmp_path: Path, seed: int) -> None:
    main, *_ = written(seed, tmp_path)
    done = subprocess.run([str(NGINX), "-p", str(tmp_path), "-c", str(main), "-T"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    read = configuration.parse(done.stdout.decode(), "")
    assert len(read.paths) >= 11
    reference = crossplane.parse(str(main), combine=True, comments=False, strict=False, check_ctx=False, check_args=False)
    assert reference["errors"] == []
    expected = theirs(reference["config"][0]["parsed"])
    assert without_parentheses(ours(read.directives)) == expected
