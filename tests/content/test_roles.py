"""The rules of DESIGN 4 for every role: what it has, in which order, and how long it may be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from ansible_collections.irctl.runbooks.plugins.plugin_utils.report import PARTS
from irctl.running.results import PHASES
from tests.content.conftest import PREFIX, ROLES, ROOT, Role, flat, read

SENTENCE = re.compile(rf"({'|'.join(PHASES)}) \| [A-Z].*[^.\s]")
PHASE_OF = {"before": "Gather", "change": "Change", "after": "Verify", "evidence": "Capture"}
RECORD = "revert.json"
LONGEST = 80  # lines of a task file
REPORT = f"{PREFIX}report"
ALLOWED = {"name", "hosts", "gather_facts", "tasks"}


def phase(task: dict[str, Any]) -> str:
    return str(task["name"]).partition(" | ")[0]


def included(task: dict[str, Any]) -> dict[str, Any]:
    words = ("ansible.builtin.import_role", "ansible.builtin.include_role")
    return next((task[word] for word in words if word in task), {})


def changing(remediation: Role) -> list[str]:
    """The entry points that change something and must be held to all phases."""
    return ["main", *(["revert"] if remediation.about["reversible"] else [])]


def test_there_are_roles() -> None:
    assert {"db_connections", "db_freeze_writes", "diagnose_postgres"} <= {role.name for role in ROLES}


def test_the_playbook_is_one_play_with_the_one_role_and_no_logic(role: Role) -> None:
    [play] = read(ROOT / "playbooks" / f"{role.name}.yml")
    assert set(play) == ALLOWED
    assert play["hosts"] == "{{ irctl_target }}"
    assert play["gather_facts"] is False
    [task] = play["tasks"]
    assert set(task) == {"name", "ansible.builtin.import_role"}
    carried_out = {"name": PREFIX + role.name, "tasks_from": "{{ irctl_entry_point | default('main') }}"}
    assert task["ansible.builtin.import_role"] in (carried_out, {**carried_out, "rolespec_validate": False})


def test_a_playbook_that_leaves_out_the_check_of_the_roles_arguments_says_why(role: Role) -> None:
    lines = (ROOT / "playbooks" / f"{role.name}.yml").read_text().splitlines()
    assert all(re.search(r"rolespec_validate: false # \w.{20,}", line) for line in lines if "rolespec_validate" in line)


def test_every_playbook_has_its_role() -> None:
    internal = {"lease_timer", "drill_timer"}  # playbooks of irctl's own, with no entry in the catalogue
    assert {path.stem for path in (ROOT / "playbooks").glob("*.yml")} == {role.name for role in ROLES} | internal


def test_a_remediation_and_its_revert_gather_guard_capture_change_once_verify_and_report(remediation: Role) -> None:
    for entry in changing(remediation):
        [whole] = remediation.tasks(entry)
        phases = [phase(task) for task in flat(whole["block"])]
        assert phases == sorted(phases, key=PHASES.index), entry
        assert set(phases) == set(PHASES), entry
        assert phases.count("Change") == 1, entry


def test_what_can_be_undone_captures_what_its_revert_puts_back(remediation: Role) -> None:
    """Each task of the revert looks at that record, so that none of them acts on what is there by chance."""
    if not remediation.about["reversible"]:
        return
    captures = [task["name"] for task in flat(remediation.tasks()) if phase(task) == "Capture"]
    assert any(RECORD in name for name in captures), "a Capture of main is named after the record that it keeps"
    [whole] = remediation.tasks("revert")
    shared = whole.get("module_defaults", {})
    for task in flat(whole["block"]):
        for module in (word for word in task if word.startswith(PREFIX) and word != REPORT):
            assert {**shared.get(module, {}), **task[module]}.get("restores") == RECORD, task["name"]
    texts = [path.read_text() for path in remediation.task_files if path.stem != "revert"]
    assert not any("restores:" in text for text in texts), "only a revert puts back"


def test_a_revert_can_be_told_to_put_back_what_somebody_else_has_changed_since(remediation: Role) -> None:
    for entry, spec in remediation.specs.items():
        force = spec.get("options", {}).get(f"{remediation.name}_force")
        assert (force is not None) == (entry == "revert"), entry
        assert force is None or (force["type"], force["default"]) == ("bool", False)


def test_only_what_can_be_undone_may_end_by_itself(role: Role) -> None:
    assert "lease" not in role.about or "revert" in role.specs


def test_what_only_drills_do_is_done_only_where_the_inventory_allows_drills(remediation: Role) -> None:
    for entry in {"fault", "restore"} & set(remediation.specs):
        guard = next(flat(remediation.tasks(entry)))
        assert phase(guard) == "Guard", entry
        assert guard["ansible.builtin.assert"]["that"] == "irctl_drills | default('') == 'allowed'", entry
        assert "{{ inventory_hostname }}" in guard["ansible.builtin.assert"]["fail_msg"], entry


def test_a_measure_that_stays_on_has_a_way_off_for_its_drill(remediation: Role) -> None:
    if remediation.about.get("drill", {}).get("proof") == "measure":
        assert {"revert", "restore"} <= set(remediation.specs)


def test_a_diagnosis_gathers_and_reports_and_changes_nothing(role: Role) -> None:
    if role.about["kind"] == "diagnosis":
        [whole] = role.tasks()
        assert {phase(task) for task in flat(whole["block"])} == {"Gather", "Report"}
        assert phase(whole["block"][-1]) == "Report"


def test_every_entry_point_is_one_block_that_reports_last_and_a_rescue_that_says_why_it_stopped(role: Role) -> None:
    for path in role.task_files:
        [whole] = role.tasks(path.stem)
        reports = [task for task in flat([whole]) if REPORT in task]
        assert reports == [whole["block"][-1]], path.name
        assert phase(reports[0]) == "Report", path.name
        assert set(reports[0]) == {"name", REPORT, "run_once"}, path.name
        assert reports[0]["run_once"] is True, f"{path.name}: it speaks for every host"
        [rescue] = whole["rescue"]
        assert phase(rescue) == "Report"
        assert (included(rescue)["name"], included(rescue)["tasks_from"]) == (f"{PREFIX}run", "stopped"), path.name


def test_a_report_names_what_its_file_registers_in_the_phase_that_it_is_of(role: Role) -> None:
    """A name that nothing registers is no error: the host would never have reported."""
    for path in role.task_files:
        tasks = list(flat(role.tasks(path.stem)))
        [named] = [task[REPORT] for task in tasks if REPORT in task]
        registered = {task["register"]: phase(task) for task in tasks if "register" in task}
        assert named, path.name
        assert {part: registered[name] for part, name in named.items()} == {part: PHASE_OF[part] for part in named}, path.name


def test_a_remediation_and_its_revert_report_what_they_found_changed_proved_and_kept(remediation: Role) -> None:
    for entry in changing(remediation):
        [named] = [task[REPORT] for task in flat(remediation.tasks(entry)) if REPORT in task]
        assert set(named) == set(PARTS), entry


def test_every_task_is_named_with_its_phase_and_a_sentence(role: Role) -> None:
    for path in role.task_files:
        [whole] = role.tasks(path.stem)
        assert re.fullmatch(r"[A-Z][^|]*[^.\s|]", whole["name"]), whole["name"]
        for task in flat([whole]):
            assert SENTENCE.fullmatch(task.get("name", "")), f"{path.name}: {task}"


def test_a_task_file_fits_on_one_screen(role: Role) -> None:
    for path in role.task_files:
        assert len(path.read_text().splitlines()) < LONGEST, path


def test_a_role_includes_no_role_but_run(role: Role) -> None:
    for path in role.task_files:
        assert {included(task)["name"] for task in flat(role.tasks(path.stem)) if included(task)} <= {f"{PREFIX}run"}
        assert "roles:" not in path.read_text()
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


def test_the_shared_role_publishes_why_a_host_stopped_and_does_nothing_else() -> None:
    assert [path.name for path in (ROOT / "roles" / "run" / "tasks").iterdir()] == ["stopped.yml"]
    allowed = {"ansible.builtin.set_stats", "ansible.builtin.fail", "name", "vars"}
    for path in (ROOT / "roles" / "run" / "tasks").glob("*.yml"):
        assert all(set(task) <= allowed for task in read(Path(path)))
