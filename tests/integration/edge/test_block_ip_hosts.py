"""block-ip with nftables: real connections between network namespaces, and a host that is managed by ssh. HAZARDS D5."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from irctl.errors import FAILED, REFUSED
from tests.conftest import Irctl, write_inventory

ATTACKER, NEIGHBOUR, EDGE = "198.51.100.7", "203.0.113.9", "203.0.113.1"
ATTACKER_V6, EDGE_V6 = "2001:db8:1::7", "2001:db8:1::1"
PORT = 8080
OFFICE = "192.0.2.0/24"
SSHD = "/usr/sbin/sshd"
SSHD_CONFIG = """
ListenAddress 203.0.113.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
"""
LINKS = """
ip -n {edge} link set lo up
ip -n {attacker} link set lo up
ip -n {neighbour} link set lo up
ip link add to-attacker netns {edge} type veth peer name to-edge netns {attacker}
ip link add to-neighbour netns {edge} type veth peer name to-edge netns {neighbour}
ip -n {edge} address add 198.51.100.1/24 dev to-attacker
ip -n {edge} address add 2001:db8:1::1/64 dev to-attacker nodad
ip -n {edge} address add 203.0.113.1/24 dev to-neighbour
ip -n {attacker} address add 198.51.100.7/24 dev to-edge
ip -n {attacker} address add 2001:db8:1::7/64 dev to-edge nodad
ip -n {neighbour} address add 203.0.113.9/24 dev to-edge
ip -n {edge} link set to-attacker up
ip -n {edge} link set to-neighbour up
ip -n {attacker} link set to-edge up
ip -n {neighbour} link set to-edge up
ip -n {attacker} route add default via 198.51.100.1
ip -n {neighbour} route add default via 203.0.113.1
"""
TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.7) as one:
    print(one.recv(9).decode(), flush=True)
    for line in sys.stdin:
        one.sendall(line.encode())
        print(one.recv(9).decode(), flush=True)
"""
ANSWER = """
import socket, threading
def serve(one):
    one.sendall(b"welcome\\n")
    while said := one.recv(9):
        one.sendall(said)
with socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""


def missing(**programs: str) -> str:
    """What this machine lacks for these tests; '' for nothing."""
    if os.geteuid() != 0:
        return "only root can make network namespaces and block in them"
    lacking = [package for program, package in programs.items() if not shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")]
    if lacking:
        return f"apt-get install {' '.join(lacking)}, as tools/install-test-servers does"
    able = subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0
    return "" if able else "no network namespaces can be made here"


NO_NFT = missing(nft="nftables", ip="iproute2", ss="iproute2", sshd="openssh-server", ssh="openssh-client")


def run(*words: str, **more: Any) -> str:
    return subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60, **more).stdout


@dataclass
class Within(Irctl):
    """The command, run within a network namespace."""

    namespace: str = ""

    def _start(self, words: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
        settings = {"IRCTL_HOME": str(self.home), "IRCTL_INVENTORY": str(self.inventory), "IRCTL_CONFIG": ""}
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "USER") if name in os.environ}
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.namespace}", sys.executable, *words],
            env={**kept, **settings, **self.environment, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.home.parent,
        )  # fmt: skip

    def block(self, *words: str) -> Any:
        """remediate block-ip --host edge --json WORDS..."""
        return self("remediate", "block-ip", "--host", "edge", "--json", *words)


@dataclass
class Net:
    """Three namespaces: an edge that serves, and an attacker and a neighbour, each with a link of its own to it."""

    folder: Path
    prefix: str
    stack: ExitStack = field(default_factory=ExitStack)

    def make(self) -> None:
        for name in ("edge", "attacker", "neighbour"):
            run("ip", "netns", "add", f"{self.prefix}{name}")
            self.stack.callback(run, "ip", "netns", "delete", f"{self.prefix}{name}")
        names = {name: f"{self.prefix}{name}" for name in ("edge", "attacker", "neighbour")}
        for line in LINKS.strip().format(**names).splitlines():
            run(*line.split())
        self.serve()

    def serve(self) -> None:
        server = self.start("edge", sys.executable, "-c", ANSWER)
        assert server.stdout
        assert server.stdout.readline() == "ready\n"

    def start(self, name: str, *words: str, **more: Any) -> subprocess.Popen[str]:
        """Start something in a namespace; it ends with the test."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.prefix}{name}", *words], **(pipes | more))
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def reaches(self, name: str, address: str = EDGE) -> bool:
        """Whether a new connection from that namespace gets an answer."""
        process = self.start(name, sys.executable, "-c", TALK, address, str(PORT))
        return process.communicate("")[0].startswith("welcome")

    def nft(self, *words: str) -> str:
        return run("ip", "netns", "exec", f"{self.prefix}edge", "nft", *words)

    def held(self, version: int = 4) -> list[Any]:
        """The elements of a set, as nft has them; those with a time as (address, seconds)."""
        said = json.loads(self.nft("-j", "list", "set", "inet", "irctl", f"blocked_v{version}"))
        [found] = [one["set"] for one in said["nftables"] if "set" in one]
        return [(one["elem"]["val"], one["elem"]["timeout"]) if "elem" in one else one for one in found.get("elem", [])]

    def host(self, **more: Any) -> dict[str, Any]:
        reach = {"ansible_connection": "local", "irctl_drills": "allowed", "block_ip_backend": "nftables"}
        return {**reach, "edge_protected": [OFFICE], **more}

    def irctl(self, name: str = "edge", **more: Any) -> Within:
        home, inventory = self.folder / "home", write_inventory(self.folder, {"edge": self.host(**more)})
        return Within(home, inventory, namespace=f"{self.prefix}{name}")


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    if NO_NFT:
        pytest.skip(NO_NFT)
    made = Net(tmp_path, f"irctl{os.getpid()}-")
    with made.stack:
        made.make()
        yield made


