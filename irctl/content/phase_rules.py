"""The rules for what a role does: its phases, what it registers and reports, and how long it may be.

A rule takes a role and yields a sentence for each thing that breaks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.irctl.runbooks.plugins.module_utils.phases import PHASE_OF, PHASES, REVERT_RECORD
from irctl.catalog.content import OURS
from irctl.content.role import Role, Task, phase

LONGEST = 80  # lines of a task file
REPORT, LEASE_END = f"{OURS.name}.report", f"{OURS.name}.lease_end"
_NAME = re.compile(rf"({'|'.join(PHASES)}) \| [A-Z].*[^.\s]")

Faults = Iterator[str]


def gathers_guards_captures_changes_once_verifies_and_reports(role: Role) -> Faults:
    for entry in role.changing:
        phases = [phase(task) for task in role.tasks(entry)]
        known = [one for one in phases if one in PHASES]
        yield from (f"tasks/{entry}.yml: it has no {one}" for one in PHASES if one not in phases)
        if known != sorted(known, key=PHASES.index):
            yield f"tasks/{entry}.yml: the phases are in the order {', '.join(PHASES)}"
        if phases.count("Change") > 1:
            yield f"tasks/{entry}.yml: it has {phases.count('Change')} tasks that change something; one changes all"


def a_diagnosis_gathers_and_reports(role: Role) -> Faults:
    if not role.changes:
        more = sorted({phase(task) for task in role.tasks()} - {"Gather", "Report"})
        yield from (f"tasks/main.yml: a diagnosis has no {one or 'task without a phase'}" for one in more)


def every_task_is_named_with_its_phase_and_a_sentence(role: Role) -> Faults:
    for file, task in role.all_tasks():
        if not _NAME.fullmatch(str(task.get("name", ""))):
            yield f"tasks/{file}: '{task.get('name', '')}' is no name such as 'Gather | The sessions as they are'"


def every_entry_point_has_its_file_and_no_file_is_of_none(role: Role) -> Faults:
    files = {path.stem for path in role.task_files}
    yield from (f"tasks/{name}.yml is missing" for name in role.entry_points if name not in files)
    yield from (f"tasks/{name}.yml is of no entry point" for name in sorted(files - {*role.entry_points}))


def reports_last_and_once_for_all_hosts(role: Role) -> Faults:
    for path in role.task_files:
        *others, last = role.tasks(path.stem) or [{}]
        if REPORT not in last or phase(last) != "Report" or last.get("run_once") is not True:
            yield f"tasks/{path.name}: the last task is `Report | ...`, {REPORT} with run_once: true"
        if any(REPORT in task for task in others):
            yield f"tasks/{path.name}: it reports once"


def what_is_reported_is_registered_in_its_phase(role: Role) -> Faults:
    """The report finds it by its name; where nothing is found the host would never have reported."""
    for path in role.task_files:
        phases = {str(task["register"]): phase(task) for task in role.tasks(path.stem) if "register" in task}
        named = {part: phases[f"__{role.name}_{part}"] for part in PHASE_OF if f"__{role.name}_{part}" in phases}
        if not named:
            yield f"tasks/{path.name}: nothing is registered as {', '.join(f'__{role.name}_{part}' for part in PHASE_OF)}"
        for part, where in named.items():
            if where != PHASE_OF[part]:
                yield f"tasks/{path.name}: __{role.name}_{part} is registered in {PHASE_OF[part]}, not in {where}"


def what_changes_reports_what_was_there_changed_proved_and_kept(role: Role) -> Faults:
    for entry in role.changing:
        registered = {task["register"] for task in role.tasks(entry) if "register" in task}
        for part in PHASE_OF:
            if f"__{role.name}_{part}" not in registered:
                yield f"tasks/{entry}.yml: {PHASE_OF[part]} registers __{role.name}_{part}"


def what_can_be_undone_captures_what_its_revert_puts_back(role: Role) -> Faults:
    """Each module of the revert takes that record, so that none of them acts on what is there by chance."""
    if not role.changes or not role.about["reversible"]:
        return
    captures = [str(task["name"]) for task in role.tasks() if phase(task) == "Capture"]
    if not any(REVERT_RECORD in name for name in captures):
        yield f"tasks/main.yml: a Capture is named after the record that it keeps, {REVERT_RECORD}"
    for task in role.tasks("revert"):
        yield from _without_record(role, task)


def _without_record(role: Role, task: Task) -> Faults:
    for module, _ in role.modules_of(task):
        if "record" not in module.ARGUMENTS and not {REPORT, LEASE_END} & set(task):
            yield f"tasks/revert.yml: '{task['name']}' does not take the record of the run that it undoes"


def a_task_file_fits_on_one_screen(role: Role) -> Faults:
    for path in role.task_files:
        lines = len(path.read_text().splitlines())
        if lines >= LONGEST:
            yield f"tasks/{path.name}: it has {lines} lines; fewer than {LONGEST} fit on one screen"


def includes_no_other_role(role: Role) -> Faults:
    for file, task in role.all_tasks():
        if {"ansible.builtin.include_role", "ansible.builtin.import_role", "include_role", "import_role"} & set(task):
            yield f"tasks/{file}: '{task.get('name', '')}' includes another role; a role never does"


RULES = (
    gathers_guards_captures_changes_once_verifies_and_reports,
    a_diagnosis_gathers_and_reports,
    every_task_is_named_with_its_phase_and_a_sentence,
    every_entry_point_has_its_file_and_no_file_is_of_none,
    reports_last_and_once_for_all_hosts,
    what_is_reported_is_registered_in_its_phase,
    what_changes_reports_what_was_there_changed_proved_and_kept,
    what_can_be_undone_captures_what_its_revert_puts_back,
    a_task_file_fits_on_one_screen,
    includes_no_other_role,
)
