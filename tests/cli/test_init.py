"""irctl init: a first inventory and configuration that are in force at once, and nothing is ever written over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from tests.conftest import Irctl


def test_what_it_writes_is_in_force_at_once_and_is_its_owners_only(irctl: Irctl, tmp_path: Path) -> None:
    user = tmp_path / "user" / ".config" / "irctl"
    done = irctl("init", "--host", "db1", "--host", "here", IRCTL_INVENTORY="")
    assert (done.code, done.out.splitlines()[0]) == (0, f"written: {user}/config.yml"), done
    assert "irctl doctor --host db1" in done.out
    assert [oct((user / name).stat().st_mode & 0o777) for name in ("config.yml", "inventory/hosts.yml")] == ["0o600", "0o600"]
    tree = yaml.safe_load((user / "inventory" / "hosts.yml").read_text())
    assert list(tree["all"]["hosts"]) == ["db1", "here"]
    told = irctl("doctor", "--json", IRCTL_INVENTORY="").json["settings"]["inventory"]
    assert told == {"value": str(user / "inventory"), "origin": str(user / "config.yml")}


def test_what_is_there_stays_as_it_is_and_is_checked_all_the_same(irctl: Irctl, tmp_path: Path) -> None:
    (tmp_path / "mine" / "inventory").mkdir(parents=True)
    there = tmp_path / "mine" / "inventory" / "hosts.yml"
    there.write_text("all: {hosts: {web1: }}\n")
    done = irctl("init", "--dir", str(tmp_path / "mine"), "--host", "db1", "--json")
    assert (done.code, there.read_text()) == (0, "all: {hosts: {web1: }}\n")
    assert (done.json["written"], done.json["hosts"]) == ([str(tmp_path / "mine" / "config.yml")], ["web1"])
    again = irctl("init", "--dir", str(tmp_path / "mine"))
    assert (again.code, again.out.count("was there: ")) == (0, 2)
    other = irctl("init", "--dir", str(tmp_path / "mine"), "--host", "db1", "--host", "web1")
    assert f"not added: db1; what is there is never changed, so write it into {tmp_path}/mine/inventory yourself\n" in other.out
    assert f"export IRCTL_CONFIG={tmp_path}/mine/config.yml" in again.out
    there.write_text("all: [")
    broken = irctl("init", "--dir", str(tmp_path / "mine"))
    assert (broken.code, broken.err.startswith("error: --inventory: ")) == (2, True), broken


def test_a_name_that_is_no_host_is_refused_and_nothing_is_written(refused: Callable[..., str]) -> None:
    assert refused("init", "--host", "all").startswith("--host: nothing ever means every host")
    assert refused("init", "--dir", "/proc/nosuch").startswith("--dir: ")
