"""A plan's hash: the same for the same plan, another for one byte of difference in anything that would act."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from irctl.approvals import plan
from irctl.catalog import catalog
from irctl.catalog.content import Content

METADATA = {"kind": "remediation", "summary": "M", "service": "motd", "severity": "low", "impact": "None.", "reversible": False}
DEFINITION = METADATA | {"parameters": {"text": {"default": "hello"}, "size": {"type": "int"}}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("playbooks", "plugins/modules", "roles/motd/tasks", "roles/motd/meta"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "playbooks" / "motd.yml").write_text("- hosts: all\n  roles: [motd]\n")
    (tmp_path / "plugins" / "modules" / "m.py").write_text("module")
    (tmp_path / "roles" / "motd" / "tasks" / "main.yml").write_text("- m:\n")
    (tmp_path / "roles" / "motd" / "meta" / "remediation.yml").write_text(json.dumps(DEFINITION))
    return tmp_path


def planned(root: Path, hosts: dict[str, Any] | None = None, given: dict[str, Any] | None = None) -> dict[str, Any]:
    found = catalog.load("motd", [Content(root, "acme.books")])
    return plan.plan(found, plan.digest(found), {"a": {}} if hosts is None else hosts, given or {})


def test_the_same_plan_has_the_same_hash(root: Path) -> None:
    first = plan.hash_of(planned(root, {"a": {}, "b": {}}))
    assert first == plan.hash_of(planned(root, {"b": {}, "a": {}}))
    assert len(first) == 64


@pytest.mark.parametrize(
    "name",
    [
        "playbooks/motd.yml",
        "roles/motd/tasks/main.yml",
        "roles/motd/meta/remediation.yml",
        "plugins/modules/m.py",
    ],
)
def test_one_byte_in_anything_that_acts_is_another_plan(root: Path, name: str) -> None:
    before = plan.hash_of(planned(root))
    path = root / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert plan.hash_of(planned(root)) != before


def test_a_new_file_in_the_role_is_another_plan(root: Path) -> None:
    before = plan.hash_of(planned(root))
    (root / "roles" / "motd" / "tasks" / "more.yml").write_text("")
    assert plan.hash_of(planned(root)) != before


@pytest.mark.parametrize("name", ["roles/motd/README.md", "plugins/modules/__pycache__/m.cpython-311.pyc"])
def test_what_does_not_act_is_no_part_of_a_plan(root: Path, name: str) -> None:
    before = plan.hash_of(planned(root))
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("x")
    assert plan.hash_of(planned(root)) == before


@pytest.mark.parametrize(
    "other",
    [
        {"hosts": {"b": {}}},
        {"hosts": {"a": {}, "b": {}}},
        {"hosts": {}},
        {"hosts": {"a": {"motd_size": 3}}},
        {"given": {"motd_text": "hi"}},
    ],
)
def test_other_hosts_settings_or_parameters_are_another_plan(root: Path, other: dict[str, Any]) -> None:
    assert plan.hash_of(planned(root, **other)) != plan.hash_of(planned(root))


def test_what_was_typed_outweighs_the_inventory_and_the_inventory_the_default(root: Path) -> None:
    hosts = {"a": {}, "b": {"motd_text": "inventory"}}
    assert planned(root, hosts)["hosts"] == {"a": {"motd_text": "hello"}, "b": {"motd_text": "inventory"}}
    assert planned(root, hosts, {"motd_text": "typed"})["hosts"]["b"] == {"motd_text": "typed"}