@pytest.fixture
def edge(net: Net) -> Net:
    """With the table there already, and an element in it that somebody else has put there."""
    assert net.irctl().block("--create-rule", "yes", "--address", "8.8.4.4").code == 0
    net.nft("flush", "set", "inet", "irctl", "blocked_v4")
    net.nft("add", "element", "inet", "irctl", "blocked_v4", "{ 45.155.205.9 timeout 1d }")
    return net


def test_a_blocked_address_gets_no_connection_its_neighbour_does_and_a_revert_lets_it_through(net: Net) -> None:
    irctl = net.irctl()
    assert (net.reaches("attacker"), net.reaches("neighbour")) == (True, True)
    done = irctl.block("--address", ATTACKER, "--create-rule", "yes")
    assert (done.code, done.host("edge")["outcome"]) == (0, "changed"), done.err
    assert (net.reaches("attacker"), net.reaches("neighbour")) == (False, True)
    assert irctl.block("--address", ATTACKER, "--create-rule", "yes").json["outcome"] == "unchanged"
    undone = irctl("revert", done.json["run"], "--json")
    assert undone.code == 0, undone.err
    assert (net.reaches("attacker"), net.reaches("neighbour"), net.held()) == (True, True, [])


def test_what_the_attacker_has_open_stops_too_and_ipv6_as_well(net: Net) -> None:
    talks = net.start("attacker", sys.executable, "-c", TALK, EDGE_V6, str(PORT))
    assert talks.stdin
    assert talks.stdout
    assert talks.stdout.readline() == "welcome\n"
    done = net.irctl().block("--address", ATTACKER_V6, "--allow-private", "yes", "--create-rule", "yes")
    assert done.code == 0, done.err
    talks.stdin.write("and\n")
    talks.stdin.flush()
    assert talks.wait(timeout=10) != 0
    assert not net.reaches("attacker", EDGE_V6)
    assert net.reaches("attacker", "198.51.100.1"), "its IPv4 address was not named"


def test_the_kernel_lets_go_when_the_time_is_over_though_irctl_is_dead(edge: Net, wait_until: Callable[..., Any]) -> None:
    irctl = edge.irctl()
    assert irctl("leases", "run-due", "--every", "1m").code == 0  # seen once; it never comes again
    done = irctl.block("--address", ATTACKER, "--for", "5s")
    assert done.code == 0, done.err
    assert (ATTACKER, 5) in edge.held()
    assert (edge.reaches("attacker"), edge.reaches("neighbour")) == (False, True)
    wait_until(lambda: edge.reaches("attacker"), 10)
    assert edge.held() == [("45.155.205.9", 86400)]
    assert irctl("leases", "run-due", "--every", "1m").out.startswith("ended: block-ip on edge")


def test_the_end_of_a_lease_leaves_what_somebody_else_has_blocked_for_good_since(edge: Net) -> None:
    irctl = edge.irctl()
    assert irctl("leases", "run-due", "--every", "1m").code == 0
    done = irctl.block("--address", ATTACKER, "--address", "91.0.0.1", "--for", "10m")
    assert done.code == 0, done.err
    edge.nft("delete", "element", "inet", "irctl", "blocked_v4", "{", ATTACKER, "}")  # as the kernel does
    edge.nft("add", "element", "inet", "irctl", "blocked_v4", "{", ATTACKER, "}")
    undone = irctl("revert", done.json["run"], "--json")
    assert (undone.code, edge.held()) == (0, [("45.155.205.9", 86400), ATTACKER]), undone.err


