"""Each room imports only what it may, nothing imports in a circle, and what is foreign is imported in one place."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.content.conftest import ROOT

PACKAGE = ROOT / "irctl"
UTILS = ROOT / "plugins" / "module_utils"
SHARED = "ansible_collections.irctl.runbooks.plugins.module_utils"
BASE = {"catalog", "record"}
ROOMS = {  # what each room of irctl may import beside itself and errors.py
    "catalog": set(),
    "content": {"catalog"},
    "record": set(),
    "running": BASE,
    "lab": BASE,
    "incidents": BASE,
    "approvals": BASE | {"incidents"},
    "leases": BASE | {"incidents"},
    "orders": BASE | {"incidents", "approvals", "leases", "running"},
    "drills": BASE | {"incidents", "approvals", "leases", "running", "orders"},
}
ROOMS["cli"] = {*ROOMS}
UTIL_ROOMS = {  # the same below module_utils, where the files of no room are for all
    "archive": {"arguments", "aws", "kinds"},
    "arguments": set(),
    "aws": {"arguments"},
    "capture": {"kinds"},
    "certificates": {"kinds", "nginx"},
    "edge": {"aws", "nginx"},
    "host": set(),
    "kinds": set(),
    "nginx": set(),
    "postgres": {"arguments"},
    "redis": {"capture"},
}


def imported(path: Path) -> Iterator[str]:
    """The full names of all that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name the whole path"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def files(root: Path) -> dict[str, Path]:
    """Each Python file below root, by its dotted name there; a folder's __init__.py by the folder's."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def graph(root: Path, prefix: str) -> dict[str, set[str]]:
    """Which file below root imports which others there, by dotted names."""
    known = files(root)
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        found[name] = set()
        for one in imported(path):
            if one.startswith(f"{prefix}."):
                target = one.removeprefix(f"{prefix}.")
                found[name].add(target if target in known else target.rpartition(".")[0])
    return found


def room(name: str) -> str:
    """The room of a file, or '' for a file of no room."""
    return name.split(".")[0] if "." in name else ""


@pytest.mark.parametrize(("root", "prefix", "rooms"), [(PACKAGE, "irctl", ROOMS), (UTILS, SHARED, UTIL_ROOMS)])
def test_a_room_imports_only_what_it_may(root: Path, prefix: str, rooms: dict[str, set[str]]) -> None:
    assert {path.name for path in root.iterdir() if path.is_dir() and list(path.rglob("*.py"))} == {*rooms}
    for name, targets in graph(root, prefix).items():
        for target in targets:
            if room(target) and room(name) != room(target) and name != "__main__":
                assert room(target) in rooms.get(room(name), set()), f"{name} imports {target}"


@pytest.mark.parametrize(("root", "prefix"), [(PACKAGE, "irctl"), (UTILS, SHARED)])
def test_no_file_imports_itself_by_way_of_others(root: Path, prefix: str) -> None:
    graphlib.TopologicalSorter({name: targets - {name} for name, targets in graph(root, prefix).items()}).prepare()


def test_a_circle_within_a_room_is_found(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "one.py").write_text("from place.room import two\n")
    (tmp_path / "room" / "two.py").write_text("def late():\n    from place.room.one import something\n")
    with pytest.raises(graphlib.CycleError):
        test_no_file_imports_itself_by_way_of_others(tmp_path, "place")


def test_each_room_says_what_it_is_for() -> None:
    for name in ROOMS:
        assert ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text())), name


def users_of(package: str) -> set[str]:
    return {name for name, path in files(PACKAGE).items() if any(one.split(".")[0] == package for one in imported(path))}


def test_click_stays_where_people_are_talked_to() -> None:
    assert {room(name) for name in users_of("click")} == {"cli"}
    assert users_of("rich") == {"cli.progress"}


def test_ansible_runner_is_imported_by_the_engine_only() -> None:
    assert users_of("ansible_runner") == {"running.engine"}
    plugins = {path for path in (ROOT / "plugins").rglob("*.py") if any(one.startswith("ansible_runner") for one in imported(path))}
    assert plugins == {ROOT / "plugins" / "callback" / "events.py"}, "it extends the one that the engine's runner sets"


def test_ansible_is_imported_by_the_playbook_process_only() -> None:
    assert users_of("ansible") == {"running.playbook", "running.host_settings"}


def test_what_decides_knows_nothing_of_ansible() -> None:
    for path in UTILS.rglob("*.py"):
        foreign = {one.split(".")[0] for one in imported(path)}
        assert "irctl" not in foreign, path
        if path != UTILS / "module.py":
            assert "ansible" not in foreign, path


def test_a_module_imports_nothing_that_its_target_may_lack() -> None:
    for path in (ROOT / "plugins" / "modules").glob("*.py"):
        assert not {one.split(".")[0] for one in imported(path)} & {"irctl", "ansible", "psycopg", "boto3", "redis", "yaml"}, path


def test_no_function_below_main_fails_a_module_by_itself() -> None:
    users = [path.name for path in (ROOT / "plugins").rglob("*.py") if "fail_json" in path.read_text()]
    assert users == ["module.py"]
