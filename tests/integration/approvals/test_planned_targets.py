"""What was approved is where it runs, as whom and with which values; the inventory may not move it afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from irctl.errors import INVALID
from tests.integration.approvals.conftest import Office

LOCAL = {"ansible_connection": "local"}
TEMPLATE = {"ansible_host": "{{ site }}"}
HERE = " of here is "  # in the sentence that names what is another now


def inventory(to: Office, group: dict[str, Any] | None = None, **host: Any) -> None:
    """What the inventory says of the host, and of the group that it is in."""
    hosts = {"here": {**LOCAL, **host}, "there": LOCAL}
    both = {"hosts": {"here": {}, "there": {}}, "vars": group or {}}
    to.collection.irctl.inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "children": {"both": both}}}))


MOVED = {
    "another address": ({"ansible_host": "10.0.0.5"}, {"ansible_host": "10.0.0.6"}),
    "an address that was not said": ({}, {"ansible_host": "10.0.0.6"}),
    "another connection": ({}, {"ansible_connection": "ssh"}),
    "another interpreter": ({"ansible_python_interpreter": "/usr/bin/python3"}, {"ansible_python_interpreter": "/tmp/python"}),
    "another user to become": ({"ansible_become_user": "app"}, {"ansible_become_user": "root"}),
    "another password": ({"ansible_become_password": "one"}, {"ansible_become_password": "two"}),
    "another shell": ({}, {"ansible_shell_executable": "/tmp/sh"}),
    "another value of a template": (
        {"ansible_host": "{{ site }}", "site": "10.0.0.5"},
        {"ansible_host": "{{ site }}", "site": "10.0.0.6"},
    ),
    "another variable that the role reads": ({"freeze_depth": 1}, {"freeze_depth": 2}),
    "other brackets of a template": (
        {"ansible_host": "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n[[ site ]]", "site": "10.0.0.5"},
        {"ansible_host": "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n[[ site ]]", "site": "10.0.0.6"},
    ),
    "another option": ({"freeze_level": "{{ depth }}", "depth": 2}, {"freeze_level": "{{ depth }}", "depth": 3}),
}


@pytest.mark.parametrize("change", MOVED)
def test_an_inventory_that_was_changed_after_the_approval_voids_it(office: Office, change: str) -> None:
    tasks = office.collection.root / "roles" / "freeze" / "tasks" / "main.yml"
    tasks.write_text(tasks.read_text() + "# reads freeze_depth\n")
    before, after = MOVED[change]
    inventory(office, **before)
    plan = office.approved()
    inventory(office, **after)
    office.refused(office.run("--plan", plan), HERE)


def test_a_variable_whose_name_a_role_puts_together_is_in_the_plan(office: Office) -> None:
    tasks = office.collection.root / "roles" / "freeze" / "tasks" / "main.yml"
    tasks.write_text(tasks.read_text() + "# {{ lookup('vars', 'shop_' ~ 'port') }}\n")
    inventory(office, shop_port="{{ nobody_knows }}")
    before = _planned(office)
    inventory(office, shop_port="{{ nobody_knows_that }}")
    assert _planned(office) != before


def _planned(office: Office) -> str:
    done = office.by("ana@example.com", "plan", "freeze", "--host", "here", "--json")
    assert done.code == 0, done.err
    return str(done.json["plan_hash"])


def test_a_localhost_that_the_inventory_has_and_tasks_are_delegated_to_is_in_the_plan(office: Office) -> None:
    tasks = office.collection.root / "roles" / "freeze" / "tasks" / "main.yml"
    look = {"name": "Gather | Here", "ansible.builtin.command": "true", "changed_when": False, "delegate_to": "localhost"}
    tasks.write_text(yaml.safe_dump([{**look, "check_mode": False}]) + tasks.read_text())

    def planned(**localhost: str) -> str:
        hosts = {"here": LOCAL, "localhost": {**LOCAL, **localhost}}
        office.collection.irctl.inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        return _planned(office)

    assert planned() != planned(ansible_python_interpreter="/usr/bin/python3")


def test_where_an_inventory_lies_is_in_the_plan_of_a_role_that_asks(office: Office, tmp_path: Path) -> None:
    tasks = office.collection.root / "roles" / "freeze" / "tasks" / "main.yml"
    tasks.write_text(tasks.read_text() + "# {{ inventory_dir }}/files\n")
    before, path = _planned(office), office.collection.irctl.inventory
    (tmp_path / "copy").mkdir()
    office.collection.irctl.inventory = path.rename(tmp_path / "copy" / path.name)
    assert _planned(office) != before


def test_what_a_group_says_counts_too(office: Office) -> None:
    inventory(office, {"ansible_user": "app"})
    plan = office.approved()
    inventory(office, {"ansible_user": "root"})
    office.refused(office.run("--plan", plan), HERE)


def test_what_a_role_reads_of_groups_and_other_hosts_and_a_plugin_of_variables_is_in_the_plan(office: Office) -> None:
    root, file = office.collection.root, office.collection.irctl.inventory
    tasks = root / "roles" / "freeze" / "tasks" / "main.yml"
    tasks.write_text(tasks.read_text() + "# group_names hostvars acme.fixes.zap\n")
    (root / "plugins" / "action").mkdir(parents=True, exist_ok=True)
    (root / "plugins" / "action" / "zap.py").write_text("PORT = 'zap_port'\n")

    def plan(group: str, port: int, there: str) -> str:
        hosts = {"here": {**LOCAL, "zap_port": port}, "there": {**LOCAL, "ansible_host": there, "x": "{{ nobody_knows }}"}}
        file.write_text(yaml.safe_dump({"all": {"hosts": hosts, "children": {group: {"hosts": {"here": {}}}}}}))
        done = office.by("ana@example.com", "plan", "freeze", "--host", "here", "--json")
        assert done.code == 0, done.err
        return str(done.json["plan_hash"])

    states = [("primary", 1, "10.0.0.1"), ("replica", 1, "10.0.0.1"), ("primary", 2, "10.0.0.1"), ("primary", 1, "10.0.0.2")]
    assert len({plan(*state) for state in states}) == len(states)
    assert plan(*states[0]) == plan(*states[0])


def test_an_inventory_that_says_the_same_runs(office: Office) -> None:
    inventory(office, ansible_become_user="app", freeze_level="{{ depth }}", depth=2)
    plan = office.approved()
    done = office.run("--plan", plan)
    assert (done.code, office.ran) == (0, True), done


def test_who_approves_sees_where_it_runs_and_no_password(office: Office) -> None:
    inventory(office, ansible_host="10.0.0.5", ansible_become_password="hunter2")
    plan = office.ask()
    shown = office.by("ben@example.com", "approve", plan, "--as", "incident-commander", "--yes").out
    assert '"10.0.0.5"' in shown
    assert "a secret with the fingerprint" in shown
    kept = [path.read_text(errors="replace") for path in Path(office.home).rglob("*") if path.is_file()]
    assert not [text for text in [shown, *kept] if "hunter2" in text]


def test_what_a_lookup_gives_is_planned_and_used_as_it_was_planned(office: Office) -> None:
    """A value that is another each time it is asked for is asked for once."""
    counter = office.folder / "asked"
    inventory(office, freeze_level="{{ lookup('pipe', 'echo x >> " + str(counter) + "; wc -l < " + str(counter) + "') | int }}")
    done = office.by("ana@example.com", "plan", "freeze", "--host", "here", "--json")
    assert done.code == 0, done
    assert json.loads(done.out)["hosts"]["here"]["freeze_level"] == 1
    assert counter.read_text() == "x\n"


def test_what_cannot_be_resolved_is_refused_before_anything_is_run(office: Office) -> None:
    inventory(office, ansible_host="{{ nowhere_said }}")
    office.refused(office.run("--host", "here"), "inventory: ansible_host of here cannot be resolved before the run", INVALID)
