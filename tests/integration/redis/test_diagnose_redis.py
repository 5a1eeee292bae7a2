"""The diagnosis of Redis: what it says of a real server, what it could not ask, and that it changes nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure, Unreachable
from ansible_collections.irctl.runbooks.plugins.modules import redis_diagnosis
from tests.conftest import Irctl
from tests.servers.redis_servers import NEEDED, RedisServer, redis_server

pytestmark = NEEDED


DEFAULTS = {name: spec.get("default") for name, spec in redis_diagnosis.ARGUMENTS.items()}


def look(server: RedisServer, **more: Any) -> dict[str, Any]:
    return look_at({**server.variables, **more})


def look_at(variables: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in variables.items() if name in DEFAULTS}
    return redis_diagnosis.run(DEFAULTS | known, False)


def told(result: dict[str, Any], level: str) -> str:
    return " ".join(finding["says"] for finding in result["findings"] if finding["level"] == level)


def test_a_server_at_rest_has_nothing_to_worry_about_and_the_look_changed_nothing(command: Irctl, cache: RedisServer) -> None:
    client = cache.client()
    client.slowlog_reset()
    client.set("a", 1)
    client.config_resetstat()
    done = command("diagnose", "redis", "--host", "lab", "--json")
    assert done.host()["reason"].endswith(", primary: nothing to worry about"), done.out
    assert {finding["level"] for finding in done.host()["findings"]} == {"fine"}
    assert {*cache.commands()} <= {
        "info",
        "time",
        "slowlog|get",
        "latency|latest",
        "config|get",
        "auth",
        "client|setinfo",
        "config|resetstat",
    }


def test_it_says_what_is_not_well_and_no_value_of_a_slow_command() -> None:
    with redis_server("maxclients 12", "slowlog-log-slower-than 0") as server:
        client = server.client()
        client.set("filler", "x" * 3_000_000)
        client.set("token", "hunter2")
        client.config_set("slowlog-log-slower-than", 10_000_000)
        client.config_set("maxmemory", client.info("memory")["used_memory"] * 100 // 99)
        held = [server.client(single_connection_client=True) for _ in range(10)]
        result = look(server)
        for one in held:
            one.close()
        problems = told(result, "problem")
        assert "MiB memory are in use (" in problems
        assert "of 12 connections are in use" in problems
        assert "SET took" in told(result, "notice")
        assert "hunter2" not in str(result)
        assert "filler" not in str(result)


def test_a_replica_that_lost_its_primary_and_a_snapshot_that_failed_are_problems() -> None:
    with redis_server("replicaof 127.0.0.1 1") as server:
        client = server.client()
        (server.folder / "dump.rdb").mkdir()
        client.execute_command("BGSAVE")
        _until_failed(client)
        result = look(server)
        assert "This is a replica of 127.0.0.1:1, and the link is down" in told(result, "problem")
        assert "The last snapshot could not be saved" in told(result, "problem")
        assert result["msg"].endswith(", replica: 2 problems")


def _until_failed(client: Any) -> None:
    pause = threading.Event()
    for _attempt in range(500):
        if client.info("persistence")["rdb_last_bgsave_status"] == "err":
            return
        pause.wait(0.02)
    raise AssertionError("the snapshot did not fail")


def test_what_it_may_not_ask_is_named_and_it_never_says_that_all_is_well(cache: RedisServer) -> None:
    client = cache.client()
    client.acl_setuser("few", enabled=True, reset=True, passwords=["+few"], commands=["+info"])
    few = {"redis_username": "few", "redis_password_file": str(cache.password_file("few", "few"))}
    result = look(cache, **few)
    for question in ("TIME", "SLOWLOG GET 10", "LATENCY LATEST", "CONFIG GET maxclients"):
        assert f"{question} could not be asked" in told(result, "notice")
    assert "nothing to worry about" not in result["msg"]
    client.acl_setuser("few", enabled=True, reset=True, passwords=["+few"], commands=["+ping"])
    blind = look(cache, **few)
    assert "INFO could not be asked" in told(blind, "problem")
    assert blind["msg"].startswith("a server that does not say who it is: 1 problem")
    client.acl_deluser("few")


def test_renamed_commands_are_named() -> None:
    with redis_server('rename-command SLOWLOG ""', "rename-command LATENCY secret-latency") as server:
        result = look(server)
        assert "SLOWLOG GET 10 could not be asked" in told(result, "notice")
        assert "LATENCY LATEST could not be asked" in told(result, "notice")


def test_a_server_that_is_not_there_or_asks_for_a_password_is_told_apart() -> None:
    with redis_server() as server:
        server.client().acl_setuser("default", enabled=False)
        nobody = {"redis_username": None, "redis_password_file": None}
        with pytest.raises(Failure, match="asks for a password; name a file with it in redis_password_file"):
            look(server, **nobody)
        port = server.port
    nobody |= {"redis_port": port}
    with pytest.raises(Unreachable, match=rf"Redis at 127\.0\.0\.1:{port} does not answer"):
        look_at(nobody)
