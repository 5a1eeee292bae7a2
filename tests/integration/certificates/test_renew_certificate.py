"""renew-certificate with a real pebble, certbot and nginx, while a client shakes hands every 50 ms. HAZARDS H16, D8, D9."""

from __future__ import annotations

import calendar
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.certificates.lineage import Lineage
from irctl.errors import FAILED, INVALID, REFUSED
from tests.integration.certificates.renewing import (
    NOTHING,
    OTHER,
    Asked,
    age,
    expire,
    irctl,
    kept,
    part,
    polled,
    renew,
    whole,
    wrapper,
)
from tests.servers import acme
from tests.servers.acme import NAME, SECOND, Site

pytestmark = pytest.mark.skipif(bool(acme.missing()), reason=acme.missing())


def test_an_expired_certificate_is_renewed_once_without_a_failed_handshake_and_no_key_is_kept(site: Site) -> None:
    asked, first, expired = Asked(site), site.serial(), expire(site)
    assert expired != first
    assert part(site, "verify").returncode != 0
    with polled(site) as client:
        done = renew(site)
    assert (done.code, done.host("web")["outcome"]) == (0, "changed"), done.out
    assert len(client.kinds) == 2, "the old one, then the new one"
    assert site.serial() == site.stored() not in (first, expired)
    assert part(site, "verify").returncode == 0
    again = renew(site)
    assert (again.code, again.json["outcome"], asked.numbers) == (0, "unchanged", (1, 1)), again.err
    home = site.folder.parent / "home"
    key = (site.live / "privkey.pem").read_text().splitlines()[1]
    texts = [path.read_text(errors="replace") for path in home.rglob("*") if path.is_file()]
    assert any("BEGIN CERTIFICATE" in text for text in texts), "the certificate from before is evidence"
    assert not any(key in text or "PRIVATE KEY" in text for text in texts)
    assert "VALID: 89 days" in site.certbot("certificates"), "certbot itself finds the lineage in order"
    assert "not yet due" in site.certbot("renew", "--no-random-sleep-on-renew")


def test_a_dry_run_says_what_would_be_done_and_asks_for_no_certificate(site: Site) -> None:
    age(site)
    before, asked = kept(site), Asked(site)
    files = sorted(str(path) for path in site.config.rglob("*"))
    done = renew(site, "--check")
    assert (done.code, done.json["outcome"]) == (0, "changed"), done.err
    assert "would be renewed" in done.host("web")["reason"]
    [exactly] = done.host("web")["affected"]["items"]
    assert (exactly["certificate"], exactly["action"], exactly["names"].split()[0]) == (NAME, "renew", NAME)
    assert (kept(site), asked.numbers) == (before, NOTHING)
    assert sorted(str(path) for path in site.config.rglob("*")) == files


def test_the_restoration_of_a_drill_puts_back_the_certificate_from_before_and_may_be_done_again(site: Site) -> None:
    before = kept(site)
    expire(site)
    for _ in range(2):
        with polled(site):
            assert part(site, "restore").returncode == 0
        assert kept(site) == before
    expire(site)
    assert renew(site).code == 0
    renewed = site.serial()
    assert part(site, "restore").returncode == 0
    assert (site.serial(), site.stored(), whole(site)) == (renewed, renewed, True), "what was renewed stays"
    assert not list(site.archive.glob("*2.pem")), "the drill's own is gone"


def test_a_drill_ends_as_fixed_with_the_certificate_from_before_in_use_and_nothing_of_it_is_left(site: Site) -> None:
    before, asked, command = kept(site), Asked(site), irctl(site)
    with polled(site) as client:
        done = command("drill", "run", "renew-certificate", "--host", "web", "--json")
    assert done.code == 0, done.out + done.err
    [drill] = done.json["drills"]
    assert (drill["verdict"], drill["why"]) == ("fixed", "")
    carried = {step["step"]: step["outcome"] for step in drill["steps"]}
    assert (carried["mend"], carried["revert"], carried["restore"], carried["after"]) == (
        "changed",
        "changed",
        "changed",
        "unchanged",
    )
    assert (kept(site), asked.numbers, len(client.kinds)) == (before, (1, 1), 3), (
        "the genuine, the expired, the renewed, the genuine"
    )
    left = {path.read_bytes() for path in (site.config / "irctl" / NAME).rglob("cert*.pem")}
    assert len(left) == 1, "what the CA has counted, and nothing of the drill's own"
    assert command("drill", "restore").out == "no drill was cut short\n"
    due = command("leases", "run-due")
    assert (due.code, due.out, kept(site)) == (0, "", before)


