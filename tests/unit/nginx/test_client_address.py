"""Whose address nginx sees in each server."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.findings import Findings
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import client_address
from tests.unit.nginx.written import config

FRONT = "set_real_ip_from 10.0.0.1; real_ip_header X-Forwarded-For;"


def judge(http: str, main: str = "") -> Findings:
    return client_address.judge(config(http, main))


@pytest.mark.parametrize(
    ("http", "sign"),
    [
        ("real_ip_header X-Real-IP; server { }", "real_ip_header X-Real-IP"),
        ("server { listen 80 proxy_protocol; }", "listen 80 proxy_protocol"),
        ("server { listen unix:/run/n.sock; }", "listen unix:/run/n.sock"),
        (f"server {{ listen 80; {FRONT} }} server {{ listen 81 proxy_protocol; }}", "listen 81 proxy_protocol"),
        (
            "server { listen 80 proxy_protocol; set_real_ip_from 10.0.0.1; real_ip_header proxy_protocol; } server { }",
            "listen 80 pr",
        ),
    ],
)
def test_a_server_that_sees_only_its_proxy_is_a_gap_whatever_others_say(http: str, sign: str) -> None:
    [gap] = judge(http).gaps
    assert gap.startswith(f"'{sign}")
    assert "shows that proxies are before nginx" in gap


@pytest.mark.parametrize(
    ("http", "doubted"),
    [
        ("server { listen 80 proxy_protocol; set_real_ip_from 10.0.0.1; }", "listen 80 proxy_protocol"),
        ("set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For; server { }", "real_ip_header X-Forwarded-For"),
        (
            "set_real_ip_from 10.0.0.1; set_real_ip_from 10.0.0.2; real_ip_header X-Forwarded-For; server { }",
            "real_ip_header X-Forwa",
        ),
        ("set_real_ip_from 0.0.0.0/0; server { }", "set_real_ip_from 0.0.0.0/0"),
        ("set_real_ip_from 10.0.0.1; server { listen unix:/run/n.sock; }", "listen unix:/run/n.sock"),
        ("limit_req_zone $http_x_forwarded_for zone=a:1m rate=1r/s; server { }", "limit_req_zone $http_x_forwarded_for"),
        ("map $http_x_forwarded_for $a { default 1; } server { if ($a) { return 403; } }", "map $http_x_forwarded_for $a"),
        (
            "map $http_x_forwarded_for $a { default 1; } map $a $b { 1 1; } limit_conn_zone $b zone=c:1m; server { }",
            "map $http_x_f",
        ),
        ("geo $a { proxy 10.0.0.0/8; default 0; } server { }", "geo $a"),
    ],
)
def test_what_may_hide_the_client_is_doubted_with_its_place(http: str, doubted: str) -> None:
    result = judge(http)
    assert result.gaps == ()
    [doubt] = result.doubts
    assert doubt.what.startswith(doubted)
    assert doubt.place == "/etc/nginx/nginx.conf:4"


@pytest.mark.parametrize(
    "http",
    [
        f"{FRONT} server {{ }}",
        "set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For; real_ip_recursive on; server { }",
        "set_real_ip_from 10.0.0.0/8; real_ip_header CF-Connecting-IP; server { }",
        "server { listen 80 proxy_protocol; set_real_ip_from 10.0.0.0/8; real_ip_header proxy_protocol; }",
        "server { listen unix:/run/n.sock; set_real_ip_from unix:; }",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; log_format a '$http_x_forwarded_for'; server { }",
        "map $http_x_forwarded_for $a { default 1; } log_format b '$a'; map $a $c { 1 1; } server { access_log l b if=$c; }",
        "server { listen 80; }",
    ],
)
def test_a_server_that_sees_its_clients_is_no_doubt(http: str) -> None:
    assert judge(http) == Findings()


def test_a_stream_server_that_hands_on_to_http_hides_the_client() -> None:
    stream = "stream { server { listen 443; proxy_pass 127.0.0.1:8443; } }"
    assert [one.what for one in judge("server { listen 8443; }", stream).doubts] == ["proxy_pass 127.0.0.1:8443"]
    assert judge(f"server {{ listen 8443; {FRONT} }}", stream).doubts == ()


def test_proxies_that_are_told_of_are_found_wherever_they_stand_but_for_everybody() -> None:
    found = config(
        "set_real_ip_from 10.1.2.3/8; server { set_real_ip_from 2a00::/32; set_real_ip_from unix:; set_real_ip_from ::/0; }"
    )
    assert client_address.proxies(found) == ["10.1.2.3/8", "2a00::/32"]
