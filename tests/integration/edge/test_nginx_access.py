"""What irctl says of a list, held against what a client on it gets from a real nginx, for the ways in which nginx decides."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from irctl.lab.postgres import free_port
from tests.integration.edge.nginx import GUILTY, INNOCENT, MODULES, Nginx, missing
from tests.servers.acme import wait_until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
LUA = "".join(f"load_module {MODULES}/{name}.so;\n" for name in ("ndk_http_module", "ngx_http_lua_module"))
STREAM = f"load_module {MODULES}/ngx_stream_module.so;\n"
NO_LUA = "" if (MODULES / "ngx_http_lua_module.so").exists() else "apt-get install libnginx-mod-http-lua"
NO_STREAM = "" if (MODULES / "ngx_stream_module.so").exists() else "apt-get install libnginx-mod-stream"
RTMP = f"load_module {MODULES}/ngx_rtmp_module.so;\n"
JS = f"{STREAM}load_module {MODULES}/ngx_stream_js_module.so;\n"
NO_JS = "" if (MODULES / "ngx_stream_js_module.so").exists() else "apt-get install libnginx-mod-stream-js"
NO_RTMP = "" if (MODULES / "ngx_rtmp_module.so").exists() else "apt-get install libnginx-mod-rtmp"
needs_lua = pytest.mark.skipif(bool(NO_LUA), reason=NO_LUA)

SHAPES = [  # what stands in the server, what irctl says, and what the client on the list gets at /, or at the path named
    ("a location with a list of its own", "location /open { allow all; }", "failed", {"/": 403, "/open/": 200}),
    ("a word with braces", "location /a { proxy_pass http://${host}:1; } location /open { allow all; }", "failed", {"/open/": 200}),
    ("a word with an odd brace", "set $a b}c; location /open { allow all; }", "failed", {"/open/": 200}),
    ("a sharp within a word", "set $a b#c; location /open { allow all; }", "failed", {"/open/": 200}),
    ("quotes", "set $a \"b\\\"c; } \"; location /open { allow all; }", "failed", {"/open/": 200}),
    ("a return", "location /open { return 200 served; }", "undecided", {"/": 403, "/open/": 200}),
    ("a return with a zero before it", "location /open { return 0200 served; }", "undecided", {"/": 403, "/open/": 200}),
    ("a return in an if", "if ($uri ~ open) { return 200 served; }", "undecided", {"/": 403, "/open/": 200}),
    ("a redirect", "location /go { return 301 /; }", "blocked", {"/": 403, "/go": 301}),
    ("satisfy any with nothing else", "satisfy any;", "blocked", {"/": 403}),
    ("satisfy any with a subrequest", "satisfy any; auth_request /ok; location /ok { return 204; }", "failed", {"/": 200}),
    ("auth_request as well", "auth_request /ok; location /ok { internal; return 204; }", "undecided", {"/": 403}),
    ("an error page", "error_page 403 /403.html; location = /403.html { internal; allow all; }", "blocked", {"/": 403}),
    ("an error page of another status", "error_page 403 =200 /status/; location /status/ { internal; allow all; }", "undecided",
     {"/": 200}),
    ("an error page that asks the list too", "error_page 403 =200 /status/;", "blocked", {"/": 403}),
    ("a code that leads elsewhere", "error_page 418 = @open; location /open { return 418; } location @open { allow all; try_files "
     "/index.html =404; }", "undecided", {"/": 403, "/open/": 200}),
    ("a rewrite", "location /open { rewrite ^ /status/ last; } location /status/ { internal; allow all; }", "undecided",
     {"/": 403, "/open/": 200}),
    ("a named location that asks the list", "location / { try_files /x @y; } location @y { try_files /index.html =404; }",
     "blocked", {"/": 403}),
    ("limit_except", "location / { limit_except POST { allow all; } }", "failed", {"/": 200}),
    ("a deny of everybody else", "location /open { allow 127.0.0.3; deny all; }", "blocked", {"/": 403, "/open/": 403}),
    ("a network around it", "location /open { allow 127.0.0.77/8; deny all; }", "failed", {"/open/": 200}),
    ("mirror", "mirror /m; location /m { internal; return 204; }", "undecided", {"/": 403}),
]  # fmt: skip


@pytest.mark.parametrize(("server", "said", "gets"), [shape[1:] for shape in SHAPES], ids=[shape[0] for shape in SHAPES])
def test_nobody_is_called_blocked_who_gets_an_answer(nginx: Nginx, server: str, said: str, gets: dict[str, int]) -> None:
    nginx.start(server=server)
    (nginx.folder / "www" / "open").mkdir()
    (nginx.folder / "www" / "open" / "index.html").write_text("served")
    (nginx.folder / "www" / "403.html").write_text("not for you")
    outcome, why = nginx.outcome(GUILTY)
    assert {path: nginx.answer(GUILTY, path) for path in gets} == gets
    assert outcome == said, why
    if said == "undecided":
        assert f"{nginx.folder}/nginx.conf:13" in why
        assert nginx.outcome(GUILTY, vouched=[f"{nginx.folder}/nginx.conf:13"])[0] == "blocked"


@needs_lua
@pytest.mark.parametrize(
    ("code", "said", "gets"),
    [
        ('content_by_lua_block { ngx.say("}") }', "failed", 200),
        ("content_by_lua_block { -- it's }\n ngx.say([==[ } ]]]==]) }", "failed", 200),
        ("content_by_lua_block { ngx.say('\\'}') --[[ } \n } ]] }", "failed", 200),
    ],
)
def test_a_location_behind_code_in_lua_is_seen(nginx: Nginx, code: str, said: str, gets: int) -> None:
    nginx.start(main=LUA, server=f"location /a {{ {code} }} location /status {{ allow all; }}")
    outcome, why = nginx.outcome(GUILTY)
    assert (outcome, nginx.answer(GUILTY, "/status/"), nginx.answer(INNOCENT, "/a")) == (said, gets, 200), why


@needs_lua
def test_code_that_answers_before_the_list_is_asked_is_no_proof(nginx: Nginx) -> None:
    nginx.start(main=LUA, server="location / { rewrite_by_lua_block { ngx.say('}') ngx.exit(200) } }")
    outcome, why = nginx.outcome(GUILTY)
    assert (outcome, nginx.answer(GUILTY)) == ("undecided", 200)
    assert f"because of 'rewrite_by_lua_block' in {nginx.folder}/nginx.conf:" in why


@pytest.mark.skipif(bool(NO_STREAM), reason=NO_STREAM)
def test_a_stream_server_lets_by_whom_the_list_of_http_names(nginx: Nginx) -> None:
    stream = "stream {{ {} server {{ listen 127.0.0.1:{}; proxy_pass 127.0.0.1:{}; }} }}"
    port = free_port()
    nginx.start(main=STREAM + stream.format("", port, nginx.port))
    outcome, why = nginx.outcome(GUILTY)
    assert (outcome, nginx.answer(GUILTY)) == ("failed", 403)
    assert f"The stream server 127.0.0.1:{port} has no lines of the list" in why


@pytest.mark.skipif(bool(NO_JS), reason=NO_JS)
def test_code_of_a_stream_server_that_lets_a_client_in_is_asked_before_the_list(nginx: Nginx) -> None:
    (nginx.folder / "door.js").write_text("function open(s) { s.allow(); } export default { open };")
    port = free_port()
    server = f"server {{ listen 127.0.0.1:{port}; include {nginx.folder}/conf.d/*.conf; js_access door.open; return served; }}"
    nginx.start(main=f"{JS} stream {{ js_path {nginx.folder}; js_import door.js; {server} }}")
    outcome, why = nginx.outcome(GUILTY)
    with socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(GUILTY, 0)) as one:
        assert (outcome, nginx.answer(GUILTY), one.recv(100)) == ("undecided", 403, b"served")
    assert f"because of 'js_access' in {nginx.folder}/nginx.conf:" in why


@pytest.mark.skipif(bool(NO_RTMP), reason=NO_RTMP)
def test_a_server_of_another_module_takes_whom_the_list_of_http_names(nginx: Nginx) -> None:
    port = free_port()
    nginx.start(main=f"{RTMP} rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}")
    outcome, why = nginx.outcome(GUILTY)
    assert (outcome, nginx.answer(GUILTY), shakes_hands(port, GUILTY)) == ("undecided", 403, True)
    assert f"because of 'rtmp' in {nginx.folder}/nginx.conf:" in why


def shakes_hands(port: int, client: str) -> bool:
    """Whether a client of this address gets the answer to the first 1537 bytes of RTMP."""
    with socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(client, 0)) as one:
        one.sendall(b"\3" + bytes(1536))
        return one.recv(1)[:1] == b"\3"


def test_each_server_is_judged_by_what_holds_in_it(nginx: Nginx) -> None:
    """A balancer speaks the PROXY protocol to both servers, and only one of them listens to what it says."""
    other = free_port()
    said = "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;"
    http = f"server {{{{ listen 127.0.0.1:{other} proxy_protocol; root {nginx.folder}/www; {{}} }}}}"
    nginx.start(server=said.replace("proxy_protocol", "X-Forwarded-For"), http=http.format(""))
    outcome, why = nginx.outcome(GUILTY)
    assert (outcome, proxied(other, GUILTY)) == ("failed", 200)
    assert f"'listen 127.0.0.1:{other} proxy_protocol' in {nginx.folder}/nginx.conf:12 shows that proxies are before nginx" in why
    nginx.configure(http=http.format("set_real_ip_from 127.0.0.1;"))
    assert (nginx.outcome(GUILTY)[0], proxied(other, GUILTY)) == ("undecided", 200)
    nginx.configure(http=http.format(said))
    assert (nginx.outcome(GUILTY)[0], proxied(other, GUILTY), proxied(other, INNOCENT)) == ("blocked", 403, 200)


@pytest.mark.parametrize("first", ["127.0.0.1:{port}-{last}", "localhost:{port}", "127.0.0.1:0{port}"])
def test_a_port_that_another_listen_means_too_shares_its_proxy_protocol(nginx: Nginx, first: str) -> None:
    """nginx takes the PROXY protocol from all servers of an address as soon as one of them does."""
    port = free_port()
    said = "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; server_name other;"
    http = f"server {{ listen {first.format(port=port, last=port + 1)} proxy_protocol; {said} }}"
    nginx.start(http=f"{http} server {{ listen 127.0.0.1:{port} default_server; root {nginx.folder}/www; }}")
    outcome, why = nginx.outcome(GUILTY)
    assert (outcome, proxied(port, GUILTY)) == ("failed", 200)
    assert "proxy_protocol' in " in why


@pytest.mark.parametrize("pattern", ["[^_]*.conf", "[[:alpha:]]*.conf", "\\open*.conf"])
def test_an_include_takes_in_what_nginx_takes_in(nginx: Nginx, pattern: str) -> None:
    (nginx.folder / "places").mkdir()
    (nginx.folder / "places" / "open.conf").write_text("location /status { allow all; }")
    nginx.start(server=f"include places/{pattern};")
    assert (nginx.outcome(GUILTY)[0], nginx.answer(GUILTY, "/status/")) == ("failed", 200)


def test_of_two_proxies_in_a_row_nginx_takes_one_for_the_client_unless_it_looks_past_it(nginx: Nginx) -> None:
    trusted = "set_real_ip_from 127.0.0.9; set_real_ip_from 127.0.0.8; real_ip_header X-Forwarded-For;"
    nginx.start(server=trusted)
    header = f"{GUILTY}, 127.0.0.8"
    assert (nginx.outcome(GUILTY)[0], nginx.answer("127.0.0.9", headers={"X-Forwarded-For": header})) == ("undecided", 200)
    nginx.configure(server=f"{trusted} real_ip_recursive on;")
    assert (nginx.outcome(GUILTY)[0], nginx.answer("127.0.0.9", headers={"X-Forwarded-For": header})) == ("blocked", 403)


def test_who_is_believed_by_everybody_is_no_client(nginx: Nginx) -> None:
    nginx.start(server="set_real_ip_from 0.0.0.0/0; real_ip_header X-Forwarded-For; real_ip_recursive on;")
    assert (nginx.outcome(GUILTY)[0], nginx.answer(GUILTY, headers={"X-Forwarded-For": "9.9.9.9"})) == ("undecided", 200)


def test_a_network_of_proxies_with_bits_behind_its_length_is_read_as_nginx_reads_it(nginx: Nginx) -> None:
    nginx.start(server="set_real_ip_from 10.1.2.3/8; real_ip_header CF-Connecting-IP;")
    assert nginx.outcome(GUILTY)[0] == "blocked"
    assert "overlaps 10.0.0.0/8, a proxy that nginx is told of" in nginx.outcome("10.9.9.9")[1]


def test_a_map_of_a_header_for_a_log_is_no_sign_and_one_that_decides_can_be_overruled(nginx: Nginx) -> None:
    log = "map $http_x_forwarded_for $first { ~^([^,]+) $1; default -; } log_format a '$first';"
    nginx.start(http=log)
    assert nginx.outcome(GUILTY)[0] == "blocked"
    nginx.configure(http=log, server="if ($first = 9.9.9.9) { return 403; }")
    assert nginx.outcome(GUILTY)[0] == "undecided"
    assert nginx.outcome(GUILTY, vouched=[f"{nginx.folder}/nginx.conf:12"])[0] == "blocked"


def test_a_pid_file_is_found_below_the_prefix(nginx: Nginx) -> None:
    nginx.start()
    text = (nginx.folder / "nginx.conf").read_text()
    (nginx.folder / "nginx.conf").write_text(text.replace(f"pid {nginx.folder}/nginx.pid;", "pid nginx.pid;"))
    assert (nginx.outcome(GUILTY)[0], nginx.answers()) == ("blocked", (403, 200))


def test_a_pid_file_of_the_command_line_is_found(nginx: Nginx) -> None:
    nginx.start()
    nginx.stop()
    text = (nginx.folder / "nginx.conf").read_text()
    (nginx.folder / "nginx.conf").write_text(text.replace(f"pid {nginx.folder}/nginx.pid;", ""))
    command = [*nginx.command, "-g", f"pid {nginx.folder}/nginx.pid;"]
    nginx.process = subprocess.Popen(command)
    commands = {"nginx_test": [*command, "-t"], "nginx_reload": [*command, "-s", "reload"]}
    wait_until(lambda: nginx.answers() == (200, 200))
    assert (nginx.outcome(GUILTY, **commands), nginx.answers()) == (("blocked", "1 address blocked"), (403, 200))


def test_no_clock_decides_whether_the_list_was_loaded(nginx: Nginx) -> None:
    """As in a container whose /proc/uptime is its own, and where a clock was stepped: the file looks older than the workers."""
    nginx.start()
    nginx.list.write_text(f"deny {GUILTY};\n")
    for when in (0, 4_000_000_000):
        os.utime(nginx.list, (when, when))
        assert nginx.answers() == (200, 200)
        assert "nginx was not seen to load the list as it is" in nginx.step("listed", GUILTY)["msg"]
    assert (nginx.outcome(GUILTY)[0], nginx.answers()) == ("blocked", (403, 200))
    assert nginx.step("changed", GUILTY)["changed"] is False


def test_a_configuration_that_was_changed_and_not_loaded_is_loaded(nginx: Nginx) -> None:
    nginx.start(server="location /status { allow all; }")
    assert nginx.outcome(GUILTY)[0] == "failed"
    nginx.configure()
    assert nginx.answer(GUILTY, "/status/") == 200, "the list is as it was, and nginx serves by another configuration"
    assert (nginx.outcome(GUILTY)[0], nginx.answer(GUILTY, "/status/")) == ("blocked", 403)


def proxied(port: int, client: str) -> int:
    """The status that a client gets by a balancer that speaks the PROXY protocol."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
        one.sendall(f"PROXY TCP4 {client} 127.0.0.1 4000 80\r\nGET / HTTP/1.0\r\n\r\n".encode())
        return int(one.recv(100).split()[1])
