"""block-ip with a real nginx on loopback: what a client of a blocked address gets, and what stands in the way. HAZARDS H16."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.nginx import workers
from ansible_collections.irctl.runbooks.plugins.modules import block_list
from irctl.errors import FAILED, REFUSED
from tests.integration.edge.nginx import GUILTY, INNOCENT, MODSECURITY, OFFICE, Nginx, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
NO_MODSECURITY = "" if MODSECURITY.exists() else "apt-get install libnginx-mod-http-modsecurity, as tools/install-test-servers does"


SHIPPED = {"ansible_become": True, "ansible_python_interpreter": "/usr/bin/python3"}
NO_SUDO = "" if shutil.which("sudo") else "apt-get install sudo, as tools/install-test-servers does"
AS_ROOT = pytest.param(SHIPPED, marks=pytest.mark.skipif(bool(NO_SUDO), reason=NO_SUDO))


@pytest.mark.parametrize("how", [{}, AS_ROOT], ids=["in-process", "shipped"])
def test_a_client_gets_200_then_403_then_200_again_and_another_always_200(nginx: Nginx, how: dict[str, Any]) -> None:
    nginx.start()
    assert nginx.answers() == (200, 200)
    done = nginx.block(GUILTY, **how)
    assert (done.code, done.host("edge")["outcome"], nginx.answers()) == (0, "changed", (403, 200)), done.err
    assert nginx.list.read_text().splitlines()[1:] == [f"deny {GUILTY};"]
    assert nginx.list.stat().st_mode & 0o777 == 0o644
    assert nginx.block(GUILTY, **how).json["outcome"] == "unchanged"
    undone = nginx.irctl(**how)("revert", done.json["run"], "--json")
    assert (undone.code, nginx.answers()) == (0, (200, 200)), undone.err


def test_a_revert_leaves_the_lines_that_were_there(nginx: Nginx) -> None:
    nginx.start()
    nginx.list.write_text("deny 91.0.0.1;\ndeny 2a00:1450::/48;\n")
    nginx.reload()
    done = nginx.block(GUILTY, "91.0.0.1")
    assert (done.code, nginx.answers()) == (0, (403, 200)), done.err
    assert nginx.irctl()("revert", done.json["run"], "--json").code == 0
    assert nginx.list.read_text().splitlines()[1:] == ["deny 91.0.0.1;", "deny 2a00:1450::/48;"]


def test_a_configuration_that_is_broken_elsewhere_is_refused_and_the_file_is_as_it_was(nginx: Nginx) -> None:
    nginx.start()
    for before in (None, "deny 91.0.0.1;\n"):
        if before:
            nginx.list.write_text(before)
            nginx.reload()
        nginx.configure(http="no_such_directive on;")
        refused = nginx.block(GUILTY)
        assert (refused.code, nginx.answers()) == (REFUSED, (200, 200)), refused.err
        assert 'unknown directive "no_such_directive"' in refused.host("edge")["reason"]
        assert (nginx.list.read_text() if nginx.list.exists() else None) == before
        nginx.configure()


def test_a_file_that_fails_the_test_only_once_it_is_in_place_is_put_back(nginx: Nginx) -> None:
    nginx.start()
    nginx.list.write_text("deny 91.0.0.1;\n")
    nginx.reload()
    test = nginx.folder / "test"
    test.write_text(f'#!/bin/sh\ngrep -q {GUILTY} {nginx.list} && echo "[emerg] no" >&2 && exit 1\nexec "$@"\n')
    test.chmod(0o755)
    done = nginx.block(GUILTY, edge_nginx_test=[str(test), *nginx.command, "-t"])
    assert (done.code, nginx.answers()) == (FAILED, (200, 200))
    assert "test says: [emerg] no" in done.host("edge")["reason"]
    assert nginx.list.read_text() == "deny 91.0.0.1;\n"
    assert [path.name for path in nginx.list.parent.iterdir()] == ["blocked.conf"]
    again = nginx.block("91.0.0.1")
    reason = "blocked already, the list loaded again, 1 in the list"
    assert again.host("edge")["reason"] == reason, "nobody saw nginx load what was put there by hand"
    assert nginx.block("91.0.0.1").json["outcome"] == "unchanged"


def test_a_reload_that_brings_no_new_workers_is_no_success_and_the_file_is_put_back(
    nginx: Nginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 0.5)
    nginx.start()
    defaults = {name: about.get("default") for name, about in block_list.ARGUMENTS.items()}
    commands = {"nginx_test": [*nginx.command, "-t"], "nginx_reload": ["true"]}
    asked = {"addresses": [GUILTY], "protected": [OFFICE], "allow_private": True, "state": "changed"}
    with pytest.raises(Failure, match="still serves by its old configuration"):
        block_list.run({**defaults, "backend": "nginx", "nginx_include": str(nginx.list), **commands, **asked}, False)
    assert not nginx.list.exists()
    assert nginx.answers() == (200, 200)


def test_a_file_that_was_written_and_never_loaded_is_loaded_by_the_next_run(nginx: Nginx) -> None:
    """H16: a run that was killed before its reload must not look as if it had done its work."""
    nginx.start()
    time.sleep(0.1)
    nginx.list.write_text(f"deny {GUILTY};\n")
    assert nginx.answers() == (200, 200)
    done = nginx.block(GUILTY)
    assert (done.code, done.json["outcome"], nginx.answers()) == (0, "changed", (403, 200)), done.err
    time.sleep(0.1)
    nginx.list.write_text("")  # as if a revert had been killed
    undone = nginx.irctl()("revert", done.json["run"], "--json")
    assert (undone.code, undone.json["outcome"], nginx.answers()) == (0, "changed", (200, 200)), undone.err


def test_a_place_with_access_lines_of_its_own_is_named_because_the_list_does_not_hold_there(nginx: Nginx) -> None:
    nginx.start(server="location /status { allow 127.0.0.0/8; deny all; } location /open/ { allow all; }")
    done = nginx.block(GUILTY)
    assert done.code == FAILED
    assert (nginx.answer(GUILTY), nginx.answer(GUILTY, "/status/")) == (403, 200)
    reason = done.host("edge")["reason"]
    assert f"The location /status of the server 127.0.0.1:{nginx.port} allows 127.0.0.0/8 before the list" in reason
    assert "The location /open/ of the server" in reason
    nginx.configure(server=f"location /status {{ include {nginx.list}; allow 127.0.0.0/8; deny all; }}")
    nginx.reload()
    again = nginx.block(GUILTY)
    assert (again.code, nginx.answer(GUILTY, "/status/"), nginx.answer(INNOCENT, "/status/")) == (0, 403, 200), again.err


def test_a_file_that_nginx_does_not_include_is_no_success(nginx: Nginx) -> None:
    nginx.start()
    elsewhere = nginx.folder / "elsewhere"
    done = nginx.block(GUILTY, edge_nginx_include=str(elsewhere))
    assert (done.code, nginx.answers()) == (FAILED, (200, 200))
    assert f"nginx does not include it. Put 'include {elsewhere};' into the http block." in done.host("edge")["reason"]


def test_who_blocks_what_an_earlier_lease_will_let_through_is_told(nginx: Nginx) -> None:
    nginx.start()
    irctl = nginx.irctl()
    assert irctl("leases", "run-due", "--every", "1m").code == 0
    words = ("remediate", "block-ip", "--host", "edge", "--address", GUILTY)
    first = irctl(*words, "--address", INNOCENT, "--for", "10m", "--json")
    assert (first.code, first.err) == (0, "")
    run = first.json["run"]
    told = f"warning: {GUILTY} may go when the lease of {run} ends; to move that: irctl leases extend {run}\n"
    for more in ((), ("--check",), ("--for", "1h", "--json")):
        again = irctl(*words, *more)
        assert (again.code, told in again.err) == (0, True), again.err
    assert "may go" not in irctl("remediate", "block-ip", "--host", "edge", "--address", "127.0.0.4", "--check").err
    record = nginx.folder / "home" / "runs" / run / "run.json"
    for spoilt in ("{}", "[]", '{"plan": {"parameters": {"block_ip_address": 7}}}', "no JSON"):
        record.write_text(spoilt)
        assert irctl(*words, "--check").code == 0, "another run's record decides nothing"


def test_a_file_in_a_folder_below_is_not_taken_in_by_a_wildcard(nginx: Nginx) -> None:
    nginx.start()
    below = nginx.folder / "conf.d" / "lists" / "blocked.conf"
    below.parent.mkdir()
    done = nginx.block(GUILTY, edge_nginx_include=str(below))
    assert (done.code, nginx.answers()) == (FAILED, (200, 200))
    assert "nginx does not include it" in done.host("edge")["reason"]


def test_owner_and_mode_of_the_file_stay(nginx: Nginx) -> None:
    nginx.start()
    nginx.list.write_text("deny 91.0.0.1;\n")
    nginx.list.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(nginx.list, 0, 33)
    nginx.reload()
    before = nginx.list.stat()
    done = nginx.block(GUILTY)
    after = nginx.list.stat()
    assert (done.code, nginx.answers()) == (0, (403, 200)), done.err
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@pytest.mark.parametrize(
    ("include", "name", "code"), [("", "conf.d/new.conf", 0), ("named", "named", 0), ("", "elsewhere", FAILED)]
)
def test_a_dry_run_tells_what_could_be_made_from_what_could_not(nginx: Nginx, include: str, name: str, code: int) -> None:
    nginx.start()
    nginx.configure(http=f"include {nginx.folder}/{include};" if include else "")
    path = nginx.folder / name
    irctl = nginx.irctl(edge_nginx_include=str(path), block_ip_create_rule=True)
    done = irctl("remediate", "block-ip", "--host", "edge", "--json", "--address", GUILTY, "--check")
    assert (done.code, path.exists()) == (code, False), done.out
    assert ("nginx does not include it" in done.host("edge")["reason"]) == bool(code)


def test_a_file_that_is_included_and_not_there_yet_is_made_on_request(nginx: Nginx) -> None:
    nginx.start()
    nginx.configure(http=f"include {nginx.folder}/blocked;")
    where = {"edge_nginx_include": str(nginx.folder / "blocked")}
    refused = nginx.block(GUILTY, **where)
    assert (refused.code, (nginx.folder / "blocked").exists()) == (REFUSED, False)
    done = nginx.block(GUILTY, **where, block_ip_create_rule=True)
    assert (done.code, nginx.answers()) == (0, (403, 200)), done.err


def test_a_file_with_lines_of_somebody_else_is_refused_and_left_alone(nginx: Nginx) -> None:
    nginx.start()
    nginx.list.write_text("deny 91.0.0.1;\nallow 91.0.0.0/24;\n")
    nginx.reload()
    refused = nginx.block(GUILTY)
    assert (refused.code, nginx.list.read_text()) == (REFUSED, "deny 91.0.0.1;\nallow 91.0.0.0/24;\n")
    assert "Line 2 of" in refused.host("edge")["reason"]


def test_a_proxy_that_nginx_is_told_of_is_never_blocked(nginx: Nginx) -> None:
    nginx.start(http="set_real_ip_from 91.0.0.0/24;")
    refused = nginx.block("91.0.0.7")
    assert (refused.code, nginx.list.exists()) == (REFUSED, False)
    assert "91.0.0.7 overlaps 91.0.0.0/24, a proxy that nginx is told of." in refused.host("edge")["reason"]


def test_an_nginx_that_sees_only_its_proxy_is_no_success(nginx: Nginx) -> None:
    nginx.start(http="real_ip_header X-Forwarded-For;")
    done = nginx.block(GUILTY)
    assert done.code == FAILED
    assert "shows that proxies are before nginx, and no set_real_ip_from names them" in done.host("edge")["reason"]


def test_an_nginx_that_does_not_run_is_refused(nginx: Nginx) -> None:
    nginx.start()
    nginx.stop()
    refused = nginx.block(GUILTY)
    assert (refused.code, nginx.list.exists()) == (REFUSED, False)
    assert "nginx does not run" in refused.host("edge")["reason"]


@pytest.mark.skipif(bool(NO_MODSECURITY), reason=NO_MODSECURITY)
def test_modsecurity_reads_the_list_as_bare_addresses(nginx: Nginx) -> None:
    rules, addresses = nginx.folder / "rules", nginx.folder / "addresses"
    rule = f'SecRule REMOTE_ADDR "@ipMatchFromFile {addresses}" "id:1,phase:1,deny,status:403"\n'
    rules.write_text(f"SecRuleEngine DetectionOnly\n{rule}")
    addresses.write_text("91.0.0.1\n")
    modules = f"load_module {MODSECURITY};"
    nginx.start(main=modules, http=f"modsecurity on; modsecurity_rules_file {rules};")
    done = nginx.block(GUILTY, edge_nginx_include=str(addresses))
    assert (done.code, nginx.answers()) == (FAILED, (200, 200))
    assert "ModSecurity blocks nothing: SecRuleEngine is detectiononly." in done.host("edge")["reason"]
    rules.write_text(f"SecRuleEngine On\n{rule}")
    nginx.reload()
    assert nginx.answers() == (403, 200)
    undone = nginx.irctl(edge_nginx_include=str(addresses))("revert", done.json["run"], "--json")
    assert (undone.code, nginx.answers()) == (0, (200, 200)), undone.err
    assert addresses.read_text().splitlines()[1:] == ["91.0.0.1"]
    again = nginx.block(GUILTY, edge_nginx_include=str(addresses))
    assert (again.code, nginx.answers()) == (0, (403, 200)), again.err
