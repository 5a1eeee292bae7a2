"""What a plan shows of a value in which a password stands, whatever its variable is called."""

from __future__ import annotations

from typing import Any

import pytest

from irctl.orders.masked import masked


@pytest.mark.parametrize(
    "value",
    [
        "host=db1 password=hunter2",
        "postgresql://db1/shop?password=hunter2",
        "-o ProxyCommand='sshpass -p hunter2 ssh -W %h:%p bastion'",
        {"hooks": ["https://hooks.example.com/x?token=hunter2"]},
    ],
)
def test_it_is_not_shown_and_another_one_is_another(value: Any) -> None:
    shown = masked("shop", value)
    assert ("hunter2" in str(shown), "*** is a secret; the fingerprint of all of it is " in str(shown)) == (False, True)
    assert masked("shop", value) == shown
    changed = {"hooks": ["https://hooks.example.com/x?token=hunter3"]} if isinstance(value, dict) else value.replace("2", "3")
    assert masked("shop", changed) != shown


def test_the_rest_of_it_is_shown() -> None:
    shown = masked("ansible_ssh_common_args", "-o ProxyCommand='sshpass -p hunter2 ssh -W %h:%p bastion'")
    assert shown.startswith("-o ProxyCommand='sshpass -p *** ssh -W %h:%p bastion', where ")


@pytest.mark.parametrize("value", ["10.0.0.5", "/etc/pgpass", 5432, None, ["a", {"b": True}], "a secret with the fingerprint 0af3"])
def test_what_is_no_secret_is_shown_as_it_is(value: Any) -> None:
    assert masked("shop", value) == value
