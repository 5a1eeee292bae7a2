"""The rules of DESIGN 4 for every role: what it has, in which order, and how long it may be."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

from jsonschema import Draft202012Validator

from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import REVERT_RECORD
from ansible_collections.irctl.runbooks.plugins.plugin_utils.report import PARTS
from irctl.running.results import PHASES
from tests.content.conftest import PREFIX, ROLES, ROOT, Role, flat, read

SENTENCE = re.compile(rf"({'|'.join(PHASES)}) \| [A-Z].*[^.\s]")
PHASE_OF = {"before": "Gather", "change": "Change", "after": "Verify", "evidence": "Capture"}
LONGEST = 80  # lines of a task file
REPORT = f"{PREFIX}report"
ALLOWED = {"name", "hosts", "gather_facts", "tasks"}


def phase(task: dict[str, Any]) -> str:
    return str(task["name"]).partition(" | ")[0]


def changing(remediation: Role) -> list[str]:
    """The entry points that change something and must be held to all phases."""
    return ["main", *(["revert"] if remediation.about["reversible"] else [])]


def test_there_are_roles() -> None:
    assert {"db_connections", "db_freeze_writes", "diagnose_postgres"} <= {role.name for role in ROLES}


def test_every_playbook_has_its_role() -> None:
    internal = {"lease_timer", "drill_timer"}  # playbooks of irctl's own, with no entry in the catalogue
    assert {path.stem for path in (ROOT / "playbooks").glob("*.yml")} == {role.name for role in ROLES} | internal


def test_a_remediation_and_its_revert_gather_guard_capture_change_once_verify_and_report(remediation: Role) -> None:
    for entry in changing(remediation):
        phases = [phase(task) for task in flat(remediation.tasks(entry))]
        assert phases == sorted(phases, key=PHASES.index), entry
        assert set(phases) == set(PHASES), entry
        assert phases.count("Change") == 1, entry


def test_what_can_be_undone_captures_what_its_revert_puts_back(remediation: Role) -> None:
    """Each module of the revert takes that record, so that none of them acts on what is there by chance."""
    if not remediation.about["reversible"]:
        return
    captures = [task["name"] for task in flat(remediation.tasks()) if phase(task) == "Capture"]
    assert any(REVERT_RECORD in name for name in captures), "a Capture of main is named after the record that it keeps"
    for task in flat(remediation.tasks("revert")):
        for name in (word.removeprefix(PREFIX) for word in task if word.startswith(PREFIX)):
            if name not in ("report", "lease_end"):
                module = importlib.import_module(f"ansible_collections.irctl.runbooks.plugins.modules.{name}")
                assert "record" in module.ARGUMENTS, task["name"]


def test_a_revert_can_be_told_to_put_back_what_somebody_else_has_changed_since(remediation: Role) -> None:
    for entry, spec in remediation.specs.items():
        force = spec.get("options", {}).get(f"{remediation.name}_force")
        assert (force is not None) == (entry == "revert"), entry
        assert force is None or (force["type"], force["default"]) == ("bool", False)


def test_only_what_can_be_undone_may_end_by_itself(role: Role) -> None:
    assert "lease" not in role.about or "revert" in role.specs


def test_a_measure_that_stays_on_has_a_way_off_for_its_drill(remediation: Role) -> None:
    if remediation.about.get("drill", {}).get("proof") == "measure":
        assert {"revert", "restore"} <= set(remediation.specs)


def test_a_diagnosis_gathers_and_reports_and_changes_nothing(role: Role) -> None:
    if role.about["kind"] == "diagnosis":
        assert {phase(task) for task in flat(role.tasks())} == {"Gather", "Report"}


def test_every_entry_point_reports_last_and_once_for_all_hosts(role: Role) -> None:
    for path in role.task_files:
        *others, last = flat(role.tasks(path.stem))
        assert not [task for task in others if REPORT in task], path.name
        assert (phase(last), set(last), last["run_once"]) == ("Report", {"name", REPORT, "run_once"}, True), path.name


def test_what_a_report_publishes_is_registered_in_the_phase_that_it_is_of(role: Role) -> None:
    """The report finds it by its name; where nothing is found the host would never have reported."""
    for path in role.task_files:
        phases = {task["register"]: phase(task) for task in flat(role.tasks(path.stem)) if "register" in task}
        named = {part: phases[f"__{role.name}_{part}"] for part in PARTS if f"__{role.name}_{part}" in phases}
        assert named, path.name
        assert named == {part: PHASE_OF[part] for part in named}, path.name


def test_a_remediation_and_its_revert_report_what_they_found_changed_proved_and_kept(remediation: Role) -> None:
    for entry in changing(remediation):
        registered = {task["register"] for task in flat(remediation.tasks(entry)) if "register" in task}
        assert {f"__{remediation.name}_{part}" for part in PARTS} <= registered, entry


def test_every_task_is_named_with_its_phase_and_a_sentence(role: Role) -> None:
    for path in role.task_files:
        for task in flat(role.tasks(path.stem)):
            assert SENTENCE.fullmatch(task.get("name", "")), f"{path.name}: {task}"


def test_a_task_file_fits_on_one_screen(role: Role) -> None:
    for path in role.task_files:
        assert len(path.read_text().splitlines()) < LONGEST, path


def test_a_role_includes_no_other(role: Role) -> None:
    for path in role.task_files:
        assert "_role" not in path.read_text().replace(f"{role.name}_", ""), path
    assert read(role.folder / "meta" / "main.yml")["dependencies"] == []


def test_a_remediation_ships_with_its_fault_its_proof_its_page_and_its_scenario(remediation: Role) -> None:
    assert {"fault", "main", "verify"} <= set(remediation.specs)
    assert {path.stem for path in remediation.task_files} == set(remediation.specs)
    assert remediation.about["reversible"] == ("revert" in remediation.specs)
    assert "When not to use this" in (remediation.folder / "README.md").read_text()
    assert (ROOT / "molecule" / remediation.name / "molecule.yml").is_file()


def test_what_a_role_says_of_itself_is_valid(role: Role) -> None:
    schema = json.loads((ROOT / "irctl" / "record" / "schemas" / "remediation-1.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(role.about)] == []
    assert (role.about["kind"] == "diagnosis") == role.name.startswith("diagnose_")


def test_the_diagnosis_that_a_role_names_is_there(role: Role) -> None:
    if "diagnose" in role.about:
        assert f"diagnose_{role.about['diagnose']}" in {one.name for one in ROLES}