def test_a_drill_that_was_killed_before_it_installed_anything_does_not_cost_a_genuine_certificate(site: Site) -> None:
    expire(site)
    marker = site.config / "irctl" / NAME / "drill.json"
    killed = marker.read_text()
    for entry in ("restore", "fault"):
        site.reset()
        marker.parent.mkdir(parents=True)
        marker.write_text(killed)  # it speaks of version 2, which is not the drill's
        site.certbot("renew", "--cert-name", NAME, "--force-renewal", "--no-random-sleep-on-renew")
        site.settle()
        genuine = kept(site)
        assert any(line.startswith("privkey2.pem") for line in genuine)
        assert part(site, entry).returncode == 0
        assert (kept(site) == genuine, marker.exists()) == (entry == "restore", entry == "fault")
        assert part(site, "restore").returncode == 0
        assert (kept(site), marker.exists()) == (genuine, False)


def test_what_a_drill_installed_in_part_is_taken_away(site: Site) -> None:
    before = kept(site)
    expire(site)
    Lineage(str(site.config), NAME).use(1)
    site.settle()
    for kind in ("chain", "cert"):
        (site.archive / f"{kind}2.pem").unlink()
    assert part(site, "restore").returncode == 0
    assert kept(site) == before


def test_a_host_that_the_inventory_does_not_mark_takes_no_fault(site: Site) -> None:
    before = kept(site)
    for entry in ("fault", "restore"):
        done = part(site, entry, irctl_drills="no")
        assert done.returncode != 0
        assert "does not mark web with irctl_drills: allowed" in done.stdout
    assert kept(site) == before


def test_a_revert_puts_back_the_certificate_from_before_and_certbot_does_not_bring_the_other_back(site: Site) -> None:
    aged, before = age(site), kept(site)
    done = renew(site)
    assert (done.code, done.json["outcome"], len(kept(site))) == (0, "changed", len(before) + 4), done.out
    for outcome in ("changed", "unchanged"):
        with polled(site) as client:
            undone = irctl(site)("revert", done.json["run"], "--json")
        assert (undone.code, undone.json["outcome"]) == (0, outcome), undone.out
        assert (kept(site), client.kinds[-1]) == (before, client.seen[-1])
    assert (site.serial(), whole(site)) == (aged, True)
    [aside] = (site.config / "irctl" / NAME).rglob("privkey*")
    assert aside.stat().st_mode & 0o077 == 0


def test_a_revert_that_was_killed_is_carried_to_its_end_by_the_next_one(site: Site) -> None:
    before = (age(site), kept(site))[1]
    done = renew(site)
    killing = wrapper(site, "killing", '"$@"\nkill -9 $PPID; sleep 1')
    killed = irctl(site, certificates_nginx_reload=[*killing, *site.nginx, "-s", "reload"])("revert", done.json["run"], "--json")
    assert killed.code not in (0, REFUSED), killed.out
    acme.wait_until(lambda: site.serial() == site.stored())
    assert os.readlink(site.live / "cert.pem").endswith("cert2.pem")
    assert (site.archive / "cert3.pem").exists()
    for outcome in ("changed", "unchanged"):
        undone = irctl(site)("revert", done.json["run"], "--json")
        assert (undone.code, undone.json["outcome"], kept(site)) == (0, outcome, before), undone.out


