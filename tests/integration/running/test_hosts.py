"""Hosts with systemd in containers, and irctl at work on them over ssh. HAZARDS H7, H21."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import OLD, ROOT, Done, Irctl, write_inventory
from tests.integration.conftest import Collection
from tests.servers.hosts import irctl_for
from tools.test_hosts import network, podman, sets
from tools.test_hosts.sets import Host, Set

POSTGRESQL = "postgresql@15-main"
UNTIL = "until [ -e {}/go-on ]; do sleep 0.1; done"  # a change that lasts until the test lets it go on
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).status)"
KEEPER = """#!/bin/sh
echo "$*" > "$IRCTL_HOME/said"
mkdir -p "$IRCTL_HOME/leases" && touch "$IRCTL_HOME/leases/beat"
"""


@pytest.fixture
def far(hosts: Set, tmp_path: Path) -> Irctl:
    """The command; on each host it works as the system user postgres, over the local socket."""
    (tmp_path / "far").mkdir()
    return irctl_for(hosts, tmp_path / "far", ansible_become=True, ansible_become_user="postgres", db_connections_idle_for="5s")


def ask(host: Host, statement: str) -> str:
    return host.run("psql", "-X", "-q", "-A", "-t", "-c", statement, user="postgres").stdout.strip()


@contextmanager
def idle(host: Host, number: int, application: str) -> Iterator[None]:
    """Open sessions of a user who is no superuser, as a service of the host does, and let them grow old."""
    if ask(host, "SELECT count(*) FROM pg_roles WHERE rolname = 'www-data'") == "0":
        ask(host, 'CREATE ROLE "www-data" LOGIN')
    session = "(echo 'SELECT 1;'; exec sleep 300) | psql -X -q -d postgres"
    with ExitStack() as stack:
        for one in range(number):
            unit = f"{application}{one}"
            options = [
                f"--unit={unit}",
                "--uid=www-data",
                f"--setenv=PGAPPNAME={application}",
                "--quiet",
                "--collect",
                "--property=KillSignal=SIGKILL",
            ]
            host.run("systemd-run", *options, "/bin/sh", "-c", session)
            stack.callback(host.run, "systemctl", "stop", unit, check=False)
        time.sleep(OLD)
        assert alive(host, application) == number
        yield


def alive(host: Host, application: str) -> int:
    return int(ask(host, f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'"))


def test_systemd_runs_and_has_started_all_services(hosts: Set) -> None:
    for host in hosts.hosts:
        state = host.run("systemctl", "is-system-running", check=False).stdout.strip()
        assert state == "running", host.run("systemctl", "--failed", "--plain").stdout
        assert host.run("systemctl", "is-active", "ssh", "nginx", "cron", POSTGRESQL).stdout.split() == ["active"] * 4


def test_nothing_of_their_network_is_in_the_machines_own(hosts: Set) -> None:
    own = subprocess.run(["ip", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    assert "10.89.77." not in own
    assert "fd89:77:" not in own
    links = subprocess.run([*hosts.within, "ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    assert {line.split("@")[0].split()[0] for line in links.splitlines()} == {"lo", "br0", "h1", "h2"}


def test_a_host_knows_the_others_by_name_and_reaches_them_but_nobody_else(hosts: Set) -> None:
    assert hosts["h1"].run("python3", "-c", FETCH, "http://h2/").stdout.strip() == "200"
    begun = time.monotonic()
    assert hosts["h1"].run("getent", "hosts", "www.example.com", check=False).returncode != 0
    assert time.monotonic() - begun < 5, "less than one try of a name server that does not answer"


def test_the_firewall_of_a_host_is_its_own_and_real(hosts: Set) -> None:
    host = hosts["h1"]
    with hosts.outsider("198.51.100.7") as blocked, hosts.outsider("198.51.100.8", "2001:db8::8") as other:
        fetch = [sys.executable, "-c", FETCH, f"http://{host.address}/"]
        assert subprocess.run([*blocked, *fetch]).returncode == 0
        host.run("nft", "add table inet t; add chain inet t c { type filter hook input priority 0; }")
        host.run("nft", "add rule inet t c ip saddr 198.51.100.7 drop")
        try:
            assert subprocess.run([*blocked, *fetch], stderr=subprocess.DEVNULL).returncode != 0
            assert subprocess.run([*other, *fetch]).returncode == 0
            assert subprocess.run([*other, *fetch[:-1], f"http://[{host.address6}]/"]).returncode == 0
        finally:
            host.run("nft", "delete table inet t")
    seen = {line.split()[0] for line in host.read("/var/log/nginx/access.log").splitlines()}
    assert {"198.51.100.7", "198.51.100.8", "2001:db8::8"} <= seen


def test_a_host_with_another_hosts_key_is_not_reached(hosts: Set, tmp_path: Path) -> None:
    ours, others = hosts["h1"], hosts["h2"]
    known = tmp_path / "known_hosts"
    known.write_text(f"{ours.address} {others.read(sets.HOST_KEY)}")
    words = [hosts.folder / "ssh", "-o", f"UserKnownHostsFile={known}", ours.address, "true"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, "Host key verification failed" in done.stderr) == (255, True)
    assert subprocess.run([hosts.folder / "ssh", ours.address, "true"]).returncode == 0


def test_a_restart_of_postgresql_is_real(hosts: Set) -> None:
    host = hosts["h2"]
    before = ask(host, "SELECT pg_postmaster_start_time()")
    host.run("systemctl", "restart", POSTGRESQL)
    assert ask(host, "SELECT pg_postmaster_start_time()") > before


def test_idle_sessions_of_a_hosts_postgresql_end_over_ssh_and_its_local_socket(far: Irctl, hosts: Set) -> None:
    host = hosts["h1"]
    with idle(host, 2, "batch"), idle(host, 1, "web"):
        dry = far.mend("--check", "--application", "batch", host="h1")
        assert (dry.code, dry.host("h1")["outcome"], alive(host, "batch")) == (0, "changed", 2), dry.err
        done = far.mend("--application", "batch", host="h1")
        assert (done.code, done.host("h1")["outcome"]) == (0, "changed"), done.err
        assert done.host("h1")["reason"].startswith("2 sessions ended")
        assert done.host("h1")["before"]["role"] == "postgres"
        assert (alive(host, "batch"), alive(host, "web")) == (0, 1)
        evidence = Path(done.json["folder"]) / "evidence" / "h1" / "sessions-before.json"
        assert [row["user"] for row in json.loads(evidence.read_text())] == ["www-data"] * 2
        assert far.mend("--application", "batch", host="h1").json["outcome"] == "unchanged"


def test_the_doctor_reaches_a_host_as_a_run_would_and_names_what_keeps_it_from_that(hosts: Set, tmp_path: Path) -> None:
    good = {**hosts.reach("h1"), "ansible_become": True, "ansible_become_user": "postgres", "postgres_user": "postgres"}
    known = {
        "good": good,
        "nobody": {**good, "ansible_become_user": "nosuchuser"},
        "silent": {**good, "ansible_port": 9},
        "proxy": {**good, "ansible_become_user": "root", "block_ip_backend": "nginx", "postgres_user": "nosuch"},
    }
    irctl = Irctl(tmp_path / "home", write_inventory(tmp_path, known, both=["good", "proxy"]))
    fine = irctl("doctor", "--host", "good", "--json")
    assert (fine.code, all(check["good"] for check in fine.json["checks"])) == (0, True), fine
    assert [check["says"].partition(":")[0] for check in fine.json["checks"]] == ["ssh", "become", "PostgreSQL"]
    done = irctl("doctor", *(word for name in known for word in ("--host", name)), "--json")
    bad = {(check["name"], check["says"].partition(":")[0]): check for check in done.json["checks"] if not check["good"]}
    assert (done.code, {*bad}) == (1, {("nobody", "become"), ("silent", "ssh"), ("proxy", "PostgreSQL")}), done
    assert bad["silent", "ssh"]["mend"].startswith("ssh -p 9 ")
    assert bad["proxy", "PostgreSQL"]["mend"] == "psql -U nosuch -d postgres"
    assert "become nosuchuser there by sudo" in bad["nobody", "become"]["mend"]
    assert any(check["says"].startswith("nginx: ") for check in done.json["checks"] if check["name"] == "proxy" and check["good"])
    assert irctl("doctor", "--host", "nosuch").code == 4


def test_a_stopped_postgresql_is_said_and_the_other_host_is_served(far: Irctl, hosts: Set) -> None:
    hosts["h1"].run("systemctl", "stop", POSTGRESQL)
    try:
        done = far("diagnose", "postgres", "--host", "h1", "--host", "h2", "--json")
    finally:
        hosts["h1"].run("systemctl", "start", POSTGRESQL)
    assert "PostgreSQL does not answer: " in done.host("h1")["reason"]
    assert done.host("h2")["outcome"] not in ("failed", "unreachable"), done.out


@pytest.fixture
def marks(hosts: Set) -> Iterator[str]:
    """A folder on h1 that the system user postgres can write to."""
    folder = hosts["h1"].run("mktemp", "-d", "/var/tmp/marks.XXXXXX", user="postgres").stdout.strip()
    yield folder
    hosts["h1"].run("rm", "-r", folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_when_irctl_is_ended_nobody_works_on_at_the_host(
    far: Irctl, hosts: Set, collection: Collection, marks: str, number: signal.Signals, wait_until: Callable[..., Any]
) -> None:
    """H7, with sudo in between and an init on the far side that adopts whoever is left."""
    host = hosts["h1"]
    collection.role("slow", change=f"ansible.builtin.shell: touch {marks}/begun; {UNTIL.format(marks)}; touch {marks}/finished")
    far.environment |= collection.irctl.environment
    process = far.start("remediate", "slow", "--host", "h1", "--json")
    wait_until(lambda: host.run("test", "-e", f"{marks}/begun", check=False).returncode == 0, 30)
    at_work = ["pgrep", "-f", f"{marks}/[f]inished"]
    assert host.run(*at_work).stdout.split()
    process.send_signal(number)
    process.wait(60)
    wait_until(lambda: host.run(*at_work, check=False).returncode == 1)
    (run,) = far("runs", "--json").json["runs"]
    assert run["outcome"] == "indeterminate"
    host.run("touch", f"{marks}/go-on")
    assert host.run("ls", marks).stdout.split() == ["begun", "go-on"]


class Timer:
    """The playbook lease_timer, on h1, with a program that only makes the mark that a timer makes."""

    name, home, program = "irctl-leases-test", "/root/irctl 100% home", "/usr/local/bin/a keeper"

    def __init__(self, hosts: Set) -> None:
        self._hosts, self.host = hosts, hosts["h1"]

    def play(self, *words: str) -> Done:
        """Run the playbook; Done.code is how many tasks changed something, or -1 where one failed."""
        given = {"irctl_target": "h1", "ansible_become": True, "lease_timer_name": self.name}
        given |= {"lease_timer_home": self.home, "lease_timer_command": self.program}
        playbook = ["-i", str(self._hosts.inventory), "-e", json.dumps(given), "irctl.runbooks.lease_timer"]
        environment = {
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT),
            "ANSIBLE_CONFIG": str(ROOT / "irctl" / "running" / "ansible.cfg"),
            "LANG": "C.UTF-8",
        }
        kept = {name: os.environ[name] for name in ("PATH", "HOME")}
        program = Path(sys.executable).with_name("ansible-playbook")
        done = subprocess.run(
            [program, *playbook, *words], env={**kept, **environment}, capture_output=True, text=True, timeout=150
        )
        changed = re.search(r"changed=(\d+)", done.stdout)
        return Done(int(changed[1]) if changed and done.returncode == 0 else -1, done.stdout, done.stderr)

    def units(self) -> list[str]:
        return self.host.run("find", "/etc/systemd/system", "-name", f"{self.name}*", "-printf", "%f\n").stdout.split()

    def active(self) -> bool:
        return self.host.run("systemctl", "is-active", f"{self.name}.timer", check=False).returncode == 0


@pytest.fixture
def timer(hosts: Set) -> Iterator[Timer]:
    timer = Timer(hosts)
    timer.host.run("tee", timer.program, input=KEEPER)
    timer.host.run("chmod", "755", timer.program)
    timer.host.run("mkdir", timer.home)
    yield timer
    timer.host.run("systemctl", "disable", "--now", f"{timer.name}.timer", check=False)
    timer.host.run("sh", "-c", f"rm -rf /etc/systemd/system/{timer.name}.* '{timer.home}'; systemctl daemon-reload")


def test_the_timer_that_ends_leases_is_installed_seen_at_work_started_again_and_removed(timer: Timer) -> None:
    dry = timer.play("--check")
    assert (dry.code > 0, timer.units(), timer.active()) == (True, [], False), dry.out
    first = timer.play()
    assert first.code > 0, first.out
    assert timer.active()
    assert timer.host.run("systemctl", "is-enabled", f"{timer.name}.timer").stdout.strip() == "enabled"
    assert timer.host.read(f"{timer.home}/said") == "leases run-due --every 1m\n"
    timer.host.run("systemctl", "stop", f"{timer.name}.timer")
    assert (timer.play("--check").code, timer.active()) == (1, False)
    assert (timer.play().code, timer.active()) == (1, True)
    assert timer.play().code == 0
    gone = {"lease_timer_state": "absent"}
    dry = timer.play("--check", "-e", json.dumps(gone))
    assert (dry.code > 0, timer.active(), len(timer.units())) == (True, True, 3), dry.out
    assert timer.play("-e", json.dumps(gone)).code > 0
    assert (timer.active(), timer.units()) == (False, [])
    assert timer.play("-e", json.dumps(gone)).code == 0


def test_hosts_whose_owner_was_killed_are_removed_when_others_start(hosts: Set, tmp_path: Path) -> None:
    owner = subprocess.Popen(["sleep", "300"])
    up = [ROOT / "tools" / "test-hosts", "up", "1", "--folder", tmp_path / "set", "--owner", str(owner.pid)]
    try:
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
        left = sets.at(tmp_path / "set")
        sets.sweep()
        assert left.hosts[0].run("true").returncode == 0, "its owner lives"
    finally:
        owner.kill()
        owner.wait()
    sets.sweep()
    assert podman.containers(f"set={left.name}") == []
    assert network.members(left.name) == []
    assert not left.folder.exists()
    assert hosts["h1"].run("true").returncode == 0