def test_a_revert_leaves_what_others_have_put_there(edge: Net) -> None:
    irctl = edge.irctl()
    done = irctl.block("--address", "91.0.0.1", "--address", "91.0.2.0/24", "--address", "45.155.205.9")
    assert done.code == 0, done.err
    edge.nft("add", "element", "inet", "irctl", "blocked_v4", "{ 91.0.1.0/24, 91.0.3.0/24 }")  # neighbours on both sides
    assert irctl("revert", done.json["run"], "--json").code == 0
    prefixes = [{"prefix": {"addr": f"91.0.{one}.0", "len": 24}} for one in (1, 3)]
    assert edge.held() == [("45.155.205.9", 86400), *prefixes]


def test_a_dry_run_and_a_run_without_the_table_change_nothing(net: Net) -> None:
    irctl = net.irctl()
    assert irctl.block("--address", ATTACKER, "--create-rule", "yes", "--check").json["outcome"] == "changed"
    refused = irctl.block("--address", ATTACKER)
    assert refused.code == REFUSED
    assert "There is no set blocked_v4 in the table inet irctl. --create-rule makes it." in refused.host("edge")["reason"]
    assert net.nft("list", "ruleset") == ""
    assert net.reaches("attacker")


@pytest.mark.parametrize(("address", "why"), [(EDGE, "one of the host's own addresses"), (OFFICE, "protected by the inventory")])
def test_own_and_protected_addresses_are_refused_and_the_set_is_as_it_was(edge: Net, address: str, why: str) -> None:
    before = edge.held()
    refused = edge.irctl().block("--address", address, "--allow-private", "yes")
    assert (refused.code, edge.held()) == (REFUSED, before)
    assert why in refused.host("edge")["reason"]


def test_a_network_around_an_element_of_somebody_else_is_refused(edge: Net) -> None:
    before = edge.held()
    refused = edge.irctl().block("--address", "45.155.205.0/24", "--address", "91.0.0.1")
    assert (refused.code, edge.held()) == (REFUSED, before)
    assert "45.155.205.0/24 overlaps 45.155.205.9, which is blocked for " in refused.host("edge")["reason"]
    assert edge.irctl().block("--address", "45.155.205.9").json["outcome"] == "unchanged"


def test_a_list_that_no_rule_uses_is_no_success(edge: Net) -> None:
    edge.nft("flush", "chain", "inet", "irctl", "irctl_drop")
    done = edge.irctl().block("--address", ATTACKER)
    assert done.code == FAILED
    assert (
        "The set blocked_v4 blocks nothing: no rule drops what is in it before another may let it through."
        in done.host("edge")["reason"]
    )
    mended = edge.irctl().block("--address", ATTACKER, "--create-rule", "yes")
    assert (mended.code, edge.reaches("attacker")) == (0, False), mended.err


def test_a_rule_that_lets_packets_by_before_the_drop_is_no_success_and_a_new_rule_comes_before_it(edge: Net) -> None:
    edge.nft("insert", "rule", "inet", "irctl", "irctl_drop", "tcp", "dport", str(PORT), "accept")
    done = edge.irctl().block("--address", ATTACKER)
    assert (done.code, edge.reaches("attacker")) == (FAILED, True), done.err
    assert "no rule drops what is in it before another may let it through" in done.host("edge")["reason"]
    mended = edge.irctl().block("--address", ATTACKER, "--create-rule", "yes")
    assert (mended.code, edge.reaches("attacker")) == (0, False), mended.err


def test_a_table_of_ones_own_with_one_ip_version_blocks_that_version(net: Net) -> None:
    net.nft("add", "table", "inet", "irctl")
    net.nft("add", "set", "inet", "irctl", "blocked_v4", "{ type ipv4_addr; flags interval,timeout; }")
    net.nft("add", "chain", "inet", "irctl", "own", "{ type filter hook input priority -300; }")
    net.nft("add", "rule", "inet", "irctl", "own", "ip", "saddr", "@blocked_v4", "drop")
    before = net.nft("list", "ruleset")
    done = net.irctl().block("--address", ATTACKER)
    assert (done.code, net.reaches("attacker")) == (0, False), done.err
    assert net.irctl()("revert", done.json["run"], "--json").code == 0
    assert net.nft("list", "ruleset") == before
    assert net.irctl().block("--address", "2a00:1450::1").code == REFUSED