def test_a_revert_is_refused_where_another_one_is_in_use_since_and_can_be_forced(site: Site) -> None:
    aged = age(site)
    done = renew(site)
    site.certbot("renew", "--cert-name", NAME, "--force-renewal", "--no-random-sleep-on-renew")
    site.settle()
    before = kept(site)
    refused = irctl(site)("revert", done.json["run"], "--json")
    assert (refused.code, kept(site)) == (REFUSED, before), refused.out
    assert "Version 4 is in use, which that run did not set." in refused.host("web")["reason"]
    forced = irctl(site)("revert", done.json["run"], "--json", "--force")
    assert (forced.code, site.serial(), site.stored()) == (0, aged, aged), forced.out


def test_a_certificate_that_has_ended_is_never_put_back(site: Site) -> None:
    age(site, left=-1)
    done = renew(site)
    before = kept(site)
    refused = irctl(site)("revert", done.json["run"], "--json", "--force")
    assert (refused.code, kept(site)) == (REFUSED, before), refused.out
    assert "ended on" in refused.host("web")["reason"]


def test_a_number_of_days_that_no_certificate_of_the_ca_reaches_is_refused(site: Site) -> None:
    before, asked = kept(site), Asked(site)
    done = renew(site, "--days", "90")
    assert (done.code, kept(site), asked.numbers) == (REFUSED, before, NOTHING)
    assert "lasts 90 days, so with --days 90 each run would renew it." in done.host("web")["reason"]


def test_a_week_has_a_budget_and_the_refusal_says_when_the_next_one_is_allowed(site: Site) -> None:
    age(site)
    assert renew(site, "--max", "2").code == 0
    Lineage(str(site.config), NAME).use(2)
    site.settle()
    before, asked = kept(site), Asked(site)
    done = renew(site, "--max", "2")
    assert (done.code, kept(site), asked.numbers) == (REFUSED, before, NOTHING)
    reason = done.host("web")["reason"]
    assert "2 certificates of this lineage were issued within a week and the limit is 2; the next is allowed at" in reason
    allowed = time.strptime(reason.partition("allowed at ")[2][:17], "%Y-%m-%d %H:%MZ")
    assert 6.9 < (calendar.timegm(allowed) - time.time()) / 86400 <= 7


@pytest.mark.parametrize(("name", "code"), [("../live/shop.example.com", INVALID), ("nosuch", REFUSED)])
def test_a_name_that_certbot_does_not_have_is_refused_and_named(site: Site, name: str, code: int) -> None:
    before = kept(site)
    done = renew(site, f"--name={name}")
    assert (done.code, kept(site)) == (code, before), done.out
    reason = done.json["reason"] if code == INVALID else done.host("web")["reason"]
    there = f"certbot has no certificate nosuch in {site.config}; it has: {NAME}."
    assert ("the name of one of certbot's certificates is needed" if code == INVALID else there) in reason


def test_a_name_that_nginx_serves_and_the_certificate_lacks_is_refused_before_the_ca_is_asked(site: Site) -> None:
    age(site)
    site.configure(names=f"{NAME} {OTHER} .{NAME} _ localhost ~^x")
    site.settle()
    before, asked = kept(site), Asked(site)
    done = renew(site)
    assert (done.code, kept(site), asked.numbers) == (REFUSED, before, NOTHING), done.out
    assert f"nginx serves *.{NAME}, {OTHER} with this certificate, which is not for it" in done.host("web")["reason"]


def test_a_certificate_that_no_server_shows_is_refused(site: Site) -> None:
    age(site)
    site.configure(served=False)
    site.reload()
    asked = Asked(site)
    done = renew(site)
    assert (done.code, asked.numbers) == (REFUSED, NOTHING)
    assert f"nginx serves nothing from {site.live}" in done.host("web")["reason"]


def test_a_hook_that_would_stop_the_server_is_refused(site: Site) -> None:
    age(site)
    settings = site.config / "renewal" / f"{NAME}.conf"
    settings.write_text(settings.read_text().replace("[renewalparams]", "[renewalparams]\npre_hook = systemctl stop nginx"))
    before, asked = kept(site), Asked(site)
    done = renew(site)
    assert (done.code, kept(site), asked.numbers) == (REFUSED, before, NOTHING)
    assert "has a pre_hook (systemctl stop nginx), which irctl does not run." in done.host("web")["reason"]


