"""What ansible-test asks of every plugin and no other linter holds, so that it is known within a second."""

from __future__ import annotations

import ast
from importlib import import_module

import pytest
import yaml

from tests.conftest import ROOT


def test_an_unused_name_says_what_it_is() -> None:
    bare = []
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text()))
        lines = [node.lineno for node in nodes if isinstance(node, ast.Name) and node.id == "_" and isinstance(node.ctx, ast.Store)]
        bare += [f"{path.relative_to(ROOT)}:{line}" for line in sorted(lines)]
    assert bare == []


def test_every_role_has_a_page() -> None:
    assert [role.name for role in sorted((ROOT / "roles").iterdir()) if not (role / "README.md").is_file()] == []


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")))
def test_the_example_of_a_module_is_made_of_its_arguments(name: str) -> None:
    module = import_module(f"ansible_collections.irctl.runbooks.plugins.modules.{name}")
    documented = yaml.safe_load(module.DOCUMENTATION).get("options")
    arguments = getattr(module, "ARGUMENTS", documented)  # what is an action alone has only documented ones
    for task in yaml.safe_load(module.EXAMPLES):
        assert task[f"irctl.runbooks.{name}"].keys() - arguments.keys() == set()
