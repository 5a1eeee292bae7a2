"""Shapes that a site of certbot's may legally have, with a real CA, certbot and nginx: each is renewed and seen, or doubted."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.modules import certificate_renewal
from irctl.lab.postgres import free_port
from tests.integration.certificates.renewing import age, whole
from tests.servers import acme
from tests.servers.acme import NAME, SECOND, Site

pytestmark = pytest.mark.skipif(bool(acme.missing()), reason=acme.missing())
SERVER = "server {{ listen 127.0.0.1:{port} ssl; server_name {names}; ssl_certificate {path}; ssl_certificate_key {key}; {more} }}"


def step(site: Site, state: str, **more: Any) -> dict[str, Any]:
    defaults = {name: option.get("default") for name, option in certificate_renewal.ARGUMENTS.items()}
    where = {"config_dir": str(site.config), "ca_bundle": str(site.authority.bundle), "roots": str(site.authority.roots)}
    nginx = {"nginx_test": [*site.nginx, "-t"], "nginx_reload": [*site.nginx, "-s", "reload"]}
    return certificate_renewal.run({**defaults, **where, **nginx, "name": NAME, "state": state, **more}, False)


def outcome(site: Site, **more: Any) -> tuple[str, str]:
    """Renew by the module's own steps: 'renewed', 'undecided', 'failed' or 'refused', and why."""
    before = step(site, "listed", **more)
    if before["refusals"]:
        return "refused", " ".join(before["refusals"])
    try:
        step(site, "captured", found=before["found"], **more)
        step(site, "changed", found=before["found"], **more)
        return "renewed", step(site, "proved", **more)["msg"]
    except Undecided as error:
        return "undecided", str(error)
    except Failure as error:
        return "failed", str(error)


def server(site: Site, port: int, path: str, *, names: str = "_", more: str = "") -> str:
    return SERVER.format(port=port, names=names, path=path, key=path.replace("fullchain", "privkey"), more=more)


def shown(port: int, site: Site, name: str = NAME) -> str:
    return acme.run(
        "openssl", "x509", "-noout", "-serial", "-in", str(kept(site.folder / "look.pem", acme.shown(port, name)))
    ).lower()


def kept(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("variable", ["$ssl_server_name", "$lineage"])
def test_a_server_that_chooses_its_certificate_by_a_variable_is_seen_by_a_handshake(site: Site, variable: str) -> None:
    port = free_port()
    path = f"{site.config}/live/{variable}/fullchain.pem"
    chosen = f"map $ssl_server_name $lineage {{ default none; {NAME} {NAME}; {SECOND} {NAME}; }}"
    os.symlink(NAME, site.config / "live" / SECOND)
    site.configure(more=chosen + server(site, port, path))
    age(site)
    assert f"127.0.0.1:{port} ({NAME})" in step(site, "listed")["summary"]["served"]
    assert outcome(site)[0] == "renewed"
    assert shown(port, site).strip() == site.stored()


def test_a_server_whose_variable_leads_to_another_certificate_is_none_of_ours(site: Site) -> None:
    port = free_port()
    other = site.folder / "other"
    other.mkdir(exist_ok=True)
    acme.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "2", "-keyout",
             str(other / "privkey.pem"), "-out", str(other / "fullchain.pem"))  # fmt: skip
    site.configure(more=f"map $ssl_server_name $place {{ default {other}; }}" + server(site, port, "$place/fullchain.pem"))
    age(site)
    assert outcome(site)[0] == "renewed"


def test_a_server_whose_variable_leads_nowhere_is_doubted_until_somebody_vouches_for_it(site: Site) -> None:
    port = free_port()
    site.configure(more="\n" + server(site, port, f"{site.config}/live/$ssl_cipher/fullchain.pem"))
    age(site)
    result, why = outcome(site)
    assert result == "undecided", why
    [place] = re.findall(rf"in ({re.escape(str(site.folder))}/nginx.conf:[0-9]+)", why)
    assert outcome(site, vouched=[place])[0] == "renewed"


def test_a_link_outside_live_that_leads_through_it_is_followed(site: Site) -> None:
    port, links = free_port(), site.folder / "links"
    links.mkdir(exist_ok=True)
    for kind in ("fullchain", "privkey"):
        (links / f"{kind}.pem").unlink(missing_ok=True)
        (links / f"{kind}.pem").symlink_to(site.live / f"{kind}.pem")
    site.configure(more=server(site, port, f"{links}/fullchain.pem", names=SECOND))
    age(site)
    result, why = outcome(site)
    assert (result, f"127.0.0.1:{port}" in str(step(site, "listed")["summary"]["served"])) == ("renewed", True), why


def test_a_server_that_names_one_version_of_the_archive_is_doubted(site: Site) -> None:
    port = free_port()
    site.configure(more=server(site, port, f"{site.archive}/fullchain1.pem"))
    age(site)
    result, why = outcome(site)
    assert (result, "past the links of certbot" in why) == ("undecided", True), why


def other(site: Site, port: int) -> str:
    """The server that answers on this port whoever asks for none of ours, with another certificate."""
    folder = site.folder / "other"
    folder.mkdir(exist_ok=True)
    acme.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "2", "-keyout",
             str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem"))  # fmt: skip
    return server(site, port, f"{folder}/fullchain.pem", names="other.example.org")


