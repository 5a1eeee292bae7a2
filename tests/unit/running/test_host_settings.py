"""What of an inventory a plan shows: places and names as they are, whatever may be a secret as its fingerprint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from irctl.running import host_settings

SECRETS: list[tuple[str, Any]] = [
    ("ansible_become_password", "hunter2"),
    ("ansible_ssh_pass", "hunter2"),
    ("ansible_ssh_private_key_passphrase", "hunter2"),
    ("shop_api_key", "hunter2"),
    ("db_password_old", "hunter2"),
    ("SMTP_CREDENTIALS", {"name": "hunter2"}),
    ("shop", {"token": "hunter2"}),
    ("shop", [{"token": "hunter2"}]),
    ("database_url", "postgresql://app:hunter2@db1/shop"),
]
PLAIN: list[tuple[str, Any]] = [
    ("ansible_host", "10.0.0.5"),
    ("ansible_user", "ops"),
    ("ansible_become_method", "sudo"),
    ("ansible_ssh_private_key_file", "/home/ana/.ssh/id"),
    ("ansible_host_key_checking", "True"),
    ("ansible_become_password", ""),
    ("ansible_become_password", None),
    ("aws_credentials_file", "/etc/aws"),
    ("postgres_passfile", "/etc/pgpass"),
    ("block_ip_allow_private", True),
    ("store_url", "https://store.example.com:9000/a@b"),
    ("shop", {"port": 5432, "names": ["a", "b"]}),
]


@pytest.mark.parametrize(("name", "value"), SECRETS)
def test_what_may_be_a_secret_is_a_fingerprint_and_another_one_is_another(name: str, value: Any) -> None:
    shown = str(host_settings._shown(name, value))
    assert "hunter2" not in shown
    assert "a secret with the fingerprint " in shown
    other = json.loads(json.dumps(value).replace("hunter2", "hunter3"))
    assert str(host_settings._shown(name, other)) != shown
    assert str(host_settings._shown(name, value)) == shown


@pytest.mark.parametrize(("name", "value"), PLAIN)
def test_what_says_where_and_how_is_shown_as_it_is(name: str, value: Any) -> None:
    assert host_settings._shown(name, value) == value


def test_a_template_is_found_wherever_it_stands() -> None:
    assert host_settings._is_template({"a": ["x", "{{ y }}"]})
    assert not host_settings._is_template({"a": ["x", "{ y }"], "b": 3})
