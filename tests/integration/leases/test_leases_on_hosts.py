"""Leases that their own hosts end, over real ssh and with a real systemd, when nothing is left of the controller. Promise 10."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from irctl.errors import EVIDENCE, REFUSED
from tests.conftest import ROOT, Done, Irctl
from tests.servers.hosts import irctl_for, running
from tools.test_hosts import podman
from tools.test_hosts.sets import Host, Set

Wait = Callable[..., Any]
FIVE_TIMES = pytest.mark.parametrize("time_number", range(5))
LEASES = "/var/lib/irctl/leases"
CANARY = "canary-4711-of-the-inventory"
GLASS = "these are tests of leases"
ATTACKER = "198.51.100.7"
STORED = (
    "SELECT setconfig[1] FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE setrole = 0 AND datname = 'shop'"
)
WITHIN = 15 + 20  # seconds after its end: how often the host looks, and how long a slow machine takes to put things back


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Set]:
    """One host for this file alone, because it is restarted, its disk is full, and its ssh stops."""
    with running(1, tmp_path_factory.mktemp("own")) as found:
        ask(found["h1"], "CREATE DATABASE shop")
        ask(found["h1"], "CREATE TABLE orders (at timestamptz)", "shop")
        yield found


def ask(host: Host, statement: str, database: str = "postgres") -> str:
    return host.run("psql", "-X", "-q", "-A", "-t", "-d", database, "-c", statement, user="postgres").stdout.strip()


@dataclass
class Far:
    """The database `shop` on h1, irctl here, and what the host keeps of leases."""

    set: Set
    irctl: Irctl

    @property
    def host(self) -> Host:
        return self.set["h1"]

    @property
    def frozen(self) -> bool:
        return ask(self.host, STORED) == "default_transaction_read_only=on"

    @property
    def takes_writes(self) -> bool:
        """Try it, in a session of its own."""
        words = ("psql", "-X", "-q", "-d", "shop", "-c", "INSERT INTO orders VALUES (now())")
        return self.host.run(*words, user="postgres", check=False).returncode == 0

    @property
    def armed(self) -> list[str]:
        return self.host.run("sh", "-c", f"ls {LEASES} 2>/dev/null || true").stdout.split()

    @property
    def units(self) -> list[str]:
        return self.host.run("sh", "-c", "ls /etc/systemd/system | grep irctl-lease || true").stdout.split()

    @property
    def nothing_left(self) -> bool:
        listed = self.host.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "irctl-lease*", check=False).stdout
        return not (self.armed or self.units or "timer" in listed)

    def freeze(self, *words: str) -> Done:
        order = ("remediate", "db-freeze-writes", "--host", "h1", "--database", "shop", "--break-glass", GLASS, "--json")
        return self.irctl(*order, *words)

    def leased(self, length: str = "30m") -> str:
        """Freeze it for so long; the run."""
        done = self.freeze("--for", length)
        assert (done.code, self.frozen, len(self.armed)) == (0, True, 1), done
        return str(done.json["run"])

    def lease(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.host.read(f"{LEASES}/{self.armed[0]}/lease.json"))
        return found

    def rewrite(self, seen: float = 0.0, **armed: Any) -> dict[str, Any]:
        """Change what the host has kept of the moment when it was armed; what is a number is added to it. `seen` is for how many
        seconds the boot that it names was seen to go on.
        """
        lease = self.lease()
        for key, value in armed.items():
            lease["armed"][key] = value if isinstance(value, str) else lease["armed"][key] + value
        if seen:
            lease["uptimes"] = {armed["boot"]: lease["armed"]["uptime"] + seen}
        self.write(lease)
        return lease

    def write(self, lease: dict[str, Any]) -> None:
        """Not while the host looks: it writes this file too."""
        folder = f"{LEASES}/{self.armed[0]}"
        self.host.run("flock", folder, "tee", f"{folder}/lease.json", input=json.dumps(lease))

    def look(self) -> int:
        """What the timer does, now."""
        return self.host.run("systemctl", "start", f"irctl-lease-{self.armed[0]}.service", check=False).returncode

    def keep(self) -> None:
        """Put aside what the host has of the lease, for `again`."""
        copies = f"cp -a {LEASES} /root/kept/leases && cp -a /etc/systemd/system/irctl-lease-* /root/kept/units"
        self.host.run("sh", "-c", f"rm -rf /root/kept && mkdir -p /root/kept/units && {copies}")

    def again(self) -> None:
        """As if the same change were made once more, with the same end."""
        self.host.run("sh", "-c", f"cp -a /root/kept/leases/. {LEASES} && cp -a /root/kept/units/. /etc/systemd/system")
        self.host.run("systemctl", "daemon-reload")
        self.host.run("systemctl", "enable", "--now", f"irctl-lease-{self.armed[0]}.timer")
        ask(self.host, "ALTER DATABASE shop SET default_transaction_read_only = 'on'")
        assert (self.frozen, self.takes_writes) == (True, False)

    def journal(self, *words: str) -> str:
        return self.host.run("journalctl", "--no-pager", "--output=cat", "-t", "irctl-lease", *words).stdout

    def on(self) -> list[dict[str, Any]]:
        """The leases as the controller has them."""
        found: list[dict[str, Any]] = self.irctl("leases", "--json").json["leases"]
        return found


def make(own: Set, folder: Path, **more: Any) -> Irctl:
    """irctl with a home of its own, allowed to break the glass, and with a timer that was seen at work."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "who"], check=True)
    allowed = folder / "allowed"
    allowed.write_text(f"ana@example.com {' '.join((folder / 'who.pub').read_text().split()[:2])} roles=incident-commander\n")
    allowed.chmod(0o600)
    irctl = irctl_for(own, folder, **more)
    irctl.environment |= {
        "IRCTL_PRINCIPAL": "ana@example.com",
        "IRCTL_SIGNING_KEY": str(folder / "who"),
        "IRCTL_ALLOWED_SIGNERS": str(allowed),
        "IRCTL_BREAK_GLASS": "24h",
    }
    assert irctl("leases", "run-due", "--every", "1h").code == 0
    return irctl


