"""Which primary of a cluster holds which slots."""

from __future__ import annotations

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.redis import cluster_nodes
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.cluster_nodes import Layout

NODES = b"""\
aa 10.0.0.1:7001@17001,cache1 myself,master - 0 0 1 connected 0-5460 [93->-bb]
bb 10.0.0.2:7002@17002 master - 0 1 2 connected 5461-10921 10923
cc :7003@17003 master - 0 1 3 connected 10922 10924-16383
dd 10.0.0.4:7004@17004 slave aa 0 1 1 connected
ee 10.0.0.5:7005@17005 master - 0 1 4 connected
"""
A, B, C, E = ("10.0.0.1", 7001), ("10.0.0.2", 7002), ("127.0.0.1", 7003), ("10.0.0.5", 7005)


def test_every_primary_is_known_those_without_slots_too_and_each_slot_has_one() -> None:
    layout = cluster_nodes.layout(NODES, "127.0.0.1")
    assert layout.primaries == (A, B, C, E)
    assert [layout.owners[slot] for slot in (0, 93, 5460, 5461, 10921, 10922, 10923, 16383)] == [A, A, A, B, B, C, B, C]
    assert layout.missing == 0


def test_slots_of_a_primary_that_failed_are_missing() -> None:
    layout = cluster_nodes.layout(NODES.replace(b"10.0.0.2:7002@17002 master", b"10.0.0.2:7002@17002 master,fail"), "127.0.0.1")
    assert (layout.failed, layout.missing) == ((B,), 5462)
    assert B not in layout.primaries


@pytest.mark.parametrize(
    ("seen", "twice"),
    [([A, A, A], False), ([A, B, B], False), ([A, A, B], False), ([A, B, A], True), ([A, B, C], True)],
)
def test_a_slot_that_moved_twice_may_hide_a_key_and_one_that_moved_once_cannot(seen: list[tuple[str, int]], twice: bool) -> None:
    layouts = [Layout((A, B, C), (A,) * 5 + (owner,), ()) for owner in seen]
    assert cluster_nodes.moved_twice(layouts) is twice


def test_a_redirection_without_a_host_is_to_the_one_that_was_asked() -> None:
    assert cluster_nodes.redirection("3999 10.0.0.2:7002", "h") == B
    assert cluster_nodes.redirection("3999 :7003", "127.0.0.1") == C
    assert cluster_nodes.redirection("3999 ::1:7003", "h") == ("::1", 7003)