def test_a_server_to_which_no_plain_name_leads_is_asked_by_the_names_of_the_certificate(site: Site) -> None:
    port = free_port()
    site.configure(more=other(site, port) + server(site, port, f"{site.live}/fullchain.pem", names=r"~^shop\.example\.com$"))
    age(site)
    result, why = outcome(site)
    assert (result, f"127.0.0.1:{port} ({NAME})" in step(site, "listed")["summary"]["served"]) == ("renewed", True), why


def test_a_server_that_no_name_of_the_certificate_reaches_is_doubted(site: Site) -> None:
    port = free_port()
    site.configure(more=other(site, port) + server(site, port, f"{site.live}/fullchain.pem", names="localhost"))
    age(site)
    result, why = outcome(site)
    assert (result, "no name is known by which to ask for it" in why) == ("undecided", True), why


@pytest.mark.parametrize("names", [r"~^nowhere\.", "192.0.2.1", NAME])
def test_a_server_is_not_seen_where_another_one_answers_for_the_name(site: Site, names: str) -> None:
    """The default server of the port has our certificate too, and nginx leads every name to it."""
    port = free_port()
    first, second = (server(site, port, f"{site.live}/fullchain.pem", names=words) for words in (NAME, names))
    site.configure(more=f"{first}\n{second}")
    age(site)
    result, why = outcome(site)
    assert (result, why.count("no name is known by which to ask for it")) == ("undecided", 1), why


def test_a_server_whose_name_an_earlier_one_has_does_not_fail_after_a_certificate_was_issued(site: Site) -> None:
    """nginx leads no client to the second, with a warning only; another certificate is seen there for ever."""
    port = free_port()
    first = other(site, port).replace("other.example.org", NAME)
    site.configure(more=first + server(site, port, f"{site.live}/fullchain.pem", names=NAME))
    age(site)
    result, why = outcome(site)
    assert (result, "no name is known by which to ask for it" in why) == ("undecided", True), why


@pytest.mark.parametrize("form", ["file", "data"])
def test_a_server_that_has_a_copy_of_the_certificate_is_doubted(site: Site, form: str) -> None:
    """It goes on with the old one, until somebody copies the new one, too."""
    age(site)
    copies = site.folder / "copies"
    copies.mkdir(exist_ok=True)
    for kind in ("fullchain", "privkey"):
        kept(copies / f"{kind}.pem", (site.live / f"{kind}.pem").read_text())
    path = f"{copies}/fullchain.pem"
    text = server(site, free_port(), path)
    site.configure(more=text if form == "file" else text.replace(path, f'"data:{(copies / "fullchain.pem").read_text()}"', 1))
    site.reload()
    result, why = outcome(site)
    assert (result, "it is a copy of a certificate of this lineage" in why) == ("undecided", True), why


def test_an_archive_of_another_name_is_found_and_renewed_in(site: Site) -> None:
    elsewhere = site.config / "archive" / f"{NAME}-0001"
    site.archive.rename(elsewhere)
    settings = site.config / "renewal" / f"{NAME}.conf"
    settings.write_text(settings.read_text().replace(str(site.archive), f"{elsewhere} # renamed", 1))
    for path in site.live.glob("*.pem"):
        target = os.readlink(path).replace(f"/{NAME}/", f"/{NAME}-0001/")
        path.unlink()
        path.symlink_to(target)
    age(site)
    assert outcome(site)[0] == "renewed"
    assert (whole(site), os.readlink(site.live / "cert.pem")) == (True, f"../../archive/{NAME}-0001/cert3.pem")
    assert "(invalid" not in site.certbot("certificates").lower()


@pytest.mark.parametrize("protocol", ["TLSv1", "TLSv1.1"])
def test_a_server_that_speaks_an_old_tls_only_is_seen(site: Site, protocol: str) -> None:
    port = free_port()
    more = f"ssl_protocols {protocol}; ssl_ciphers ALL:@SECLEVEL=0;"
    site.configure(more=server(site, port, f"{site.live}/fullchain.pem", names=SECOND, more=more))
    age(site)
    assert outcome(site)[0] == "renewed"
    assert f"127.0.0.1:{port} ({SECOND})" in step(site, "listed")["summary"]["served"]


def test_the_hooks_of_a_folder_are_named_that_are_not_run(site: Site) -> None:
    folders = [site.config / "renewal-hooks" / name for name in ("deploy", "pre")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mail").write_text("#!/bin/sh\n")
        (folder / "mail").chmod(0o755)
        (folder / "readme").write_text("no program")
    age(site)
    try:
        assert outcome(site) == ("refused", f"{folders[1]} has a pre_hook (mail), which irctl does not run.")
        (folders[1] / "mail").unlink()
        listing = step(site, "listed")
        changed = step(site, "changed", found=listing["found"])
        assert changed["msg"].endswith(f"the deploy_hook of {folders[0]} is not run: mail")
    finally:
        shutil.rmtree(site.config / "renewal-hooks")


@pytest.mark.parametrize("name", ["pre_hook", "post_hook"])
def test_a_hook_that_is_none_is_no_hook(site: Site, name: str) -> None:
    settings = site.config / "renewal" / f"{NAME}.conf"
    settings.write_text(settings.read_text().replace("[renewalparams]\n", f"[renewalparams]\n{name} = None\n"))
    age(site)
    assert outcome(site)[0] == "renewed"
