"""clear-rate-limit on a real Redis: exactly the keys of the prefix, on exactly the server that was looked at. HAZARDS D27, D28."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Undecided
from ansible_collections.irctl.runbooks.plugins.module_utils.redis import key_scan
from ansible_collections.irctl.runbooks.plugins.modules import redis_keys
from tests.conftest import Irctl
from tests.integration.redis.conftest import arguments, cleared, listed
from tests.servers.redis_servers import NEEDED, RedisServer, redis_server

pytestmark = NEEDED
DENIED = ("keys", "flushall", "flushdb")


def fill(server: RedisServer, *names: str | bytes, value: int = 117, seconds: int = 600) -> None:
    pipeline = server.client().pipeline(transaction=False)
    for name in names:
        pipeline.set(name, value, ex=seconds)
    pipeline.execute()


def keys(server: RedisServer) -> set[bytes]:
    return set(server.client().keys("*"))


def test_exactly_the_keys_of_the_prefix_go_of_a_hundred_thousand_and_once(command: Irctl, cache: RedisServer) -> None:
    client = cache.client()
    for start in range(0, 100_000, 10_000):
        client.mset({f"session:{number}": "x" for number in range(start, start + 10_000)})
    fill(cache, *(f"ratelimit:{number}" for number in range(1000)), "ratelimit", "ratelimitx:1", "Ratelimit:1", "xratelimit:1")
    client.config_resetstat()
    dry = command("remediate", "clear-rate-limit", "--host", "lab", "--json", "--check")
    assert (dry.json["outcome"], client.dbsize()) == ("changed", 101_004)
    done = command("remediate", "clear-rate-limit", "--host", "lab", "--json")
    assert done.host()["reason"] == "1000 keys removed, none is as it was", done.out
    assert client.dbsize() == 100_004
    assert not list(client.scan_iter("ratelimit:*", count=10_000))
    used = cache.commands()
    assert not {*DENIED, "del"} & {*used}
    assert used["unlink"] == 2, "five hundred keys in one command"
    evidence = Path(done.json["folder"]) / "evidence" / "lab"
    rows = json.loads((evidence / "keys-before.json").read_text())
    assert (len(rows), {row["value"] for row in rows}) == (1000, {"117"})
    assert done.host()["affected"]["count"] == 1000
    again = command("remediate", "clear-rate-limit", "--host", "lab", "--json")
    assert again.json["outcome"] == "unchanged"


def test_the_scan_looks_at_a_thousand_keys_in_one_step(cache: RedisServer) -> None:
    cache.client().mset({f"session:{number}": "x" for number in range(20_000)})
    cache.client().config_resetstat()
    assert listed(cache)["number"] == 0
    assert cache.commands()["scan"] <= 33  # 32768 slots of the table


def test_the_letters_of_a_prefix_stand_for_no_others(cache: RedisServer) -> None:
    prefix = "a*b?[xy]\\^-"
    spared = ["axb1x-", "aab?x\\^-", "a*b?x\\^-", "a*b?[xy]\\^", "a*b?[xy]^-1"]
    fill(cache, *spared, *(f"{prefix}{number}" for number in range(5)), prefix)
    assert cleared(cache, prefix=prefix)["removed"] == 6
    assert keys(cache) == {name.encode() for name in spared}


def test_names_that_are_no_text_go_too_and_are_kept_with_escapes(cache: RedisServer) -> None:
    strange = [b"ratelimit:\xff\x00", "ratelimit:\u202e".encode(), b"ratelimit:a\nb"]
    fill(cache, *strange)
    selection = listed(cache)["selection"]
    rows = redis_keys.run(arguments(cache, state="described", selection=selection), False)["affected"]
    assert [row["key"] for row in rows] == ["ratelimit:a\\nb", "ratelimit:\\u202e", "ratelimit:\\xff\\x00"]
    assert cleared(cache)["removed"] == 3
    assert not keys(cache)


def test_only_the_users_that_are_named_are_let_through(cache: RedisServer) -> None:
    spared = ["ratelimit:alice2", "ratelimit:al", "ratelimit:bob:alice"]
    fill(cache, "ratelimit:alice", "ratelimit:alice:/query", "ratelimit:eve:1", *spared)
    assert cleared(cache, user=["alice", "eve"])["removed"] == 3
    assert keys(cache) == {name.encode() for name in spared}


def test_more_keys_than_the_limit_are_refused_and_left(command: Irctl, cache: RedisServer) -> None:
    fill(cache, *(f"ratelimit:{number}" for number in range(11)))
    refused = command("remediate", "clear-rate-limit", "--host", "lab", "--json", "--max", "10")
    assert (refused.code, refused.json["outcome"]) == (5, "refused")
    assert refused.host()["reason"] == "More than 10 keys match and the limit is 10. Narrow it, or raise --max."
    assert len(keys(cache)) == 11
    selection = listed(cache)["selection"]
    with pytest.raises(Failure, match="11 keys were named and the limit is 10"):
        redis_keys.run(arguments(cache, state="removed", selection=selection, max=10), False)
    with pytest.raises(ValueError, match="other keys than those of the prefix"):
        redis_keys.run(arguments(cache, state="removed", selection=selection, prefix="session:"), False)
    assert len(keys(cache)) == 11


def test_every_kind_of_value_is_kept_cut_and_without_secrets(cache: RedisServer) -> None:
    client = cache.client()
    client.zadd("ratelimit:window", {"a": 1})
    client.set("ratelimit:json", '{"user": "alice", "password": "hunter2hunter2"}')
    client.set("ratelimit:long", "x" * 5000)
    selection = listed(cache)["selection"]
    result = redis_keys.run(arguments(cache, state="described", selection=selection), False)
    [text, long, window] = json.loads(result["evidence"]["keys-before.json"])
    assert (window["type"], window["value"], window["expires_seconds"]) == ("zset", None, None)
    assert "alice" in text["value"]
    assert "hunter2" not in text["value"]
    assert len(long["value"]) == 120
    assert cleared(cache)["removed"] == 3


def test_what_is_written_again_is_told_from_what_was_never_gone(cache: RedisServer) -> None:
    fill(cache, "ratelimit:1", "ratelimit:2")
    cache.client().set("ratelimit:forever", 5)
    selection = listed(cache)["selection"]
    marked = redis_keys.run(arguments(cache, state="described", selection=selection), False)["selection"]
    with pytest.raises(Failure, match="2 keys of those that were to be removed are as they were, such as ratelimit:1"):
        listed(cache, selection=marked)
    assert redis_keys.run(arguments(cache, selection=marked), True)["msg"] == "not done in a dry run"
    cache.client().unlink("ratelimit:1", "ratelimit:2")
    with pytest.raises(Undecided, match="1 key hold what they held before"):
        listed(cache, selection=marked)
    fill(cache, "ratelimit:1", seconds=900)
    cache.client().set("ratelimit:forever", 1)
    assert listed(cache, selection=marked)["msg"] == "none is as it was, 2 keys written again since"


def test_who_is_logged_in_is_asked_before_anything_is_written(cache: RedisServer) -> None:
    """D28: a client whose login was refused may go on as default, and may delete."""
    fill(cache, "ratelimit:1")
    wrong = str(cache.password_file("wrong", "not it"))
    with pytest.raises(Failure, match=r"refused the login: invalid username-password pair or user is disabled\."):
        listed(cache, redis_password_file=wrong)
    nobody = {"redis_username": None, "redis_password_file": None}
    assert listed(cache, **nobody)["refusals"] == []  # who names nobody means default
    client = cache.client()
    client.acl_setuser("blind", enabled=True, passwords=["+blind"], keys=["*"], commands=["+@all", "-acl|whoami"])
    blind = {"redis_username": "blind", "redis_password_file": str(cache.password_file("blind", "blind"))}
    [refusal] = listed(cache, **blind)["refusals"]
    assert refusal.startswith("Who is logged in cannot be asked, so nothing may be changed (ACL WHOAMI: ")
    assert client.exists("ratelimit:1")
    client.acl_deluser("blind")


@pytest.mark.parametrize(
    ("commands", "keys_", "sentence"),
    [
        (["+@all", "-unlink"], "*", "cannot be removed (UNLINK). Redis said: "),
        (["+@all"], "session:*", "cannot be removed (UNLINK). Redis said: "),
    ],
)
def test_who_may_not_remove_is_refused_before_anything_is_tried(
    cache: RedisServer, commands: list[str], keys_: str, sentence: str
) -> None:
    fill(cache, "ratelimit:1")
    client = cache.client()
    client.acl_setuser("few", enabled=True, reset=True, passwords=["+few"], keys=[keys_], commands=commands)
    few = {"redis_username": "few", "redis_password_file": str(cache.password_file("few", "few"))}
    [refusal] = listed(cache, **few)["refusals"]
    assert sentence in refusal
    assert (client.exists("ratelimit:1"), "unlink" in cache.commands()) == (1, False)
    client.acl_deluser("few")


@pytest.mark.parametrize(
    ("commands", "sentence"),
    [
        (["+@all", "-info"], "does not say who it is, so nothing may be done there. INFO: "),
        (["+@all", "-scan"], "cannot be looked at (SCAN). Redis said: "),
        (["+@all", "-getrange"], "The key ratelimit:1 cannot be read, so nothing of it could be kept as evidence."),
    ],
)
def test_what_cannot_be_asked_is_told_and_nothing_is_guessed(cache: RedisServer, commands: list[str], sentence: str) -> None:
    fill(cache, "ratelimit:1")
    client = cache.client()
    client.acl_setuser("few", enabled=True, reset=True, passwords=["+few"], keys=["*"], commands=commands)
    few = {"redis_username": "few", "redis_password_file": str(cache.password_file("few", "few"))}
    with pytest.raises(Failure) as told:
        cleared(cache, **few)
    assert sentence in str(told.value)
    assert client.exists("ratelimit:1")
    client.acl_deluser("few")


def test_renamed_commands_are_told_and_nothing_is_guessed() -> None:
    with redis_server('rename-command UNLINK ""', 'rename-command ACL ""') as server:
        fill(server, "ratelimit:1")
        [refusal] = listed(server)["refusals"]
        assert refusal.startswith("Who is logged in cannot be asked, so nothing may be changed (ACL WHOAMI: ")
        assert server.client().exists("ratelimit:1")


def test_a_replica_is_refused_and_a_failover_between_two_phases_too(cache: RedisServer) -> None:
    primary = [f"replicaof 127.0.0.1 {cache.port}", "masteruser admin", "masterauth test-admin", "replica-read-only no"]
    with redis_server(*primary) as replica:
        fill(cache, "ratelimit:1")
        _in_step(cache, replica)
        [refusal] = listed(replica)["refusals"]
        assert f"is a replica of 127.0.0.1:{cache.port}. Name the primary" in refusal
        with pytest.raises(Undecided, match="is a replica of"):
            redis_keys.run(arguments(replica, state="proved", prefix="nosuch:"), False)
        replica.client().replicaof("NO", "ONE")
        selection = listed(replica)["selection"]
        replica.client().replicaof("127.0.0.1", cache.port)
        replica.client().replicaof("NO", "ONE")
        with pytest.raises(Failure, match="was restarted or failed over since the keys were looked at; run it again"):
            redis_keys.run(arguments(replica, state="removed", selection=selection), False)
        assert replica.client().exists("ratelimit:1")


def _in_step(primary: RedisServer, replica: RedisServer) -> None:
    assert primary.client().execute_command("WAIT", 1, 20_000) == 1
    assert replica.client().exists("ratelimit:1")


def test_a_scan_begins_anew_where_the_server_fails_over_under_it(cache: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """D27: a cursor that goes on at another history of the data misses keys, without an error."""
    fill(cache, *(f"ratelimit:{number}" for number in range(100)))
    failovers = iter([True, False])
    names = key_scan._names

    def under_way(server, wanted):  # type: ignore[no-untyped-def]
        yield from names(server, wanted)
        if next(failovers, False):
            cache.client().replicaof("127.0.0.1", 1)
            cache.client().replicaof("NO", "ONE")

    monkeypatch.setattr(key_scan, "_names", under_way)
    cache.client().config_resetstat()
    assert listed(cache)["number"] == 100
    assert cache.commands()["scan"] == 2
    failovers = iter([True] * 9)
    with pytest.raises(Undecided, match="failed over, or their slots moved on, during each of 3 scans"):
        redis_keys.run(arguments(cache, state="proved"), False)


def test_a_scan_begins_anew_where_its_connection_is_cut(cache: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(cache, "ratelimit:1")
    cuts = iter([True])
    names = key_scan._names

    def cut(server, wanted):  # type: ignore[no-untyped-def]
        if next(cuts, False):
            cache.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "USER", "ops")
        yield from names(server, wanted)

    monkeypatch.setattr(key_scan, "_names", cut)
    assert listed(cache)["number"] == 1


def test_its_proof_fails_while_somebody_is_counted(command: Irctl, cache: RedisServer) -> None:
    fill(cache, "ratelimit:1")
    with pytest.raises(Failure, match=r"1 key begins with ratelimit:, Redis [0-9.]+\."):
        redis_keys.run(arguments(cache, state="proved"), False)
    assert redis_keys.run(arguments(cache, state="proved", prefix="policy:"), False)["number"] == 0


def test_a_drill_is_fixed_and_what_only_looks_like_the_fault_is_spared(command: Irctl, cache: RedisServer) -> None:
    done = command("drill", "run", "clear-rate-limit", "--host", "lab", "--json")
    [drill] = done.json["drills"]
    assert drill["verdict"] == "fixed", done.out
    assert "decoy" in [step["step"] for step in drill["steps"]]
    assert not keys(cache)