DATABASE = {"ansible_become": True, "ansible_become_user": "postgres", "ansible_become_password": CANARY}


@pytest.fixture
def far(own: Set, tmp_path: Path) -> Iterator[Far]:
    far = Far(own, make(own, tmp_path / "far", **DATABASE))
    yield far
    print(far.host.run("journalctl", "--no-pager", "--since=-5min").stdout[-9000:])  # shown where the test failed
    for name in far.armed:
        far.host.run("systemctl", "disable", "--now", f"irctl-lease-{name}.timer", check=False)
    far.host.run(
        "sh", "-c", f"rm -rf {LEASES}/* /etc/systemd/system/irctl-lease-*; systemctl daemon-reload; systemctl reset-failed"
    )
    far.host.run("systemctl", "start", "ssh", "postgresql@15-main")
    ask(far.host, "ALTER DATABASE shop RESET default_transaction_read_only")


def kill_all(process: subprocess.Popen[str]) -> None:
    """SIGKILL for a process and all that it started."""
    everybody = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in everybody:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


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


@FIVE_TIMES
def test_the_host_ends_it_when_every_process_and_the_home_of_the_controller_are_gone(
    far: Far, time_number: int, wait_until: Wait
) -> None:
    order = ("remediate", "db-freeze-writes", "--host", "h1", "--database", "shop", "--break-glass", GLASS)
    process = far.irctl.start(*order, "--for", "25s")
    wait_until(lambda: far.frozen, 60)
    kill_all(process)
    shutil.rmtree(far.irctl.home)
    armed = far.lease()["armed"]["uptime"]
    wait_until(lambda: not far.frozen, 25 + WITHIN)
    assert 25 <= time.clock_gettime(time.CLOCK_BOOTTIME) - armed < 25 + WITHIN
    assert far.takes_writes
    wait_until(lambda: "is over and was ended: shop put back to unset, seen in new sessions" in far.journal("--since=-2min"), 20)


