"""Which hosts an order is for, and the refusals before anything is run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from irctl.catalog.definition import Option
from irctl.errors import Invalid, NoTarget, Refused
from irctl.orders import preconditions
from tests.unit.orders.test_order import order


def inventory(**parts: Any) -> dict[str, Any]:
    return {"unknown": [], "empty": [], "unresolved": [], "known": ["db1", "db2"], "hosts": {}, **parts}


def test_a_name_that_is_nowhere_is_an_error_that_says_what_is_near() -> None:
    with pytest.raises(NoTarget, match=r"not in the inventory\. Did you mean db1"):
        preconditions.targets(order(), inventory(unknown=["db11"]))


def test_the_inventory_that_lacks_a_name_is_told() -> None:
    with pytest.raises(NoTarget, match=r"not in the inventory\. The inventory is /etc/hosts\.yml \(got 'zzz'\)"):
        preconditions.targets(order(), inventory(unknown=["zzz"]), Path("/etc/hosts.yml"))


def test_what_nobody_can_type_is_to_be_set_in_the_inventory() -> None:
    option = Option(variable="x_name", flag="--name", type="str", description="", required=True, example="shop")
    wanted = order(entry_point="fault")
    wanted = replace(wanted, remediation=replace(wanted.remediation, options=(option,)))
    with pytest.raises(Invalid, match=r"^x_name: it must be set in the inventory of db1$"):
        preconditions.targets(wanted, inventory(hosts={"db1": {}}))
    with pytest.raises(Invalid, match=r"^--name: it must be given, such as --name shop, or x_name set in the inventory of db1$"):
        preconditions.targets(replace(wanted, entry_point="main"), inventory(hosts={"db1": {}}))


def test_a_group_without_hosts_is_an_error() -> None:
    with pytest.raises(NoTarget, match="the group has no hosts"):
        preconditions.targets(order(), inventory(empty=["db1"]))


def test_every_host_of_a_drill_is_marked_and_the_mark_is_no_part_of_its_settings() -> None:
    allowed, bare = {"irctl_drills": "allowed", "x": 1}, {"irctl_drills": "{{ 'allowed' }}"}
    assert preconditions.targets(order(drill=True), inventory(hosts={"a": allowed})) == {"a": {"x": 1}}
    with pytest.raises(Refused, match="does not mark b and 1 more with irctl_drills: allowed; nothing was run"):
        preconditions.targets(order(drill=True), inventory(hosts={"a": allowed, "b": bare, "c": {}}))
    assert preconditions.targets(order(), inventory(hosts={"b": bare})) == {"b": bare}


def test_what_is_required_is_typed_or_stands_in_the_inventory_of_each_host() -> None:
    option = Option("x_name", "--name", "str", "Which.", required=True, example="shop")
    asked = order()
    asked = replace(asked, remediation=replace(asked.remediation, options=(option,)))
    hosts = inventory(hosts={"a": {"x_name": "here"}, "b": {"x_name": ""}, "c": {}})
    with pytest.raises(Invalid, match=r"--name: it must be given, such as --name shop, or x_name set in the inventory of b, c$"):
        preconditions.targets(asked, hosts)
    assert preconditions.targets(replace(asked, given={"x_name": "there"}), hosts).keys() == {"a", "b", "c"}
    assert preconditions.targets(asked, inventory(hosts={"a": {"x_name": "here"}})).keys() == {"a"}


@pytest.mark.parametrize("names", [["a,b", "a_b"], [".."], ["x", "."]])
def test_no_two_hosts_keep_their_evidence_in_one_folder_and_none_outside(names: list[str]) -> None:
    with pytest.raises(Refused, match="the folder of"):
        preconditions.targets(order(), inventory(hosts={name: {} for name in names}))
    assert [*preconditions.targets(order(), inventory(hosts={"a,b": {}, "!x": {}}))] == ["a,b", "!x"]


def test_in_a_home_to_which_everybody_may_add_nothing_is_begun_but_what_cannot_wait(tmp_path: Path) -> None:
    for mode in (0o777, 0o1777):
        tmp_path.chmod(mode)
        with pytest.raises(Invalid, match=r"--home: .*everybody"):
            preconditions.require(order(), tmp_path)
        preconditions.require(order(urgent=True), tmp_path)
    tmp_path.chmod(0o770)
    preconditions.require(order(), tmp_path)


def test_what_is_undone_is_undone_where_it_was_done() -> None:
    then = {"postgres_host": "db", "postgres_user": "ops", "ansible_user": "ana"}
    undoing = order(made_on={"lab": then}, reverts="R")
    assert preconditions.targets(undoing, inventory(hosts={"lab": {**then, "postgres_user": "bob", "ansible_user": "bob"}}))
    assert preconditions.targets(undoing, inventory(hosts={"lab": {"ansible_user": "ana"}})), "the undoing reads no such variable"
    for now in ({"postgres_host": "other"}, {"ansible_host": "other"}, {"ansible_connection": "local"}, {"ansible_ssh_port": 1}):
        with pytest.raises(NoTarget, match=f"lab is elsewhere by now: its {next(iter(now))} is"):
            preconditions.targets(undoing, inventory(hosts={"lab": {**then, **now}}))
