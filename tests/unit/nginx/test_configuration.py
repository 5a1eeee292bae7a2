"""What a configuration of nginx includes where, and who gets past a list."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.networks import parse
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import configuration
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.configuration import Directive

LIST = "/etc/nginx/conf.d/blocked.conf"
LISTED = [parse("91.0.0.1"), parse("45.155.205.0/24")]


def config(http: str, **files: str) -> tuple[Directive, ...]:
    """As `nginx -T` prints it; more files by their name below sites/."""
    main = f"user x; # a }} comment\nhttp {{\n log_format main '$remote_addr {{ ;';\n {http}\n}}\n"
    parts = {"/etc/nginx/nginx.conf": main, LIST: "deny 91.0.0.1;\n"}
    parts |= {f"/etc/nginx/sites/{name}": text for name, text in files.items()}
    return configuration.parse("".join(f"# configuration file {name}:\n{text}\n" for name, text in parts.items()), LIST)


def gaps(http: str, **files: str) -> list[str]:
    return configuration.gaps(config(http, **files), LISTED)


@pytest.mark.parametrize("pattern", [LIST, "conf.d/*.conf", "/etc/nginx/conf.d/*", "conf.d/blocked.conf"])
def test_an_include_in_http_holds_for_every_server(pattern: str) -> None:
    found = config(f"include {pattern}; server {{ listen 80; location / {{ root /srv; }} }}")
    assert configuration.includes_list(found)
    assert configuration.gaps(found, LISTED) == []


@pytest.mark.parametrize("http", ["", "include conf.d/x*.conf;", "# include conf.d/blocked.conf;", "set $x 'include conf.d/*';"])
def test_a_list_that_is_not_included_is_not_found(http: str) -> None:
    assert not configuration.includes_list(config(f"{http} server {{ listen 80; }}"))


@pytest.mark.parametrize("path", ["/etc/nginx/conf.d/lists/blocked.conf", "/etc/nginx/conf.d/.blocked.conf"])
def test_a_wildcard_takes_in_no_folder_below_and_no_hidden_file(path: str) -> None:
    for pattern in ("/etc/nginx/conf.d/*.conf", "/etc/nginx/conf.d/*"):
        assert not configuration.includes(pattern, path)
    assert configuration.includes("/etc/nginx/*/*.conf", LIST)
    assert configuration.includes("/etc/nginx/conf.d/.b*", "/etc/nginx/conf.d/.blocked.conf")


def test_an_include_within_an_included_file_is_found() -> None:
    assert configuration.includes_list(config("include sites/*;", shop=f"server {{ include {LIST}; }}"))
    assert gaps("include sites/*;", shop=f"server {{ include {LIST}; }}", bare="server { server_name bare; }") == [
        "The server bare has no lines of the list: whoever is on it gets through there."
    ]


def test_a_file_that_includes_itself_is_no_endless_matter() -> None:
    assert not configuration.includes_list(config("include sites/*;", shop="include sites/*;"))


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
    assert said == "The location /a of the server _ has 'satisfy any': whoever has a password gets past the list."


@pytest.mark.parametrize(
    ("http", "sign"),
    [
        ("real_ip_header X-Real-IP;", "real_ip_header"),
        ("server { listen 80 proxy_protocol; }", "listen ... proxy_protocol"),
        ("limit_req_zone $http_x_forwarded_for zone=a:1m rate=1r/s;", "$http_x_forwarded_for"),
        ("real_ip_header X-Real-IP; set_real_ip_from 10.0.0.0/8;", ""),
        ("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; log_format a '$http_x_forwarded_for';", ""),
    ],
)
def test_what_shows_that_nginx_sees_only_its_proxy(http: str, sign: str) -> None:
    assert configuration.behind_a_proxy(config(http)) == sign


def test_proxies_that_are_told_of_are_found_wherever_they_stand() -> None:
    found = config("set_real_ip_from 10.0.0.0/8; server { set_real_ip_from 2a00::/32; set_real_ip_from unix:; }")
    assert configuration.proxies(found) == ["10.0.0.0/8", "2a00::/32"]