def test_a_change_that_comes_after_the_end_of_a_short_lease_is_undone_too(far: Far) -> None:
    """A run that was slower than its own lease: the end came first."""
    far.leased()
    far.rewrite(uptime=-1800.0 + 615)
    kept = {**far.lease(), "seconds": 600}
    far.write(kept | {"settles": 2400})
    assert (far.look(), far.frozen, len(far.armed)) == (0, False, 1), "ended, and still there"
    ask(far.host, "ALTER DATABASE shop SET default_transaction_read_only = 'on'")
    assert (far.look(), far.frozen, len(far.armed)) == (0, False, 1)
    ask(far.host, "ALTER DATABASE shop SET default_transaction_read_only = 'off'")
    assert (far.look(), ask(far.host, STORED)) == (0, "default_transaction_read_only=off"), "somebody else's is let be"
    far.rewrite(uptime=-2400.0)
    assert (far.look(), far.nothing_left) == (0, True)


def test_a_reboot_of_the_host_does_not_keep_it_on(far: Far, wait_until: Wait) -> None:
    """As after a real reboot, which a container has not: another boot's id, and by the clock it is over. Five times."""
    far.leased()
    far.keep()
    for _ in range(5):
        far.rewrite(boot="another-boot", uptime=9_000_000.0, utc=-1800)
        podman.podman("restart", "--time", "5", far.host.container)
        wait_until(lambda: far.host.run("systemctl", "is-active", "postgresql@15-main", check=False).returncode == 0, 60)
        wait_until(lambda: not far.frozen, WITHIN)
        wait_until(lambda: far.nothing_left, 20)
        far.again()


def test_nothing_but_time_ends_it_on_the_host(far: Far) -> None:
    """The clock is stepped either way, five times each; then its time is up. For reboots see tests/unit/test_host_leases.py."""
    far.leased()
    for _ in range(5):
        for step in (7200, -7200):
            far.rewrite(utc=step)
            assert (far.look(), far.frozen) == (0, True), step
            far.rewrite(utc=-step)
    far.rewrite(uptime=-1800.0)
    assert (far.look(), far.frozen, far.nothing_left) == (0, False, True)


def test_a_clock_that_was_set_back_across_a_reboot_does_not_keep_it_on(far: Far) -> None:
    """Half an hour of the boot before was seen, and now the clock is two hours wrong. Five times."""
    far.leased()
    far.keep()
    for _ in range(5):
        far.rewrite(boot="another-boot", uptime=9_000_000.0, utc=7200, seen=1800)
        assert (far.look(), far.frozen, far.nothing_left) == (0, False, True)
        far.again()


@contextmanager
def full_disk(host: Host) -> Iterator[None]:
    """A disk of 64 kB below /var/lib/irctl, on which nothing of a lease has room."""
    pid = podman.podman("inspect", "--format", "{{.State.Pid}}", host.container).stdout.strip()
    inside = ["nsenter", "--target", pid, "--mount", f"--root=/proc/{pid}/root"]
    host.run("mkdir", "-p", "/var/lib/irctl")
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


def test_a_revert_that_fails_on_the_host_is_loud_and_tried_again_until_it_succeeds(far: Far) -> None:
    far.leased()
    far.rewrite(uptime=-1800.0)
    far.host.run("systemctl", "stop", "postgresql@15-main")
    assert far.look() != 0
    loud = far.journal("--priority=err", "--since=-1min")
    assert "is over and could not be ended (1 attempts): PostgreSQL does not answer" in loud
    lease = far.lease()
    assert (lease["attempts"], "does not answer" in lease["why"]) == (1, True)
    far.host.run("systemctl", "start", "postgresql@15-main")
    assert (far.look(), far.frozen) == (0, True), "a minute later, not at once"
    lease["tried"]["uptime"] -= 61
    far.write(lease)
    assert (far.look(), far.frozen, far.nothing_left) == (0, False, True)


