"""A lineage of `certbot --nginx`, stopped while its challenge stands in nginx's configuration: nginx can always start."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from irctl.errors import INDETERMINATE
from tests.integration.certificates.renewing import age, irctl, renew
from tests.servers import acme
from tests.servers.acme import NAME, SECOND, Site

NO_PLUGIN = "" if Path("/usr/lib/python3/dist-packages/certbot_nginx").exists() else "apt-get install python3-certbot-nginx"
WHY = acme.missing() or NO_PLUGIN
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Its CA takes seconds to look at a challenge, so that it can be stopped in between."""
    with acme.running(tmp_path_factory.mktemp("acme") / "site", looks_for=6) as found:
        yield found


@pytest.fixture
def by_nginx(site: Site) -> Site:
    """The lineage as `certbot --nginx` leaves it, and an expiring certificate."""
    settings = site.config / "renewal" / f"{NAME}.conf"
    text = re.sub(r"authenticator = .*", "authenticator = nginx\ninstaller = nginx", settings.read_text())
    where = f"nginx_server_root = {site.folder}\nnginx_ctl = {shutil.which('nginx', path='/usr/sbin')}\nhttp01_port = {site.http}\n"
    settings.write_text(re.sub(r"webroot_path.*|\[\[webroot_map\]\][^$]*", "", text) + where)
    plain = f"server {{ listen 127.0.0.1:{site.http}; server_name {NAME} {SECOND}; root {site.folder}/www; }}"
    site.configure(more=plain)
    site.reload()
    age(site)
    return site


def challenged(site: Site) -> bool:
    return "le_http_01" in (site.folder / "nginx.conf").read_text()


def can_start(site: Site) -> bool:
    return "successful" in acme.run(*site.nginx, "-t")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_asked_to_stop_lets_certbot_put_back_what_it_changed(by_nginx: Site, number: signal.Signals) -> None:
    process = irctl(by_nginx).start("remediate", "renew-certificate", "--host", "web", "--json")
    acme.wait_until(lambda: challenged(by_nginx), 90)
    process.send_signal(number)
    out, err = process.communicate(timeout=100)
    assert process.returncode == INDETERMINATE, out + err
    assert not challenged(by_nginx)
    assert can_start(by_nginx)


def test_what_certbot_could_not_put_back_the_next_run_does(by_nginx: Site) -> None:
    process = irctl(by_nginx).start("remediate", "renew-certificate", "--host", "web", "--json")
    acme.wait_until(lambda: challenged(by_nginx), 90)
    kill_certbot(by_nginx)
    process.communicate(timeout=100)
    assert can_start(by_nginx), "what nginx includes is still there"
    done = renew(by_nginx)
    assert (done.code, done.json["outcome"]) == (0, "changed"), done.out
    assert not challenged(by_nginx)
    assert (can_start(by_nginx), by_nginx.serial()) == (True, by_nginx.stored())


def kill_certbot(site: Site) -> None:
    """As a machine that loses its power: certbot, and whoever waits for it, without a word."""
    killed = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = path.read_bytes().split(b"\0")
        if f"--config-dir={site.config}/irctl/{NAME}/order".encode() in words:
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
            for pid in (parent, int(path.parent.name)):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    assert killed
