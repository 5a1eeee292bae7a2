"""Leases over real ssh: how a host is armed, and what irctl and the host then say to each other. Promise 10."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from irctl.content import scaffold
from irctl.errors import EVIDENCE, REFUSED
from tests.conftest import ROOT
from tests.integration.leases.far import ATTACKER, CANARY, DATABASE, GLASS, Far, ask, make
from tools.test_hosts import podman
from tools.test_hosts.sets import Host


def test_over_ssh_and_the_local_socket_it_freezes_proves_it_and_puts_it_back(far: Far) -> None:
    done = far.freeze()
    assert (done.code, done.json["outcome"], far.takes_writes) == (0, "changed", False), done
    proof = {"irctl_target": "h1", "irctl_entry_point": "verify", "db_freeze_writes_database": ["shop"]}
    verify = ["irctl.runbooks.db_freeze_writes", "-i", str(far.irctl.inventory), "-e", json.dumps(proof)]
    assert play(verify).returncode == 0
    assert far.nothing_left, "what is no lease needs no end"
    assert far.freeze().json["outcome"] == "unchanged"
    back = far.irctl("revert", done.json["run"], "--json")
    assert (back.json["outcome"], far.takes_writes) == ("changed", True), back
    assert far.irctl("revert", done.json["run"], "--json").json["outcome"] == "unchanged"
    unproved = play(verify)
    assert (unproved.returncode, "Not frozen: shop." in unproved.stdout) == (2, True), unproved.stdout


def play(words: list[str]) -> subprocess.CompletedProcess[str]:
    ours = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT), "ANSIBLE_CONFIG": str(ROOT / "irctl" / "running" / "ansible.cfg")}
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "LANG": "C.UTF-8", **ours}
    program = str(Path(sys.executable).parent / "ansible-playbook")
    return subprocess.run([program, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


@contextmanager
def full_disk(host: Host) -> Iterator[None]:
    """A disk of 64 kB below /var/lib/irctl, on which nothing of a lease has room."""
    pid = podman.podman("inspect", "--format", "{{.State.Pid}}", host.container).stdout.strip()
    inside = ["nsenter", "--target", pid, "--mount", f"--root=/proc/{pid}/root"]
    host.run("mkdir", "-p", "-m", "700", "/var/lib/irctl")
    subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/var/lib/irctl"], check=True)
    yield
    subprocess.run([*inside, "umount", "/var/lib/irctl"], check=True)


def test_where_it_cannot_be_armed_on_the_host_nothing_is_changed(far: Far) -> None:
    with full_disk(far.host):
        done = far.freeze("--for", "30m")
        assert (done.code, far.frozen, far.takes_writes) == (EVIDENCE, False, True), done
        assert "No space left on device" in done.json["hosts"]["h1"]["reason"]
        assert far.nothing_left, "what was begun is taken away again"
    assert far.on() == []


def test_a_second_one_is_refused_by_the_controller_and_one_of_another_controller_by_the_host(far: Far, tmp_path: Path) -> None:
    run = far.leased()
    again = far.freeze("--for", "1h")
    assert (again.code, f"irctl leases extend {run}" in again.json["reason"]) == (REFUSED, True), again
    other = Far(far.set, make(far.set, tmp_path / "other", **DATABASE))
    refused = other.freeze("--for", "1h")
    assert (refused.code, "The same change is on here already" in refused.out) == (EVIDENCE, True), refused
    assert (len(far.armed), other.on()) == (1, [])
    far.rewrite(uptime=-1800.0)
    far.look()
    assert (far.frozen, far.nothing_left) == (False, True), "the first state came back"


def test_it_is_extended_on_the_host_first_and_never_beyond_its_limit(far: Far) -> None:
    run = far.leased("1m")
    assert [lease["armed"] for lease in far.on()] == [{"h1": "host"}]
    assert "controller + host timer" in far.irctl("leases").out
    moved = far.extend(run, "30m")
    assert moved.code == 0, moved
    far.rewrite(uptime=-120.0)
    assert (far.look(), far.frozen) == (0, True)
    assert 1620 < far.lease()["seconds"] < 2400
    before = far.lease()["seconds"]
    assert far.irctl("leases", "extend", run, "--for", "4h").code == REFUSED
    assert far.lease()["seconds"] == before
    far.rewrite(uptime=-1800.0)
    assert (far.look(), far.frozen) == (0, False)


def test_a_host_that_cannot_be_reached_keeps_the_lease_as_it_was(far: Far) -> None:
    run = far.leased()
    [before], there = far.on(), far.lease()["seconds"]
    far.host.run("systemctl", "stop", "ssh.socket", "ssh", check=False)
    refused = far.irctl("leases", "extend", run, "--for", "10m")
    far.host.run("systemctl", "start", "ssh")
    assert (refused.code, "so the lease is as it was: h1: " in refused.err) == (REFUSED, True), refused
    [after] = far.on()
    assert after["left"] <= before["left"]
    assert far.lease()["seconds"] == there


def test_a_lease_that_the_host_has_ended_cannot_be_extended_and_ends_here_as_unchanged(far: Far) -> None:
    run = far.leased()
    far.rewrite(uptime=-1800.0)
    assert (far.look(), far.frozen) == (0, False)
    refused = far.irctl("leases", "extend", run, "--for", "10m")
    assert (refused.code, "The host has ended it" in refused.err) == (REFUSED, True), refused
    ended = far.irctl("leases", "end", run, "--json")
    assert (ended.code, ended.json["how"].startswith("unchanged by")) == (0, True), ended
    assert far.on() == []


def test_its_end_by_hand_disarms_the_host(far: Far) -> None:
    run = far.leased()
    dry = far.irctl("revert", run, "--check", "--json")
    assert (dry.json["outcome"], far.frozen, len(far.armed)) == ("changed", True, 1), dry
    done = far.irctl("revert", run, "--json")
    assert (done.json["outcome"], far.frozen, far.nothing_left) == ("changed", False, True), done
    assert far.irctl("revert", run, "--json").json["outcome"] == "unchanged"
    second = far.leased("30m")
    assert [lease["run"] for lease in far.on()] == [second], "nothing of the first is in the way"


def test_who_may_not_become_root_is_told_that_only_the_controller_ends_it(far: Far) -> None:
    sudoers = far.host.read("/etc/sudoers.d/ops")
    far.host.run("tee", "/etc/sudoers.d/ops", input="ops ALL=(postgres) NOPASSWD: ALL\n")
    try:
        done = far.irctl(
            "remediate", "db-freeze-writes", "--host", "h1", "--database", "shop", "--break-glass", GLASS, "--for", "30m"
        )
        assert (done.code, far.frozen, far.nothing_left) == (0, True, True), done
        assert "ends by the controller's timer only: no root on the host" in done.err
        [lease] = far.on()
        assert lease["armed"] == {"h1": "controller"}
        assert far.extend(lease["run"], "1h").code == 0
        assert far.irctl("leases", "end", lease["run"]).code == 0
        assert not far.frozen
    finally:
        far.host.run("tee", "/etc/sudoers.d/ops", input=sudoers)


def test_root_is_become_where_the_remediation_itself_needs_nobody_else(far: Far, tmp_path: Path) -> None:
    ask(far.host, "CREATE ROLE ops SUPERUSER LOGIN")
    plain = Far(far.set, make(far.set, tmp_path / "plain"))
    plain.leased()
    assert (plain.lease()["user"], plain.on()[0]["armed"]) == ("ops", {"h1": "host"})
    plain.rewrite(uptime=-1800.0)
    assert (plain.look(), plain.frozen, plain.nothing_left) == (0, False, True)
    ask(far.host, "DROP ROLE ops")


def test_what_the_host_keeps_is_for_root_alone_and_holds_no_secret(far: Far) -> None:
    far.leased()
    modes = far.host.run("find", "/var/lib/irctl", "-printf", "%m %U %y\\n").stdout.split("\n")
    assert set(filter(None, modes)) == {"700 0 d", "600 0 f"}
    grep = far.host.run("grep", "-r", "-l", CANARY, "/var/lib/irctl", "/etc/systemd/system", "/var/log", check=False)
    assert (grep.stdout, grep.returncode) == ("", 1)
    assert CANARY not in far.host.run("journalctl", "--no-pager").stdout
    kept = next((far.irctl.home / "runs").glob("*/evidence/h1/lease.json"))
    assert CANARY not in kept.read_text()


def test_the_times_of_the_kernel_are_extended_too(far: Far, tmp_path: Path) -> None:
    where = {"ansible_become": True, "block_ip_backend": "nftables", "edge_protected": ["192.0.2.0/24"]}
    edge = Far(far.set, make(far.set, tmp_path / "edge", **where))
    done = edge.irctl("remediate", "block-ip", "--host", "h1", "--address", ATTACKER, "--create-rule", "--for", "5m", "--json")
    assert done.code == 0, done
    [lease] = edge.on()
    assert (lease["armed"], edge.nothing_left) == ({"h1": "kernel"}, True)
    moved = edge.irctl("leases", "extend", lease["run"], "--for", "1h")
    assert moved.code == 0, moved
    listing = json.loads(edge.host.run("nft", "-j", "list", "set", "inet", "irctl", "blocked_v4").stdout)
    [element] = next(one["set"]["elem"] for one in listing["nftables"] if "set" in one)
    assert 3500 < element["elem"]["expires"] <= 3600
    assert edge.irctl("leases", "end", lease["run"]).code == 0
    assert ATTACKER not in edge.host.run("nft", "list", "ruleset").stdout
    edge.host.run("nft", "delete", "table", "inet", "irctl")


def test_a_module_of_somebody_elses_collection_ends_its_lease_on_the_host_too(far: Far, tmp_path: Path) -> None:
    content, _ = scaffold.new(tmp_path / "acme", "clear-lock", "acme.books")
    far.host.run("sh", "-c", "echo 1234 > /run/app.lock")
    more = {"ansible_become": True, "clear_lock_path": "/run/app.lock"}
    mine = Far(far.set, make(far.set, tmp_path / "mine", **more), "/run/app.lock")  # a lease is found by the path that it is on
    mine.irctl.environment["IRCTL_CONTENT"] = str(content.root)
    done = mine.irctl("remediate", "clear-lock", "--host", "h1", "--path", "/run/app.lock", "--for", "30m", "--json")
    assert (done.code, mine.lease()["module"]) == (0, "acme.books.clear_lock"), done
    assert mine.host.run("test", "-e", "/run/app.lock", check=False).returncode == 1
    mine.rewrite(uptime=-1800.0)
    assert (mine.look(), mine.nothing_left) == (0, True)
    assert mine.host.read("/run/app.lock") == "1234\n"
    ended = mine.irctl("leases", "end", done.json["run"], "--json")
    assert (ended.code, ended.json["how"].startswith("unchanged by")) == (0, True), ended
