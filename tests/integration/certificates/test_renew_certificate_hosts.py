"""renew-certificate on a host with systemd that is managed by ssh: certbot and nginx as Debian has them, a drill and its end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Irctl
from tests.servers import acme
from tests.servers.acme import NAME, Authority
from tests.servers.hosts import irctl_for
from tools.test_hosts import network
from tools.test_hosts.sets import Host, Set

LACKING = "" if shutil.which("pebble") else "apt-get install pebble, as tools/install-test-servers does"
pytestmark = pytest.mark.skipif(bool(LACKING), reason=LACKING)
SERVER = f"""
server {{
  listen 443 ssl; listen [::]:443 ssl; server_name {NAME};
  ssl_certificate /etc/letsencrypt/live/{NAME}/fullchain.pem; ssl_certificate_key /etc/letsencrypt/live/{NAME}/privkey.pem;
}}
"""
PLACE, ROOTS, BUNDLE = f"/etc/nginx/conf.d/{NAME}.conf", "/etc/ssl/drill-roots.pem", "/etc/ssl/drill-api.pem"
SHOWN = f"openssl s_client -connect localhost:443 -servername {NAME} </dev/null 2>/dev/null | openssl x509 -noout -serial"


def put(host: Host, path: str, text: str) -> None:
    host.run("tee", path, input=text)


def serial(host: Host) -> str:
    return host.run("sh", "-c", SHOWN, check=False).stdout.strip()


@pytest.fixture
def web(hosts: Set, tmp_path: Path) -> Iterator[Irctl]:
    """The command, with h1 serving a certificate of a CA that has the host's own loopback for its world."""
    host = hosts["h1"]
    authority = Authority(tmp_path / "ca", 80, within=network.within(f"{hosts.name}-h1"))
    try:
        authority.start()
        put(host, ROOTS, authority.roots.read_text())
        put(host, BUNDLE, authority.bundle.read_text())
        words = ["certonly", "--webroot", "-w", "/var/www/html", "-d", NAME, "--server", authority.url, "--non-interactive"]
        trust = ["env", f"REQUESTS_CA_BUNDLE={BUNDLE}"]
        host.run(*trust, "certbot", *words, "-m", "ops@example.com", "--agree-tos", "--no-eff-email")
        put(host, PLACE, SERVER)
        host.run("nginx", "-s", "reload")
        acme.wait_until(lambda: serial(host))
        about = {"certificates_roots": ROOTS, "certificates_ca_bundle": BUNDLE, "renew_certificate_name": NAME}
        yield irctl_for(hosts, tmp_path, ansible_become=True, **about)
    finally:
        authority.stop()
        with suppress(Exception):
            host.run("rm", "-rf", PLACE, ROOTS, BUNDLE, "/etc/letsencrypt")
            host.run("nginx", "-s", "reload")


def test_a_host_is_renewed_over_ssh_and_a_second_run_changes_nothing(hosts: Set, web: Irctl, tmp_path: Path) -> None:
    host, order = hosts["h1"], ["remediate", "renew-certificate", "--host", "h1", "--json"]
    first = serial(host)
    assert web(*order).json["outcome"] == "unchanged"
    fault = ["ansible-playbook", "irctl.runbooks.renew_certificate", "-i", str(web.inventory), "-e", "irctl_target=h1", "-b"]
    acme.run(*fault, "-e", "irctl_entry_point=fault", env=acme.ansible(tmp_path))
    expired = serial(host)
    assert expired not in ("", first)
    done = web(*order)
    assert (done.code, done.json["outcome"]) == (0, "changed"), done.out
    assert serial(host) not in ("", first, expired)
    assert "127.0.0.1:443" not in str(done.host("h1")["before"]), "an address of nginx is shown as it is written"
    again = web(*order)
    assert (again.code, again.json["outcome"]) == (0, "unchanged"), again.out
    renewed = serial(host)
    acme.run(*fault, "-e", "irctl_entry_point=restore", env=acme.ansible(tmp_path))
    assert serial(host) == renewed
    undone = web("revert", done.json["run"], "--json")
    assert (undone.code, undone.json["outcome"], serial(host)) == (0, "changed", first), "not the drill's, which that run found"