def everybodys(site: Site, text: str) -> tuple[Path, dict[str, str]]:
    """A cli.ini that certbot reads for every lineage of a user, and the surroundings of that user."""
    home = site.folder / "somebody"
    path = home / ".config" / "letsencrypt" / "cli.ini"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path, {"HOME": str(home)}


def test_a_hook_that_stands_in_certbots_own_configuration_is_refused_and_its_file_named(site: Site) -> None:
    age(site)
    before, asked = kept(site), Asked(site)
    path, user = everybodys(site, "max-log-backups = 0\npre-hook = systemctl stop nginx\n")
    done = irctl(site)("remediate", "renew-certificate", "--host", "web", "--json", **user)
    assert (done.code, kept(site), asked.numbers) == (REFUSED, before, NOTHING), done.out
    assert f"{path} has a pre_hook (systemctl stop nginx), which irctl does not run." in done.host("web")["reason"]


@pytest.mark.parametrize("name", ["deploy-hook", "renew-hook"])
def test_a_hook_for_what_was_issued_is_left_out_wherever_it_stands_and_named(site: Site, name: str) -> None:
    age(site)
    ran = site.folder / "ran"
    settings = site.config / "renewal" / f"{NAME}.conf"
    settings.write_text(settings.read_text().replace("[renewalparams]", f"[renewalparams]\nrenew_hook = touch {ran}"))
    path, user = everybodys(site, f"{name} = touch {ran}\n")
    done = irctl(site)("remediate", "renew-certificate", "--host", "web", "--json", **user)
    assert (done.code, done.json["outcome"], ran.exists()) == (0, "changed", False), done.out
    reason = done.host("web")["reason"]
    assert "its renew_hook is not run: touch /" in reason
    assert f"the {name.replace('-', '_')} of {path} is not run: touch /" in reason


SPOILT = {
    "another name": ('cp {other}/$kind.pem "$file"', f"It is for {OTHER} and lacks {NAME}, {SECOND}."),
    "another key": ('[ $kind != privkey ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$file"',
                    "The private key does not belong to the certificate."),
    "no chain": ('[ $kind != chain ] || : > "$file"; [ $kind != fullchain ] || cp "$new/cert2.pem" "$file"',
                 "Its chain does not lead to a certificate in"),
    "a chain in disorder": ('[ $kind != fullchain ] || cat "$new/cert2.pem" "$new/cert1.pem" "$new/chain2.pem" > "$file"',
                            "The chain is not in order"),
}  # fmt: skip


@pytest.mark.parametrize("how", SPOILT)
def test_a_certificate_that_is_not_what_was_ordered_is_never_served(site: Site, how: str) -> None:
    age(site)
    other = site.folder / "other"
    if not other.exists():
        site.certbot("certonly", "--webroot", "-w", str(site.folder / "www"), "-d", OTHER, "--server", site.authority.url)
        (site.config / "live" / OTHER).rename(other)
        for link in other.glob("*.pem"):
            content = (site.config / "live" / OTHER / os.readlink(link)).resolve().read_bytes()
            link.unlink()
            link.write_bytes(content)
    spoil, said = SPOILT[how]
    new = site.config / "irctl" / NAME / "order" / "archive" / NAME
    loop = f"for kind in cert privkey chain fullchain; do file=$new/${{kind}}2.pem; {spoil.format(other=other)}; done"
    before, asked = kept(site), Asked(site)
    with polled(site) as client:
        done = renew(site, certificates_certbot=[*wrapper(site, "spoil", f'new={new}\n"$@" || exit 1\n{loop}'), "certbot"])
    assert (done.code, kept(site)) == (FAILED, before), done.out
    assert said in done.host("web")["reason"]
    assert "Nothing was changed." in done.host("web")["reason"]
    assert (len(client.kinds), asked.numbers) == (1, (1, 1))
    assert renew(site).json["outcome"] == "changed", "the next run has a good one issued"
    assert asked.numbers == (2, 2)