def test_a_set_that_merges_what_it_is_given_is_refused(net: Net) -> None:
    net.nft("add", "table", "inet", "irctl")
    net.nft("add", "set", "inet", "irctl", "blocked_v4", "{ type ipv4_addr; flags interval,timeout; auto-merge; }")
    refused = net.irctl().block("--address", ATTACKER, "--create-rule", "yes")
    assert (refused.code, net.held()) == (REFUSED, [])
    assert "merges what it is given (auto-merge)" in refused.host("edge")["reason"]


def test_ten_thousand_addresses_go_in_and_out_in_one_transaction_each(edge: Net) -> None:
    file = edge.folder / "many"
    file.write_text("\n".join(f"91.{one >> 8}.{one & 255}.7" for one in range(10000)))
    with (edge.folder / "monitor").open("w") as said:
        monitor = edge.start("edge", "nft", "monitor", stdout=said)
    time.sleep(0.3)
    done = edge.irctl().block("--address", f"@{file}")
    assert done.code == 0, done.err
    assert len(edge.held()) == 10001
    begun = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    undone = edge.irctl()("revert", done.json["run"], "--json")
    assert undone.code == 0, undone.err
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begun < 15  # nft alone takes 45 s to delete as many by name
    assert edge.held() == [("45.155.205.9", 86400)]
    time.sleep(0.3)
    monitor.terminate()
    monitor.wait()
    assert (edge.folder / "monitor").read_text().count("# new generation") == 2


@pytest.fixture
def sshd(edge: Net) -> dict[str, Any]:
    """An sshd on the edge; what the inventory of somebody in the neighbour's namespace needs to get there."""
    folder = edge.folder / "ssh"
    folder.mkdir()
    for key in ("host", "client"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key))
    (folder / "known_hosts").write_text(f"{EDGE} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(SSHD_CONFIG.format(folder=folder))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    edge.start("edge", SSHD, "-f", str(folder / "config"), "-D", "-e")
    where = {"ansible_connection": "ssh", "ansible_host": EDGE, "ansible_user": "root"}
    trust = {"ansible_ssh_common_args": f"-o UserKnownHostsFile={folder}/known_hosts -o ConnectionAttempts=10"}
    return {
        **where,
        **trust,
        "ansible_ssh_private_key_file": str(folder / "client"),
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def test_where_the_host_is_managed_from_is_refused_over_ssh_and_the_set_is_as_it_was(edge: Net, sshd: dict[str, Any]) -> None:
    irctl, before = edge.irctl("neighbour", **sshd), edge.held()
    for address in (NEIGHBOUR, "203.0.113.0/24"):
        refused = irctl.block("--address", address, "--allow-private", "yes")
        assert (refused.code, edge.held()) == (REFUSED, before), refused.err
        assert "the address that this host is managed from by ssh" in refused.host("edge")["reason"] or address != NEIGHBOUR
    done = irctl.block("--address", ATTACKER)
    assert (done.code, edge.reaches("attacker"), edge.reaches("neighbour")) == (0, False, True), done.err
    assert irctl("revert", done.json["run"], "--json").code == 0
    assert edge.reaches("attacker")


WRITE = """
import sys, json
from ansible_collections.irctl.runbooks.plugins.module_utils import networks
from ansible_collections.irctl.runbooks.plugins.module_utils.edge import nftables
add, remove, seconds = json.loads(sys.argv[1])
params = {"nft_table": "inet irctl", "nft_set": "blocked"}
parsed = [networks.parse_all(texts)[0] for texts in (add, remove)]
nftables.Backend(params).write(*parsed, seconds)
"""


def write(edge: Net, add: list[str], remove: list[str] | None = None, seconds: int | None = None) -> subprocess.Popen[str]:
    """What the backend does once the module has decided, in a process of its own."""
    return edge.start("edge", sys.executable, "-c", WRITE, json.dumps([add, remove or [], seconds]))


def test_adding_again_makes_a_time_longer_and_never_shorter(edge: Net) -> None:
    for seconds, held in ((600, 600), (60, 600), (900, 900), (None, None), (60, None)):
        assert write(edge, ["91.0.0.1"], seconds=seconds).wait() == 0
        assert edge.held()[1:] == [("91.0.0.1", held) if held else "91.0.0.1"]


def test_what_is_gone_already_and_what_is_there_already_is_no_error(edge: Net) -> None:
    for _ in range(2):
        assert write(edge, ["91.0.0.1"], ["91.0.0.2", "45.155.205.9"]).wait() == 0
        assert edge.held() == ["91.0.0.1"]


def test_eight_processes_at_once_lose_nothing(edge: Net) -> None:
    writers = [write(edge, [f"91.0.{one}.{last}" for last in range(25)]) for one in range(8)]
    assert [writer.wait() for writer in writers] == [0] * 8
    assert len(edge.held()) == 201
