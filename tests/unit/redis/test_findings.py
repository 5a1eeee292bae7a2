"""What is said of the facts about a Redis."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.redis import findings
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.questions import Delay, Facts, Slow

GIB = 1 << 30
INFO = {
    "role": "master",
    "used_memory": str(GIB),
    "used_memory_rss": str(GIB),
    "maxmemory": str(4 * GIB),
    "maxmemory_policy": "noeviction",
    "connected_clients": "10",
    "maxclients": "1000",
    "keyspace_hits": "900",
    "keyspace_misses": "100",
    "db0": "keys=5,expires=2,avg_ttl=0",
}
FACTS = Facts(INFO, {}, {}, [], [], 10_000, {})


def seen(facts: Facts = FACTS, **info: Any) -> list[tuple[str, str]]:
    """Level and sentence of all that is not fine."""
    facts = facts._replace(info={**facts.info, **{name: str(value) for name, value in info.items()}})
    return [(one["level"], one["says"]) for one in findings.findings(facts, 3600) if one["level"] != "fine"]


def test_of_a_server_that_is_well_everything_is_fine() -> None:
    assert seen() == []
    told = " ".join(one["says"] for one in findings.findings(FACTS, 3600))
    assert "1.0 GiB of 4.0 GiB memory are in use (25%)" in told
    assert "90% of 1000 lookups since it was started found their key." in told
    assert "Database 0 has 5 keys, of which 2 expire." in told


@pytest.mark.parametrize(
    ("info", "level", "words"),
    [
        ({"used_memory": 15 * GIB // 4}, "problem", "where it is full, writes are refused (noeviction)."),
        ({"used_memory": 15 * GIB // 4, "maxmemory_policy": "allkeys-lru"}, "notice", "keys are evicted (allkeys-lru)."),
        ({"maxmemory": 0, "total_system_memory": GIB}, "problem", "no maxmemory is set; the machine has 1.0 GiB."),
        ({"used_memory_rss": 2 * GIB}, "notice", "memory is fragmented or swapped."),
        ({"evicted_keys": 7}, "notice", "7 keys were evicted since it was started"),
        ({"connected_clients": 950}, "problem", "950 of 1000 connections are in use (95%)."),
        ({"maxclients": 0}, "notice", "10 clients are connected, and how many may be is not known."),
        ({"rejected_connections": 1}, "notice", "1 connection were refused since it was started"),
        ({"errorstat_MISCONF": "count=3"}, "notice", "3 commands were refused with MISCONF since it was started: saving failed."),
        (
            {"role": "slave", "master_host": "10.0.0.1", "master_port": 1},
            "problem",
            "This is a replica of 10.0.0.1:1, and the link is down",
        ),
        ({"role": "slave", "master_link_status": "up", "master_last_io_seconds_ago": 60}, "notice", "which was heard 60 s ago."),
        (
            {"connected_slaves": 1, "master_repl_offset": 5000, "slave0": "ip=10.0.0.2,port=2,state=wait_bgsave,offset=904,lag=1"},
            "notice",
            "Replica 10.0.0.2:2 is wait_bgsave, 4.0 KiB behind, heard 1 s ago.",
        ),
        ({"loading": 1}, "problem", "It is loading its data"),
        ({"rdb_last_bgsave_status": "err"}, "problem", "The last snapshot could not be saved"),
        ({"aof_last_write_status": "err"}, "problem", "The append-only file could not be written"),
        ({"keyspace_misses": 9000}, "notice", "9% of 9900 lookups since it was started found their key."),
    ],
)
def test_what_is_not_well_is_said(info: dict[str, Any], level: str, words: str) -> None:
    [(seen_level, says)] = seen(**info)
    assert seen_level == level
    assert words in says


def test_what_could_not_be_asked_is_named_and_without_info_it_is_a_problem() -> None:
    facts = FACTS._replace(unasked={"SLOWLOG GET 10": "Redis said: no permissions"})
    assert seen(facts) == [
        ("notice", "SLOWLOG GET 10 could not be asked, so what it tells is not known. Redis said: no permissions"),
    ]
    assert findings.findings(Facts({}, {}, {}, [], [], 0, {"INFO": "no"}), 60)[0]["level"] == "problem"


def test_what_was_slow_lately_is_named_the_slowest_first_and_what_is_old_is_not() -> None:
    slow = [Slow("KEYS", 9_900, 0.5), Slow("SORT\x1b", 9_990, 2.0), Slow("GET", 1_000, 9.0)]
    delays = [Delay("fork", 9_990, 0.2, 0.3), Delay("command", 9_990, 0.01, 0.02), Delay("aof", 100, 5.0, 5.0)]
    told = [says for _level, says in seen(FACTS._replace(slow=slow, delays=delays))]
    assert told == [
        "SORT? took 2000.0 ms, 10s ago.",
        "KEYS took 500.0 ms, 2m ago.",
        "fork held it up for 200 ms, at the longest 300 ms.",
    ]


def test_what_is_switched_off_is_said() -> None:
    off = {"slowlog-log-slower-than": "-1", "latency-monitor-threshold": "0"}
    told = " ".join(one["says"] for one in findings.findings(FACTS._replace(settings=off), 60))
    assert "The slow log is off" in told
    assert "The latency monitor is off" in told


def test_a_cluster_that_is_not_well_is_a_problem() -> None:
    cluster = {"cluster_state": "fail", "cluster_slots_ok": "10923"}
    [(level, says)] = seen(FACTS._replace(cluster=cluster))
    assert (level, says) == ("problem", "The cluster's state is fail, 10923 of 16384 slots are well, as this node sees it.")


def test_no_argument_of_a_command_and_no_other_line_of_info_is_kept() -> None:
    kept = findings.kept(FACTS._replace(info={**INFO, "config_file": "/etc/redis.conf"}, slow=[Slow("SET", 1, 2.0)]))
    assert "config_file" not in kept["info"]
    assert kept["slow"] == [{"command": "SET", "at": 1, "seconds": 2.0}]