def test_a_ca_that_does_not_answer_leaves_everything_as_it_is(site: Site) -> None:
    age(site)
    settings = site.config / "renewal" / f"{NAME}.conf"
    good = settings.read_text()
    gone, accounts = acme.free_port(), site.config / "accounts"
    settings.write_text(good.replace(site.authority.url, f"https://localhost:{gone}/dir"))
    shutil.copytree(accounts / f"localhost:{site.authority.ports[0]}", accounts / f"localhost:{gone}")
    before = kept(site)
    with polled(site) as client:
        done = renew(site)
    assert (done.code, kept(site), len(client.kinds)) == (FAILED, before, 1), done.out
    assert "No new certificate: " in done.host("web")["reason"]
    assert "Connection refused" in done.host("web")["reason"]
    settings.write_text(good)
    assert renew(site).json["outcome"] == "changed"


def test_a_challenge_that_fails_is_said_with_its_detail(site: Site) -> None:
    age(site)
    site.configure(more=f"server {{ listen 127.0.0.1:{site.http}; server_name {NAME}; return 404; }}")
    site.settle()
    before = kept(site)
    done = renew(site)
    assert (done.code, kept(site)) == (FAILED, before)
    assert "404" in done.host("web")["reason"]


def test_a_configuration_that_is_broken_already_is_refused_before_the_ca_is_asked(site: Site) -> None:
    age(site)
    before, asked = kept(site), Asked(site)
    site.configure(main="no_such_directive on;")
    done = renew(site)
    assert (done.code, kept(site), asked.numbers) == (REFUSED, before, NOTHING)
    assert 'unknown directive "no_such_directive"' in done.host("web")["reason"]


def in_use(site: Site, number: int) -> str:
    """A condition of the shell: the links lead to this version."""
    return f"readlink {site.live}/cert.pem | grep -q cert{number}.pem"


@pytest.mark.parametrize("command", ["test", "reload"])
def test_a_pair_that_nginx_does_not_take_is_put_back_and_the_next_run_takes_it_without_a_new_order(
    site: Site, command: str
) -> None:
    aged = age(site)
    before, asked = kept(site), Asked(site)
    refusing = wrapper(site, "refusing", f'{in_use(site, 3)} && echo "[emerg] not this one" >&2 && exit 1\nexec "$@"')
    given = {"test": [*site.nginx, "-t"], "reload": [*site.nginx, "-s", "reload"]}[command]
    with polled(site) as client:
        done = renew(site, **{f"certificates_nginx_{command}": [*refusing, *given]})
    assert (done.code, kept(site), site.serial()) == (FAILED, before, aged), done.out
    assert "refusing says: [emerg] not this one" in done.host("web")["reason"]
    assert "The certificate from before is in use again, and served." in done.host("web")["reason"]
    assert len(client.kinds) == 1
    again = renew(site)
    assert (again.code, again.json["outcome"], asked.numbers) == (0, "changed", (1, 1)), again.out


@pytest.mark.parametrize(("where", "killed"), [("after the issue", 2), ("before the reload", 3)])
def test_a_run_that_is_killed_leaves_a_whole_pair_and_the_next_run_mends_without_a_new_order(
    site: Site, where: str, killed: int
) -> None:
    aged, asked = age(site), Asked(site)
    kill = "kill -9 $PPID; sleep 1"
    if where == "after the issue":
        more = {"certificates_certbot": [*wrapper(site, "killing", f'"$@"\n{kill}'), "certbot"]}
    else:
        more = {"certificates_nginx_reload": wrapper(site, "killing", kill)}
    with polled(site) as client:
        done = renew(site, **more)
        assert done.code not in (0, REFUSED), done.out
        assert (site.serial(), whole(site)) == (aged, True)
        assert os.readlink(site.live / "cert.pem").endswith(f"cert{killed}.pem")
        again = renew(site)
    assert (again.code, again.json["outcome"], asked.numbers) == (0, "changed", (1, 1)), again.out
    assert (site.serial(), whole(site), len(client.kinds)) == (site.stored(), True, 2)
    assert site.serial() != aged


