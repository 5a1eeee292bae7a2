"""Imports point downward only, and what is foreign is imported in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.content.conftest import ROOT

SERVERS = {"lab_postgres", "lab_aws", "lab_moto"}
PROCESS = {"processes", "signals", "output", "folders"}
RECORD = {"incidents", "timeline", "checklist", "records", "pack", "collect"}
PRACTICE = {"drilling", "drill_steps", "drill_restore", "drill_schedule"}
LAYERS = (
    {"__main__", "cli", "commands", "options"},
    {"render", "progress", "flow", "doctor", "lab", "leasing", "reminders", "timer", *PRACTICE},
    {*RECORD, "approval", "approvers", "breakglass", "request", "leases", "stops", "drills", "drill_report", "drill_chart"},
    {"engine", "results", "plan", "runs", "evidence", "journal", "locks", "parameters", "playbook", "documents", "statements"},
    {"catalog", "config", "content", "errors", "moments", "signing", "severity", "verifier", *PROCESS, *SERVERS},
)
CLICK = {"cli", "commands", "options", "render", "progress"}
PACKAGE = ROOT / "irctl"
UTILS = ROOT / "plugins" / "module_utils"


def imported(path: Path) -> Iterator[str]:
    """The full names of all that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name the whole path"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def files() -> Iterator[tuple[str, Path]]:
    """Each file of the package with its name in LAYERS; all of commands/ is one."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != PACKAGE / "__init__.py":
            yield path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path


def layer(name: str) -> int:
    [found] = [number for number, names in enumerate(LAYERS) if name in names]
    return found


def users_of(package: str) -> set[str]:
    return {name for name, path in files() if any(one.split(".")[0] == package for one in imported(path))}


def test_every_file_has_its_layer() -> None:
    assert {name for name, _ in files()} == set().union(*LAYERS)


def test_imports_point_downward_only() -> None:
    for name, path in files():
        for one in imported(path):
            parts = one.split(".")
            if parts[0] == "irctl" and parts[1] != "__version__":
                assert layer(parts[1]) >= layer(name), f"{path.name} imports {one}"


def test_click_stays_where_people_are_talked_to() -> None:
    assert users_of("click") == CLICK
    assert users_of("rich") == {"progress"}


def test_ansible_runner_is_imported_by_the_engine_only() -> None:
    assert users_of("ansible_runner") == {"engine"}
    plugins = {path for path in (ROOT / "plugins").rglob("*.py") if any(one.startswith("ansible_runner") for one in imported(path))}
    assert plugins == {ROOT / "plugins" / "callback" / "events.py"}, "it extends the one that the engine's runner sets"


def test_ansible_is_imported_by_the_playbook_process_only() -> None:
    assert users_of("ansible") == {"playbook"}


def test_what_decides_knows_nothing_of_ansible() -> None:
    for path in UTILS.glob("*.py"):
        foreign = {one.split(".")[0] for one in imported(path)}
        assert "irctl" not in foreign, path
        if path.name != "module.py":
            assert "ansible" not in foreign, path


def test_a_module_imports_nothing_that_its_target_may_lack() -> None:
    for path in (ROOT / "plugins" / "modules").glob("*.py"):
        assert not {one.split(".")[0] for one in imported(path)} & {"irctl", "ansible", "psycopg", "boto3", "redis", "yaml"}, path


def test_no_function_below_main_fails_a_module_by_itself() -> None:
    users = [path.name for path in (ROOT / "plugins").rglob("*.py") if "fail_json" in path.read_text()]
    assert users == ["module.py"]
