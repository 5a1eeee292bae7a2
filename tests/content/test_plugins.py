"""What ansible-test asks of every plugin and no other linter holds, so that it is known within a second."""

from __future__ import annotations

import ast

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
