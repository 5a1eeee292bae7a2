"""Certificates: what is looked at before a new one is served, and the budget of a week; what nginx serves, by its configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.certificates import certbot, tls_servers, x509
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.lineage import Lineage
from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.x509 import DAY, WEEK, Certificate, Pair
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import configuration

NOW = 1_800_000_000.0
SAID = """serial=0AFF
notBefore=Nov 21 09:18:50 2026 GMT
notAfter=Feb 19 09:18:49 2027 GMT
subject=CN=Shop.example.com
issuer=CN=Pebble, O=x
X509v3 Subject Alternative Name:
    DNS:Shop.example.com, DNS:*.example.net, IP Address:192.0.2.1
"""


def one(
    *names: str, begins: float = NOW - DAY, ends: float = NOW + 89 * DAY, subject: str = "leaf", issuer: str = "ca"
) -> Certificate:
    return Certificate("1", f"{names}{begins}{ends}", frozenset(names), begins, ends, subject, issuer)


OLD = one("a.example.com", begins=NOW - 80 * DAY, ends=NOW + 10 * DAY)
CA = one(subject="ca", issuer="root")


def said(new: Pair, *wanted: str) -> list[str]:
    return x509.objections(new, wanted or ("a.example.com",), OLD, NOW)


def test_what_openssl_prints_is_read_whole() -> None:
    found = x509.parse(SAID, "ab")
    assert found.names == {"shop.example.com", "*.example.net", "192.0.2.1"}
    assert (found.serial, found.issuer, found.ends - found.begins) == ("0aff", "CN=Pebble, O=x", 90 * DAY - 1)
    with pytest.raises(ValueError, match="does not say"):
        x509.parse("unable to load certificate", "")


def test_a_good_pair_has_nothing_against_it() -> None:
    assert said(Pair((one("a.example.com"), CA), True)) == []


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (Pair((one("a.example.com"), CA), False), "private key does not belong"),
        (Pair((one("b.example.com"), CA), True), "is for b.example.com and lacks a.example.com"),
        (Pair((one("a.example.com"), one(subject="other"), CA), True), "chain is not in order"),
        (Pair((one("a.example.com", begins=NOW + 60), CA), True), "not valid before"),
        (Pair((one("a.example.com", ends=NOW - 1), CA), True), "It ends on"),
        (Pair((one("a.example.com", ends=OLD.ends), CA), True), "and the one that is there on"),
    ],
)
def test_a_pair_that_must_not_be_served_says_why(new: Pair, why: str) -> None:
    [sentence] = said(new)
    assert why in sentence


def test_a_star_covers_one_label_and_not_the_name_itself() -> None:
    names = ["*.example.com"]
    assert x509.uncovered(["a.example.com", "example.com", "b.a.example.com"], names) == {"example.com", "b.a.example.com"}
    assert x509.uncovered(["*.example.com"], names) == frozenset()


def test_of_server_names_those_count_that_a_certificate_can_have() -> None:
    words = ["Shop.Example.com", ".example.net", "_", "localhost", "~^x$", "192.0.2.1", "mail.*", "", "$hostname"]
    assert x509.host_names(words) == ["shop.example.com", "example.net", "*.example.net"]


@pytest.mark.parametrize("name", [None, "", ".", "..", "../x", "a/b", "-v", "a b", "a\n", "ä.example.com", "x" * 201])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str | None) -> None:
    with pytest.raises(ValueError, match=r"name"):
        x509.check_name(name)


def test_a_certificate_that_is_kept_twice_counts_once_and_an_old_one_not_at_all() -> None:
    fresh, older = one("a", begins=NOW - DAY), one("a", begins=NOW - 3 * DAY)
    issued = x509.recent([fresh, older, fresh, one("a", begins=NOW - WEEK)], NOW)
    assert issued == [NOW - 3 * DAY, NOW - DAY]
    assert x509.beyond_budget(issued, 3) == ""
    full = x509.beyond_budget(issued, 2)
    assert f"the next is allowed at {x509.date_text(NOW + 4 * DAY)}" in full
    assert x509.date_text(NOW + 6 * DAY) in x509.beyond_budget(issued, 1), "the newest of two has to be a week old"


CONFIG = """# configuration file /etc/nginx/nginx.conf:
http {
  ssl_certificate /le/live/shared/fullchain.pem;
  server { listen 443 ssl default_server; server_name a.example.com; ssl_certificate /le/live/shop/fullchain.pem; }
  server { listen [::]:443 ssl; listen 443; server_name b.example.com .c.example.com; ssl_certificate /le/live/shop/fullchain.pem; }
  server { listen 127.0.0.1:8443 ssl proxy_protocol; server_name _; ssl_certificate ../../le/live/shop/fullchain.pem; }
  server { listen 443 ssl; server_name _; ssl_certificate /le/live/shop/fullchain.pem; }
  server { listen 445 ssl; server_name shared.example.com; }
  server { listen 80; server_name plain.example.com; }
  server { listen 444 ssl; server_name both.example.com;
           ssl_certificate /le/live/two/fullchain.pem; ssl_certificate /le/live/two/rsa.pem; }
}
stream { server { listen 853 ssl; ssl_certificate /le/live/shop/fullchain.pem; } }
"""


def test_the_servers_of_a_certificate_are_found_with_the_name_that_leads_to_each() -> None:
    found = tls_servers.site(configuration.parse(CONFIG, ""), "/le/live/shop", "/etc/nginx")
    assert {(one.address, one.name, one.proxied) for one in found.listeners} == {
        ("*:443", "a.example.com", False),
        ("[::]:443", "b.example.com", False),
        ("*:443", "b.example.com", False),
        ("127.0.0.1:8443", "", True),
        ("*:853", "", False),
    }
    assert found.names == {"a.example.com", "b.example.com", "c.example.com", "*.c.example.com"}


def test_what_a_block_does_not_say_it_has_from_around_it_and_two_certificates_are_a_doubt() -> None:
    directives = configuration.parse(CONFIG, "")
    [shared] = tls_servers.site(directives, "/le/live/shared", "/etc/nginx").listeners
    assert shared == ("*:445", "shared.example.com", False)
    assert "has 2 certificates" in tls_servers.site(directives, "/le/live/two", "/etc/nginx").doubts[0]


def test_an_order_has_places_of_its_own_and_no_hooks() -> None:
    lines = ["archive_dir = /le/archive/a\n", "cert = /le/live/a/cert.pem\n", "[renewalparams]\n", "renew_hook = reboot\n"]
    kept = certbot.staged([*lines, "config_dir = /le\n", "server = https://x/dir\n", "[[webroot_map]]\n"], Lineage("/o", "a"))
    places = ["archive_dir = /o/archive/a\n", "cert = /o/live/a/cert.pem\n"]
    assert kept == [*places, "[renewalparams]\n", "server = https://x/dir\n", "[[webroot_map]]\n"]


def test_hooks_are_found_in_every_form_that_certbots_own_configuration_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "renewal").mkdir()
    (tmp_path / "renewal" / "a.conf").write_text("[renewalparams]\npost_hook = reboot\n")
    lines = [
        "# pre-hook = no",
        "--pre-hook = one",
        "post-hook: 'two'",
        "deploy-hook three four",
        "[x]",
        "renew-hook=",
        "pre-hooks = no",
    ]
    (tmp_path / "cli.ini").write_text("\n".join(lines))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(certbot, "COMMON", ("~/cli.ini", "~/nosuch.ini"))
    refused, left = certbot.hooks(Lineage(str(tmp_path), "a"))
    path, not_run = tmp_path / "cli.ini", "which irctl does not run."
    assert refused == [
        f"The lineage has a post_hook (reboot), {not_run}",
        f"{path} has a pre_hook (one), {not_run}",
        f"{path} has a post_hook (two), {not_run}",
    ]
    assert left == [f"the deploy_hook of {path} is not run: three four"]


def test_a_part_of_a_version_is_put_aside_too_and_a_second_time_finishes_the_first(tmp_path: Path) -> None:
    lineage = Lineage(str(tmp_path), "a")
    Path(lineage.archive).mkdir(parents=True)
    for number in (2, 3):
        Path(lineage.path("privkey", number)).write_text(str(number))
        lineage.put_aside(number)
    assert lineage.versions() == {}
    assert sorted(path.read_text() for path in Path(lineage.own_folder).rglob("privkey*")) == ["2", "3"]


def test_what_certbot_prints_is_cut_to_why() -> None:
    lines = [
        "Saving debug log",
        "Failed to renew certificate a with error: Some challenges have failed.",
        "  Detail: 404",
        "All failed.",
    ]
    assert certbot.reason("\n".join(lines)) == "Some challenges have failed. 404"
    assert certbot.reason("one\ntwo\n") == "two"


def test_links_of_several_versions_are_said_and_not_followed(tmp_path: Path) -> None:
    found = Lineage(str(tmp_path), "a")
    for folder in (found.live, found.archive):
        Path(folder).mkdir(parents=True)
    for kind, number in (("cert", 2), ("privkey", 1), ("chain", 2), ("fullchain", 2)):
        Path(found.path(kind, number)).touch()
        Path(found.live, f"{kind}.pem").symlink_to(f"../../archive/a/{kind}{number}.pem")
    with pytest.raises(certbot.Failure, match="several versions: cert 2, privkey 1, chain 2, fullchain 2"):
        found.current()


def test_an_order_that_was_cut_short_in_the_middle_of_a_file_waits_for_nobody_and_can_be_forgotten(tmp_path: Path) -> None:
    lineage = Lineage(str(tmp_path), "a")
    order = certbot.Order(lineage)
    for path in map(Path, order.files()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    assert order.pair() is None
    order.discard()
    assert [path.name for path in Path(lineage.own_folder).iterdir()] == ["issued"]
