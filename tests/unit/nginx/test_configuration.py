"""What a configuration of nginx includes where."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import configuration
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx.syntax import Unreadable
from tests.unit.nginx.written import LIST, config, parsed


@pytest.mark.parametrize("pattern", [LIST, "conf.d/*.conf", "/etc/nginx/conf.d/*", "conf.d/blocked.conf"])
def test_an_include_in_http_holds_for_every_server(pattern: str) -> None:
    found = config(f"include {pattern}; server {{ listen 80; location / {{ root /srv; }} }}")
    assert configuration.includes_list(found)


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


def test_a_file_that_includes_itself_is_no_endless_matter() -> None:
    assert not configuration.includes_list(config("include sites/*;", shop="include sites/*;"))


def test_a_directive_knows_its_file_and_line() -> None:
    [server] = configuration.named(config("include sites/*;", shop="\n\nserver {\n listen 80; }"), "server")
    [listen] = configuration.named([server], "listen")
    assert (server.place, listen.place) == ("/etc/nginx/sites/shop:3", "/etc/nginx/sites/shop:4")


def test_the_list_stands_among_other_files_of_a_wildcard_in_the_order_of_their_names() -> None:
    files = {"/etc/nginx/nginx.conf": "http { include conf.d/*; }", LIST: "", "/etc/nginx/conf.d/c.conf": "allow all;"}
    [http] = parsed({**files, "/etc/nginx/conf.d/a.conf": "allow 10.0.0.0/8;"})
    assert [str(one) for one in http.block or ()] == ["allow 10.0.0.0/8", "the list", "allow all"]


def test_a_comment_that_looks_like_the_beginning_of_a_file_is_a_comment() -> None:
    found = config("# configuration file /etc/nginx/old.conf:\nserver { listen 81; }")
    assert [one.words for one in configuration.named(found, "listen")] == [("listen", "81")]


def test_a_comment_that_names_a_file_that_is_there_cannot_be_told_from_its_beginning() -> None:
    with pytest.raises(Unreadable, match="looks like the beginning of /etc/nginx/sites/shop"):
        configuration.parse(
            "# configuration file /n:\nhttp { include sites/*;\n# configuration file /etc/nginx/sites/shop:\n}\n"
            "# configuration file /etc/nginx/sites/shop:\n\n",
            LIST,
        )


def test_a_carriage_return_within_a_comment_ends_no_comment() -> None:
    assert not configuration.includes_list(config(f"# was:\r include {LIST};\n server {{ listen 80; }}"))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("[^_]*", ["a", "^", "ab"]),
        ("[!_]*", ["a", "^", "ab"]),
        ("[[:alpha:]]", ["a"]),
        ("[[:digit:]_]", ["_"]),
        ("[a-c]", ["a"]),
        ("[]a]", ["a"]),
        ("\\a*", ["a", "ab"]),
        ("[z-a]", []),
        ("\\a", []),
    ],
)
def test_a_wildcard_is_read_as_glob_reads_it(pattern: str, names: list[str]) -> None:
    assert [name for name in ("a", "_", "^", "ab", ".a") if configuration.includes(f"/x/{pattern}", f"/x/{name}")] == names