def test_a_certificate_that_somebody_renewed_without_a_reload_is_only_loaded(site: Site) -> None:
    """H16: custody:320 renews and never reloads."""
    site.certbot("renew", "--cert-name", NAME, "--force-renewal", "--no-random-sleep-on-renew")
    assert site.serial() != site.stored()
    assert part(site, "verify").returncode != 0
    asked = Asked(site)
    with polled(site) as client:
        done = renew(site)
    assert (done.json["outcome"], asked.numbers, site.serial()) == ("changed", NOTHING, site.stored()), done.out
    assert "nginx reloaded" in done.host("web")["reason"]
    assert len(client.kinds) == 2


def test_certbot_at_work_is_left_to_it(site: Site) -> None:
    age(site)
    before, asked = kept(site), Asked(site)
    with open(site.config / ".certbot.lock", "w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        done = renew(site)
    assert (done.code, kept(site), asked.numbers) == (FAILED, before, NOTHING)
    assert "certbot is at work on this host. Nothing was changed" in done.host("web")["reason"]


@pytest.fixture
def narrow(site: Site) -> Iterator[Site]:
    """The site with its certificates on a disk of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", site.config], check=True)
    try:
        shutil.copytree(site.folder / "at-first", site.config, symlinks=True, dirs_exist_ok=True)
        yield site
    finally:
        subprocess.run(["umount", site.config], check=True)


def fill(path: Path) -> str:
    return f"dd if=/dev/zero of={path}/ballast bs=4k 2>/dev/null"


def test_a_disk_that_is_full_is_refused_before_the_ca_is_asked(narrow: Site) -> None:
    age(narrow)
    subprocess.run(["sh", "-c", fill(narrow.config)])
    before, asked = kept(narrow), Asked(narrow)
    with polled(narrow) as client:
        done = renew(narrow)
    assert (done.code, kept(narrow), asked.numbers, len(client.kinds)) == (REFUSED, before, NOTHING, 1), done.out
    assert "KiB are free where" in done.host("web")["reason"]


@pytest.mark.parametrize("pages", [0, 2])
def test_a_disk_that_becomes_full_while_a_certificate_is_issued_leaves_everything_and_it_is_used_later(
    narrow: Site, pages: int
) -> None:
    """With two pages left there is room for the certificate and its key, and none for the chain."""
    age(narrow)
    before, asked = kept(narrow), Asked(narrow)
    spare = narrow.config / "spare"
    left = f"dd if=/dev/zero of={spare} bs=4k count={pages} 2>/dev/null"
    filling = wrapper(narrow, "filling", f'"$@" || exit 1\n{left}\n{fill(narrow.config)}\nrm -f {spare}\nexit 0')
    with polled(narrow) as client:
        done = renew(narrow, certificates_certbot=[*filling, "certbot"])
    assert (done.code, kept(narrow), len(client.kinds)) == (FAILED, before, 1), done.out
    assert "No space left on device" in done.host("web")["reason"]
    (narrow.config / "ballast").unlink()
    assert renew(narrow).json["outcome"] == "changed"
    assert asked.numbers == (1, 1)


def test_nonces_that_the_ca_turns_away_cost_nothing_but_time(tmp_path: Path) -> None:
    with acme.running(tmp_path / "site", nonces=25) as site:
        age(site)
        for _ in range(12):
            before = kept(site)
            with polled(site) as client:
                done = renew(site, "--max", "50")
            if done.code == 0:
                break
            assert (done.code, kept(site), len(client.kinds)) == (FAILED, before, 1), done.out
            assert "No new certificate: " in done.host("web")["reason"]
        assert (done.json["outcome"], site.serial(), len(client.kinds)) == ("changed", site.stored(), 2)
        assert "Configured to reject 25% of good nonces" in site.authority.log