def test_what_somebody_else_has_changed_since_is_left_alone_until_it_is_given_up(far: Far) -> None:
    run = far.leased()
    ask(far.host, "ALTER DATABASE shop SET default_transaction_read_only = 'off'")
    far.rewrite(uptime=-1800.0)
    assert far.look() != 0
    assert ask(far.host, STORED) == "default_transaction_read_only=off"
    assert "Somebody else has changed default_transaction_read_only of shop since" in far.journal("--since=-1min")
    [path] = (far.irctl.home / "leases").glob("*.json")
    lease = json.loads(path.read_text())
    lease["armed"]["uptime"] -= 1800
    path.write_text(json.dumps(lease))
    assert "FAILED: db-freeze-writes on h1" in far.irctl("leases", "run-due").out
    closed = far.irctl("leases", "close", run, "made permanent by change 4711")
    assert (closed.code, far.on(), far.nothing_left) == (0, [], True), closed


def test_it_is_extended_on_the_host_first_and_never_beyond_its_limit(far: Far) -> None:
    run = far.leased("1m")
    assert [lease["armed"] for lease in far.on()] == [{"h1": "host"}]
    assert "controller + host timer" in far.irctl("leases").out
    moved = far.irctl("leases", "extend", run, "--for", "30m")
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
    refused = far.irctl("leases", "extend", run, "--for", "1h")
    far.host.run("systemctl", "start", "ssh")
    assert (refused.code, "so the lease is as it was: h1: " in refused.err) == (REFUSED, True), refused
    [after] = far.on()
    assert after["left"] <= before["left"]
    assert far.lease()["seconds"] == there


def test_a_lease_that_the_host_has_ended_cannot_be_extended_and_ends_here_as_unchanged(far: Far) -> None:
    run = far.leased()
    far.rewrite(uptime=-1800.0)
    assert (far.look(), far.frozen) == (0, False)
    refused = far.irctl("leases", "extend", run, "--for", "1h")
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


@FIVE_TIMES
def test_both_ends_at_once_are_harmless(far: Far, time_number: int, wait_until: Wait) -> None:
    run = far.leased()
    far.rewrite(uptime=-1800.0)
    with ThreadPoolExecutor() as pool:
        here = pool.submit(far.irctl, "leases", "end", run)
        time.sleep(0.7 * time_number)  # at another moment of the other's each time; either order is right
        there = pool.submit(far.look) if far.armed else None
    assert here.result().code == 0, here.result()
    assert there is None or there.result() in (0, 5), "done, or gone"
    assert (far.frozen, far.nothing_left, far.on()) == (False, True, [])


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
        assert far.irctl("leases", "extend", lease["run"], "--for", "1h").code == 0
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


EDGE = {
    "ansible_become": True,
    "block_ip_backend": "nginx",
    "edge_nginx_include": "/etc/nginx/conf.d/blocked.conf",
    "edge_protected": ["192.0.2.0/24"],
}


def test_addresses_that_nginx_denies_get_through_again_when_the_controller_is_gone(
    far: Far, tmp_path: Path, wait_until: Wait
) -> None:
    edge = Far(far.set, make(far.set, tmp_path / "edge", **EDGE))
    edge.host.run("sh", "-c", f"printf '' > {EDGE['edge_nginx_include']}; systemctl restart nginx")
    with edge.set.outsider(ATTACKER) as there:

        def answer() -> str:
            curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", f"http://{edge.host.address}/"]
            return subprocess.run([*there, *curl], capture_output=True, text=True).stdout

        assert answer() == "200"
        process = edge.irctl.start("remediate", "block-ip", "--host", "h1", "--address", ATTACKER, "--for", "25s")
        wait_until(lambda: answer() == "403", 60)
        kill_all(process)
        shutil.rmtree(edge.irctl.home)
        wait_until(lambda: answer() == "200", 25 + WITHIN)


def test_the_times_of_the_kernel_are_extended_too(far: Far, tmp_path: Path) -> None:
    where = {"ansible_become": True, "block_ip_backend": "nftables", "edge_protected": ["192.0.2.0/24"]}
    edge = Far(far.set, make(far.set, tmp_path / "edge", **where))
    done = edge.irctl(
        "remediate", "block-ip", "--host", "h1", "--address", ATTACKER, "--create-rule", "yes", "--for", "5m", "--json"
    )
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
