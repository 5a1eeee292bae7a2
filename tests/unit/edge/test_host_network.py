"""What a host must never block."""

from __future__ import annotations

import os

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.edge import host_network
from ansible_collections.irctl.runbooks.plugins.module_utils.edge.host_network import Ancestor, addresses, gateways, managers
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.module_utils.networks import Network, parse


def one(*texts: str) -> set[Network]:
    return set(map(parse, texts))


def test_own_addresses_and_gateways_are_read_from_what_ip_prints() -> None:
    links = [{"addr_info": [{"local": "127.0.0.1"}, {"local": "fe80::1"}]}, {"addr_info": [{}, {"local": "91.0.0.1"}]}, {}]
    assert addresses(links) == one("127.0.0.1", "fe80::1", "91.0.0.1")
    hops = [{"gateway": "91.0.0.254"}, {"nexthops": [{"gateway": "91.0.0.253"}]}, {"via": {"host": "fe80::2"}}, {"dev": "ppp0"}]
    assert gateways(hops) == one("91.0.0.254", "91.0.0.253", "fe80::2")


def test_where_ssh_comes_from_is_read_from_sockets_and_from_what_ssh_told_its_children() -> None:
    sockets = """\
0      0         91.0.0.1:22       91.0.0.7:50000 users:(("sshd",pid=7,fd=4),("sshd",pid=5,fd=4))
0      0      [2a00::1]:22     [2a00::7]:50000
0      0      [::ffff:91.0.0.1]:2222   [::ffff:91.0.0.8]:50000 users:(("sshd-session",pid=9,fd=4))
0      0      [fe80::1]%eth0:22 [fe80::7%eth0]:50000
0      0         91.0.0.1:443       91.0.0.9:50000 users:(("nginx",pid=8,fd=4))
"""
    descent = [Ancestor("python3", ""), Ancestor("bash", "91.0.0.10"), Ancestor("systemd", "")]
    assert managers(sockets, descent) == one("91.0.0.7", "2a00::7", "91.0.0.8", "fe80::7", "91.0.0.10")


def test_a_host_that_is_managed_by_ssh_from_nobody_knows_where_is_not_touched() -> None:
    with pytest.raises(Failure, match="where from cannot be read"):
        managers("", [Ancestor("python3", ""), Ancestor("sshd-session", "")])
    assert managers("", [Ancestor("python3", ""), Ancestor("tmux: server", "")]) == set()


def test_this_process_descends_from_others() -> None:
    found = list(host_network.ancestors(os.getpid()))
    assert len(found) > 1
    with pytest.raises(Failure, match="/proc does not show who manages this host"):
        list(host_network.ancestors(1 << 30))
