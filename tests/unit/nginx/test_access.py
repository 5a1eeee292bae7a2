"""Who gets past a list of deny lines, and what of nginx's ways to answer cannot be judged."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Findings
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import parse
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import access
from tests.unit.nginx.written import LIST, config

LISTED = [parse("91.0.0.1"), parse("45.155.205.0/24")]


def judge(http: str, main: str = "", **files: str) -> Findings:
    return access.judge(config(http, main, **files), LISTED)


def gaps(http: str, main: str = "", **files: str) -> list[str]:
    return list(judge(http, main, **files).gaps)


def doubts(http: str, main: str = "") -> list[tuple[str, str]]:
    """Of a configuration without gaps: what is doubted, and in which line."""
    result = judge(http, main)
    assert result.gaps == ()
    return [(one.what, one.place.removeprefix("/etc/nginx/nginx.conf:")) for one in result.doubts]


def test_a_server_of_an_included_file_without_the_list_is_named() -> None:
    assert gaps("include sites/*;", shop=f"server {{ include {LIST}; }}", bare="server { server_name bare; }") == [
        "The server bare has no lines of the list: whoever is on it gets through there."
    ]


def test_lines_of_its_own_stand_in_for_those_from_outside() -> None:
    inner = "location /status { deny 10.0.0.1; } location /admin { allow 10.0.0.0/8; deny all; }"
    [said] = gaps(f"include {LIST}; server {{ listen 80; server_name shop; {inner} }}")
    assert said == "The location /status of the server shop has no lines of the list: whoever is on it gets through there."


def test_the_first_line_that_fits_decides() -> None:
    assert gaps(f"include {LIST}; allow all; server {{ }}") == []
    assert gaps(f"allow 10.0.0.0/8; include {LIST}; server {{ }}") == []
    assert gaps(f"allow all; include {LIST}; server {{ }}") == ["The server _ allows everybody before the list is looked at."]
    [said] = gaps(f"allow 91.0.0.0/8; include {LIST}; server {{ }}")
    assert said == "The server _ allows 91.0.0.0/8 before the list is looked at: 91.0.0.1 gets through."


def test_satisfy_any_lets_a_password_win() -> None:
    [said] = gaps(f"include {LIST}; server {{ location /a {{ satisfy any; auth_basic x; }} }}")
    assert (
        said == "The location /a of the server _ has 'satisfy any' and 'auth_basic x': whoever satisfies that gets past the list."
    )


def test_satisfy_any_alone_lets_nobody_by() -> None:
    assert gaps(f"include {LIST}; satisfy any; server {{ }}") == []
    assert gaps(f"include {LIST}; satisfy any; auth_basic x; server {{ auth_basic off; }}") == []
    assert len(gaps(f"include {LIST}; satisfy any; server {{ location / {{ auth_request /check; }} }}")) == 1
    assert len(gaps(f"include {LIST}; auth_basic x; server {{ satisfy any; }}")) == 1


def test_a_location_behind_a_word_with_braces_is_seen() -> None:
    proxy = "location /a { proxy_pass http://${host}:1; } location /open { allow all; }"
    assert gaps(f"include {LIST}; server {{ {proxy} }}") == [
        "The location /open of the server _ allows everybody before the list is looked at."
    ]


def test_lua_is_passed_over_by_its_own_rules_and_doubted() -> None:
    code = """content_by_lua_block { ngx.say("}") -- it's }
      local t = {a = [[ } ]], b = '\\'}'} --[==[ } ]==] }"""
    assert doubts(f"include {LIST}; server {{ location /a {{ {code} }} location /b {{ deny all; }} }}") == [
        ("content_by_lua_block", "4")
    ]
    [gap] = gaps(f"include {LIST}; server {{ location /a {{ {code} }} location /open {{ allow all; }} }}")
    assert gap.startswith("The location /open of the server _ allows everybody")


@pytest.mark.parametrize(
    "code", ["rewrite_by_lua_file a.lua", "access_by_lua_file a.lua", "perl 'sub { return OK; }'", "content_by_lua 'ngx.say(1)'"]
)
def test_code_of_another_language_is_doubted(code: str) -> None:
    assert doubts(f"include {LIST}; server {{ location / {{ {code}; }} }}") == [(code.split()[0], "4")]


@pytest.mark.parametrize("where", ["{}", "location / {{ {} }}", "location / {{ if ($a) {{ {} }} }}"])
def test_what_nginx_answers_before_the_list_is_asked_is_doubted(where: str) -> None:
    assert doubts(f"include {LIST}; server {{ {where.format('return 200 ok;')} }}") == [("return 200 ok", "4")]
    for harmless in ("return 301 https://$host$request_uri;", "return 404;", "return 444;", "return https://example.com/;"):
        assert doubts(f"include {LIST}; server {{ {where.format(harmless)} }}") == []


def test_a_page_that_is_shown_with_a_refusal_is_no_way_past_the_list() -> None:
    page = "location = /403.html { internal; allow all; root /srv; }"
    assert doubts(f"include {LIST}; server {{ error_page 403 /403.html; {page} }}") == []


@pytest.mark.parametrize(
    ("lead", "location"),
    [
        ("error_page 403 =200 /open;", "location /open { internal; allow all; }"),
        ("error_page 418 = @open; location / { return 418; }", "location @open { allow all; proxy_pass http://x; }"),
        ("rewrite ^/a /open last;", "location /open { internal; allow all; }"),
        ("error_page 403 /open;", "location = /open { internal; allow all; proxy_pass http://x; }"),
    ],
)
def test_an_internal_location_without_the_list_is_doubted_where_something_leads_there(lead: str, location: str) -> None:
    assert len(doubts(f"include {LIST}; server {{ {lead} {location} }}")) == 1


def test_a_stream_server_asks_the_list_only_where_it_is_included() -> None:
    http = f"include {LIST}; server {{ listen 80; }}"
    assert gaps(http, "stream { server { listen 3306; proxy_pass db:3306; } }") == [
        "The stream server 3306 has no lines of the list: whoever is on it gets through there."
    ]
    assert gaps(http, f"stream {{ include {LIST}; server {{ listen 3306; proxy_pass db:3306; }} }}") == []


def test_a_mail_server_asks_no_list() -> None:
    assert doubts(f"include {LIST}; server {{ }}", "mail { server { listen 25; } }") == [("mail", "6")]


def test_a_server_of_another_module_is_doubted() -> None:
    assert doubts(f"include {LIST}; server {{ }}", "rtmp { server { listen 1935; } }") == [("rtmp", "6")]
    assert doubts(f"include {LIST}; server {{ }}", "some_pool { size 3; }") == []
