"""block-ip with nftables: real connections between network namespaces, and a host that is managed by ssh. HAZARDS D5."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from irctl.errors import REFUSED
from tests.integration.edge.namespaces import (
    ATTACKER,
    ATTACKER_V6,
    EDGE,
    EDGE_V6,
    NEIGHBOUR,
    OFFICE,
    PORT,
    SSHD,
    SSHD_CONFIG,
    TALK,
    Net,
    run,
)


@pytest.fixture
def edge(net: Net) -> Net:
    """With the table there already, and an element in it that somebody else has put there."""
    assert net.irctl().block("--create-rule", "--address", "8.8.4.4").code == 0
    net.nft("flush", "set", "inet", "irctl", "blocked_v4")
    net.nft("add", "element", "inet", "irctl", "blocked_v4", "{ 45.155.205.9 timeout 1d }")
    return net


def test_a_blocked_address_gets_no_connection_its_neighbour_does_and_a_revert_lets_it_through(net: Net) -> None:
    irctl = net.irctl()
    assert (net.reaches("attacker"), net.reaches("neighbour")) == (True, True)
    done = irctl.block("--address", ATTACKER, "--create-rule")
    assert (done.code, done.host("edge")["outcome"]) == (0, "changed"), done.err
    assert (net.reaches("attacker"), net.reaches("neighbour")) == (False, True)
    assert irctl.block("--address", ATTACKER, "--create-rule").json["outcome"] == "unchanged"
    undone = irctl("revert", done.json["run"], "--json")
    assert undone.code == 0, undone.err
    assert (net.reaches("attacker"), net.reaches("neighbour"), net.held()) == (True, True, [])


def test_what_the_attacker_has_open_stops_too_and_ipv6_as_well(net: Net) -> None:
    talks = net.start("attacker", sys.executable, "-c", TALK, EDGE_V6, str(PORT))
    assert talks.stdin
    assert talks.stdout
    assert talks.stdout.readline() == "welcome\n"
    done = net.irctl().block("--address", ATTACKER_V6, "--allow-private", "--create-rule")
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
    assert irctl.block("--address", ATTACKER, "--create-rule", "--check").json["outcome"] == "changed"
    refused = irctl.block("--address", ATTACKER)
    assert refused.code == REFUSED
    assert "There is no set blocked_v4 in the table inet irctl. --create-rule makes it." in refused.host("edge")["reason"]
    assert net.nft("list", "ruleset") == ""
    assert net.reaches("attacker")


@pytest.mark.parametrize(("address", "why"), [(EDGE, "one of the host's own addresses"), (OFFICE, "protected by the inventory")])
def test_own_and_protected_addresses_are_refused_and_the_set_is_as_it_was(edge: Net, address: str, why: str) -> None:
    before = edge.held()
    refused = edge.irctl().block("--address", address, "--allow-private")
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
    assert (done.code, edge.held()) == (REFUSED, [("45.155.205.9", 86400)])
    assert "The set blocked_v4 blocks nothing: no rule asks for it." in done.host("edge")["reason"]
    mended = edge.irctl().block("--address", ATTACKER, "--create-rule")
    assert (mended.code, edge.reaches("attacker")) == (0, False), mended.err


def test_a_rule_that_lets_packets_by_before_the_drop_is_no_success_and_a_new_rule_comes_before_it(edge: Net) -> None:
    edge.nft("insert", "rule", "inet", "irctl", "irctl_drop", "tcp", "dport", str(PORT), "accept")
    done = edge.irctl().block("--address", ATTACKER)
    assert (done.code, edge.reaches("attacker")) == (REFUSED, True), done.err
    assert "asked in the chain irctl_drop, but no rule there drops all that is in it" in done.host("edge")["reason"]
    mended = edge.irctl().block("--address", ATTACKER, "--create-rule")
    assert (mended.code, edge.reaches("attacker")) == (0, False), mended.err


def test_a_table_of_ones_own_with_one_ip_version_blocks_that_version(net: Net) -> None:
    net.forward(False)
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
    refused = net.irctl().block("--address", ATTACKER, "--create-rule")
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
        refused = irctl.block("--address", address, "--allow-private")
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
