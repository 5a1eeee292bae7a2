"""Who a server says it is, and where keys must not be changed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.redis import server_info
from ansible_collections.irctl.runbooks.plugins.module_utils.redis.server_info import ServerInfo

REDIS = b"# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:abc\r\n# Replication\r\nrole:master\r\n"
VALKEY = (
    b"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\nserver_mode:cluster\r\nrun_id:abc\r\nrole:master\r\n"
)


def info(text: bytes = REDIS, **more: Any) -> ServerInfo:
    return server_info.server_info(server_info.parsed(text))._replace(**more)


def test_redis_and_valkey_are_told_apart_and_so_are_their_versions_from_their_features() -> None:
    assert (info().title, info().features, info().mode) == ("Redis 7.0.15", (7, 0, 15), "standalone")
    assert (info(VALKEY).title, info(VALKEY).features, info(VALKEY).mode) == ("Valkey 9.1.2", (7, 2, 4), "cluster")


def test_a_server_is_another_after_a_restart_a_demotion_and_a_promotion() -> None:
    assert (
        len({info(**change).identity for change in ({"history": "y"}, {"process": "x"}, {"role": "slave"}, {"history": "x"})}) == 4
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mode": "sentinel"}, "10.0.0.1:1 is a Sentinel, which holds no keys"),
        ({"role": "slave", "primary": "10.0.0.2:6379"}, "10.0.0.1:1 is a replica of 10.0.0.2:6379. Name the primary"),
        ({"process": ""}, "10.0.0.1:1 does not say which server it is (run_id and role in INFO)"),
        ({"features": (3, 2, 1)}, "Redis 7.0.15 has no UNLINK"),
    ],
)
def test_where_keys_must_not_be_changed_is_said(change: dict[str, Any], sentence: str) -> None:
    [objection] = server_info.objections(info(**change), "10.0.0.1:1")
    assert objection.startswith(sentence)
    assert server_info.objections(info(), "10.0.0.1:1") == []


@pytest.mark.parametrize(
    ("features", "expected", "answer", "sentence"),
    [
        ((7, 0, 15), "ops", "ops", ""),
        ((7, 0, 15), "ops", "default", "irctl is logged in as default, and the inventory says ops."),
        ((7, 0, 15), "default", None, "Who is logged in cannot be asked, so nothing may be changed (ACL WHOAMI: no such command)."),
        ((), "default", None, "Who is logged in cannot be asked, so nothing may be changed (ACL WHOAMI: no such command)."),
        ((5, 0, 14), "default", None, ""),
        ((5, 0, 14), "ops", None, "Redis 7.0.15 knows no users, and redis_username is set."),
    ],
)
def test_who_is_logged_in_is_known_or_nothing_is_changed(
    features: tuple[int, ...], expected: str, answer: str | None, sentence: str
) -> None:
    reasons = server_info.user_objections(info(features=features), expected, answer, "no such command")
    assert reasons == ([sentence] if sentence else [])
