"""What a look at Redis found, in plain words with the command to run next. Pure: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from ansible_collections.irctl.runbooks.plugins.module_utils.redis.questions import Facts
from ansible_collections.irctl.runbooks.plugins.module_utils.values import counted, duration, printable, sized

SHOWN = 5  # of each kind
NEARLY, FULL = 0.75, 0.9  # shares of a limit
BEHIND = 10  # seconds
FRAGMENTED, WORTH_IT = 1.5, 256 << 20  # memory that the system gave for each byte in use, where it is this much
SLOW = 0.1  # seconds of a delay that is worth a word
RARELY, LOOKUPS = 0.5, 1000  # a share of found keys that is low, once it is of so many lookups
REFUSALS = {
    "OOM": "memory is full",
    "MISCONF": "saving failed",
    "NOREPLICAS": "replicas are missing",
    "READONLY": "it is a replica",
}


class Finding(TypedDict):
    """One thing that was found. `level` is problem, notice or fine; in `next`, {host} stands for the host."""

    level: str
    says: str
    next: str


def findings(facts: Facts, within: int) -> list[Finding]:
    """Everything worth saying, what needs a person first at the top. `within` is how old slow commands may be, in seconds."""
    found = [*_unasked(facts)]
    if facts.info:
        found += [*_memory(facts.info), *_clients(facts), *_replication(facts.info), *_persistence(facts.info), *_use(facts.info)]
    found += [*_cluster(facts.cluster), *_slow(facts, within), *_delays(facts, within)]
    order = {"problem": 0, "notice": 1, "fine": 2}
    return sorted(found, key=lambda finding: order[finding["level"]])


def _finding(level: str, says: str, following: str = "") -> Finding:
    return Finding(level=level, says=says, next=following if level != "fine" else "")


def _unasked(facts: Facts) -> Iterator[Finding]:
    for question, reason in facts.unasked.items():
        level = "problem" if question == "INFO" else "notice"
        yield _finding(
            level, f"{question} could not be asked, so what it tells is not known. {printable(reason)}", "redis-cli ACL WHOAMI"
        )


def _number(info: Mapping[str, str], name: str) -> int:
    """A number of INFO; 0 where this server does not tell it."""
    try:
        return int(info.get(name, 0))
    except ValueError:
        return 0


def _level(share: float) -> str:
    return "problem" if share >= FULL else "notice" if share >= NEARLY else "fine"


def _memory(info: Mapping[str, str]) -> Iterator[Finding]:
    used, limit, system = (_number(info, name) for name in ("used_memory", "maxmemory", "total_system_memory"))
    resident, policy = _number(info, "used_memory_rss"), printable(info.get("maxmemory_policy", "an unknown policy"), 40)
    look = "redis-cli INFO memory"
    if limit:
        share, evicts = used / limit, policy != "noeviction"
        then = f"{'keys are evicted' if evicts else 'writes are refused'} ({policy})"
        says = f"{sized(used)} of {sized(limit)} memory are in use ({share:.0%}); where it is full, {then}."
        level = "notice" if evicts and _level(share) == "problem" else _level(share)
        yield _finding(level, says, look)
    elif system:
        share = resident / system
        yield _finding(
            _level(share), f"{sized(used)} memory are in use and no maxmemory is set; the machine has {sized(system)}.", look
        )
    if used >= WORTH_IT and resident / used >= FRAGMENTED:
        yield _finding(
            "notice", f"The system gave {sized(resident)} for {sized(used)} in use: memory is fragmented or swapped.", look
        )
    if evicted := _number(info, "evicted_keys"):
        yield _finding(
            "notice", f"{counted(evicted, 'key')} were evicted since it was started, for lack of memory.", "redis-cli INFO stats"
        )


def _clients(facts: Facts) -> Iterator[Finding]:
    info = facts.info
    clients = _number(info, "connected_clients")
    limit = _number(info, "maxclients") or _number(facts.settings, "maxclients")
    look = "redis-cli CLIENT LIST"
    if limit:
        share = clients / limit
        yield _finding(_level(share), f"{clients} of {limit} connections are in use ({share:.0%}).", look)
    else:
        yield _finding("notice", f"{counted(clients, 'client')} are connected, and how many may be is not known.", look)
    if rejected := _number(info, "rejected_connections"):
        yield _finding(
            "notice", f"{counted(rejected, 'connection')} were refused since it was started, because all were taken.", look
        )
    if blocked := _number(info, "blocked_clients"):
        yield _finding("fine", f"{counted(blocked, 'client')} wait in a blocking command, as those do that wait for work.")
    for code, reason in REFUSALS.items():
        if number := _number(_pairs(info.get(f"errorstat_{code}", "")), "count"):
            yield _finding(
                "notice",
                f"{counted(number, 'command')} were refused with {code} since it was started: {reason}.",
                "redis-cli INFO errorstats",
            )


def _pairs(text: str) -> dict[str, str]:
    """'keys=5,expires=0' as a mapping."""
    return {name: value for name, _sign, value in (pair.partition("=") for pair in text.split(","))}


def _replication(info: Mapping[str, str]) -> Iterator[Finding]:
    look = "redis-cli INFO replication"
    if info.get("role") == "slave":
        primary = printable(f"{info.get('master_host', '')}:{info.get('master_port', '')}", 200)
        if info.get("master_link_status") != "up":
            down = _number(info, "master_link_down_since_seconds")
            yield _finding(
                "problem",
                f"This is a replica of {primary}, and the link is down{f' for {duration(down)}' if down > 0 else ''}.",
                look,
            )
        else:
            silent = _number(info, "master_last_io_seconds_ago")
            level = "notice" if silent >= BEHIND else "fine"
            yield _finding(level, f"This is a replica of {primary}, which was heard {silent} s ago.", look)
    offset = _number(info, "master_repl_offset")
    for number in range(_number(info, "connected_slaves")):
        replica = _pairs(info.get(f"slave{number}", ""))
        lag, behind = _number(replica, "lag"), max(0, offset - _number(replica, "offset"))
        state = printable(replica.get("state", "unknown"), 40)
        where = printable(f"{replica.get('ip', '')}:{replica.get('port', '')}", 200)
        level = "notice" if state != "online" or lag >= BEHIND else "fine"
        yield _finding(level, f"Replica {where} is {state}, {sized(behind)} behind, heard {lag} s ago.", look)


def _persistence(info: Mapping[str, str]) -> Iterator[Finding]:
    look = "redis-cli INFO persistence"
    if info.get("loading", "0") != "0":
        yield _finding("problem", "It is loading its data and answers little else.", look)
    failed = [
        ("rdb_last_bgsave_status", "The last snapshot could not be saved, and by default it refuses writes until one can."),
        ("aof_last_write_status", "The append-only file could not be written, and it refuses writes until it can."),
        ("aof_last_bgrewrite_status", "The last rewrite of the append-only file failed, so it grows."),
    ]
    for name, says in failed:
        if info.get(name, "ok") != "ok":
            yield _finding("problem", says, look)


def _use(info: Mapping[str, str]) -> Iterator[Finding]:
    hits, misses = _number(info, "keyspace_hits"), _number(info, "keyspace_misses")
    if lookups := hits + misses:
        level = "notice" if lookups >= LOOKUPS and hits / lookups < RARELY else "fine"
        yield _finding(
            level,
            f"{hits / lookups:.0%} of {counted(lookups, 'lookup')} since it was started found their key.",
            "redis-cli INFO stats",
        )
    for name in sorted(key for key in info if key.startswith("db") and key[2:].isdecimal()):
        database = _pairs(info[name])
        keys, expiring = _number(database, "keys"), _number(database, "expires")
        yield _finding("fine", f"Database {name[2:]} has {counted(keys, 'key')}, of which {expiring} expire.")


def _cluster(cluster: Mapping[str, str]) -> Iterator[Finding]:
    if not cluster:
        return
    well = cluster.get("cluster_state") == "ok"
    slots = f"{_number(cluster, 'cluster_slots_ok')} of 16384 slots are well"
    says = f"The cluster's state is {printable(cluster.get('cluster_state', 'unknown'), 40)}, {slots}, as this node sees it."
    yield _finding("fine" if well else "problem", says, "redis-cli CLUSTER NODES")


def _slow(facts: Facts, within: int) -> Iterator[Finding]:
    if facts.settings.get("slowlog-log-slower-than", "").startswith("-"):
        yield _finding("fine", "The slow log is off, so slow commands are not known.")
    recent = sorted((one for one in facts.slow if facts.now - one.at <= within), key=lambda one: -one.seconds)
    for one in recent[:SHOWN]:
        says = f"{printable(one.command, 40)} took {one.seconds * 1000:.1f} ms, {duration(max(0, facts.now - one.at))} ago."
        yield _finding("notice", says, "redis-cli SLOWLOG GET")


def _delays(facts: Facts, within: int) -> Iterator[Finding]:
    if facts.settings.get("latency-monitor-threshold") == "0":
        yield _finding("fine", "The latency monitor is off, so delays within the server are not known.")
    for one in facts.delays:
        if facts.now - one.at <= within and one.longest >= SLOW:
            last, longest = (f"{seconds * 1000:.0f} ms" for seconds in (one.seconds, one.longest))
            says = f"{printable(one.event, 40)} held it up for {last}, at the longest {longest}."
            yield _finding("notice", says, "redis-cli LATENCY DOCTOR")


KEPT = [
    "used_memory",
    "used_memory_rss",
    "maxmemory",
    "maxmemory_policy",
    "total_system_memory",
    "evicted_keys",
    "connected_clients",
    "maxclients",
    "blocked_clients",
    "rejected_connections",
    "role",
    "master_link_status",
    "connected_slaves",
    "rdb_last_bgsave_status",
    "aof_enabled",
    "aof_last_write_status",
    "aof_last_bgrewrite_status",
    "keyspace_hits",
    "keyspace_misses",
    "instantaneous_ops_per_sec",
    "uptime_in_seconds",
]


def kept(facts: Facts) -> dict[str, Any]:
    """The numbers behind the findings, as a record may hold them."""
    numbers = {name: printable(facts.info[name], 80) for name in KEPT if name in facts.info}
    slow = [one._asdict() for one in facts.slow]
    return {"info": numbers, "slow": slow, "delays": [one._asdict() for one in facts.delays], "not_asked": sorted(facts.unasked)}
