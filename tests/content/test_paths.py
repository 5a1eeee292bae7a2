"""Nothing asks Path.exists() and its like, which answer 'not there' where nobody could look: paths.py does not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.content.conftest import ROOT

METHODS = {"exists", "is_file", "is_dir", "is_symlink", "is_mount", "is_socket", "is_fifo", "is_block_device", "is_char_device"}
OF_OS_PATH = {"exists", "lexists", "isfile", "isdir", "islink", "ismount"}
ALONE = {  # files that are carried elsewhere without the rest, and what they ask for is no guard
    "irctl/record/contents.py",  # parts of verify.py, and that itself
    "irctl/record/signature_check.py",
    "irctl/record/verify.py",
    "plugins/module_utils/capture/log_writer.py",
}
FILES = [path for room in ("irctl", "plugins") for path in sorted((ROOT / room).rglob("*.py"))]


def forbidden(tree: ast.AST) -> list[int]:
    """The lines that ask in a way in which an error is a no."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [call.lineno for call in calls if _is_forbidden(call)]


def _is_forbidden(call: ast.Attribute) -> bool:
    owner = call.value
    if isinstance(owner, ast.Name) and owner.id == "paths":
        return False
    if isinstance(owner, ast.Attribute) and owner.attr == "path" and isinstance(owner.value, ast.Name) and owner.value.id == "os":
        return call.attr in OF_OS_PATH
    return call.attr in METHODS


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_whether_something_is_there_is_asked_of_the_kernel(path: Path) -> None:
    if str(path.relative_to(ROOT)) not in ALONE:
        assert not forbidden(ast.parse(path.read_text())), "ask module_utils/paths.py"


def test_the_rule_sees_what_it_forbids() -> None:
    bad = "a.exists()\n(a / b).is_file()\nos.path.lexists(a)\nf(a).is_symlink()\n"
    assert forbidden(ast.parse(f"{bad}paths.exists(a)\nentry.stat()\n")) == [1, 2, 3, 4]
