"""Three network namespaces, an edge with an attacker and a neighbour, for the tests of block-ip on nftables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


STEPS = """
import json
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.modules import block_list
DEFAULTS = {name: option.get("default") for name, option in block_list.ARGUMENTS.items()} | {"backend": "nftables"}
def step(given, state, **more):
    return block_list.run({**DEFAULTS, **given, "state": state, **more}, False)
def outcome(given):
    before = step(given, "listed")
    if before["refusals"]:
        return "refused", " ".join(before["refusals"])
    try:
        step(given, "changed", found=before["found"])
        return "blocked", step(given, "proved")["msg"]
    except Undecided as error:
        return "undecided", str(error)
    except Failure as error:
        return "failed", str(error)
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

    def serve(self, name: str = "edge") -> None:
        server = self.start(name, sys.executable, "-c", ANSWER)
        assert server.stdout
        assert server.stdout.readline() == "ready\n"

    def start(self, name: str, *words: str, **more: Any) -> subprocess.Popen[str]:
        """Start something in a namespace; it ends with the test."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.prefix}{name}", *words], **(pipes | more))
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def reaches(self, name: str, address: str = EDGE, port: int = PORT) -> bool:
        """Whether a new connection from that namespace gets an answer."""
        process = self.start(name, sys.executable, "-c", TALK, address, str(port))
        return process.communicate("")[0].startswith("welcome")

    def forward(self, on: bool) -> None:
        """Whether the edge hands packets on from one link to the other."""
        names = [f"net.ipv4.conf.{name}.forwarding={int(on)}" for name in ("all", "default", "to-attacker", "to-neighbour", "lo")]
        run("ip", "netns", "exec", f"{self.prefix}edge", "sysctl", "-q", "-w", *names)

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

    def outcome(self, *addresses: str, **more: Any) -> tuple[str, str]:
        """Block addresses by the module's own steps, in the edge: 'blocked', 'undecided', 'failed' or 'refused', and why."""
        given = json.dumps({"addresses": addresses, "protected": [OFFICE], "drills": "allowed", **more})
        done = self.irctl().python(f"{STEPS}\nprint(json.dumps(outcome(json.loads({given!r}))))")
        assert done.code == 0, done.err
        outcome, why = json.loads(done.out)
        return outcome, why
