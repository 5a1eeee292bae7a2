"""One definition for each fact: a parameter's type, default and limits, wherever they are written."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

import yaml

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import sessions
from ansible_collections.irctl.runbooks.plugins.plugin_utils.report import PARTS
from irctl.catalog import catalog, parameters
from irctl.catalog.content import OURS
from tests.content.conftest import PREFIX, ROLES, ROOT, Role, flat, read

SHARED = ("postgres_", "edge_", "aws_", "certificates_", "irctl_", "run_")
PLUGINS = "ansible_collections.irctl.runbooks.plugins"
MODULES = {
    path.stem: importlib.import_module(f"{PLUGINS}.modules.{path.stem}") for path in (ROOT / "plugins" / "modules").glob("[!_]*.py")
}
WORKERS = {name: module for name, module in MODULES.items() if hasattr(module, "ARGUMENTS")}
ACTIONS_ONLY = {name: module for name, module in MODULES.items() if name not in WORKERS}
KEYS = ("type", "elements", "default", "choices", "required")


def test_the_defaults_of_the_specs_and_of_the_role_are_the_same_both_ways(role: Role) -> None:
    for entry, spec in role.specs.items():
        stated = {name: option["default"] for name, option in spec.get("options", {}).items() if "default" in option}
        assert stated == {name: role.defaults.get(name) for name in stated}, entry
    assert set(role.defaults) == {name for name, option in role.options.items() if "default" in option}


def test_an_option_is_the_same_in_every_entry_point(role: Role) -> None:
    for spec in role.specs.values():
        for name, option in spec.get("options", {}).items():
            assert option == role.options[name]


def test_every_option_is_described_in_a_sentence_and_has_a_type(role: Role) -> None:
    for name, option in role.options.items():
        assert option["type"], name
        assert re.fullmatch(r"[A-Z].*\.", option["description"], re.DOTALL), name
        if name.startswith(f"{role.name}_") and name in role.specs["main"]["options"]:
            assert "example" in option, f"{name} becomes an option, and its help needs an example"


def test_every_value_with_limits_is_an_option_and_its_default_and_example_keep_them(role: Role) -> None:
    assert set(role.about["values"]) <= set(role.options)
    for name, limits in role.about["values"].items():
        option = role.options[name]
        shown = [option[key] for key in ("default", "example") if key in option]
        for value in shown:
            if limits.get("kind") == "duration":
                assert values.seconds(value) >= values.seconds(limits.get("minimum", "1s"))
            elif option["type"] == "int":
                assert limits["minimum"] <= value <= limits["maximum"]


def test_every_kind_of_value_is_known_and_defaults_and_examples_are_of_it(role: Role) -> None:
    name, diagnosis = role.name.removeprefix("diagnose_").replace("_", "-"), role.about["kind"] == "diagnosis"
    for entry in role.specs:
        options = catalog.load(name, [OURS], diagnosis=diagnosis, entry_point=entry).options
        assert {option.kind for option in options} <= {*parameters.KINDS, ""}
        of_kinds = [option for option in options if option.kind]
        parameters.check_inventory(options, {"the defaults": {option.variable: option.default for option in of_kinds}})
        parameters.check_inventory(options, {"the examples": {option.variable: option.example for option in of_kinds}})


def test_the_schema_of_a_remediation_knows_the_same_kinds() -> None:
    schema = json.loads((ROOT / "irctl" / "record" / "schemas" / "remediation-1.json").read_text())
    assert (
        f"{sorted(parameters.KINDS)}"
        == f"{sorted(schema['properties']['values']['additionalProperties']['properties']['kind']['enum'])}"
    )


def test_a_variable_that_roles_share_is_of_one_kind_in_each() -> None:
    first: dict[str, Any] = {}
    for role in ROLES:
        for name, limits in role.about["values"].items():
            assert limits == first.setdefault(name, limits), f"{name} in {role.name}"


def test_what_a_drill_gives_is_a_parameter_of_an_entry_point_and_a_value_that_fits(remediation: Role) -> None:
    given = remediation.about.get("drill", {}).get("parameters", {})
    name = remediation.name.replace("_", "-")
    found = [catalog.load(name, [OURS], entry_point=entry).options for entry in remediation.specs]
    options = {option.variable: option for of_entry in found for option in of_entry}
    assert set(given) <= set(options)
    parameters.check_inventory(tuple(options.values()), {"the drill": given})


def test_a_number_that_a_user_types_has_limits(role: Role) -> None:
    for name, option in role.specs["main"]["options"].items():
        if name.startswith(f"{role.name}_") and option["type"] == "int":
            assert {"minimum", "maximum"} <= set(role.about["values"][name]), f"{name}: the blast radius is bounded"


def test_a_variable_has_the_prefix_of_its_role_or_of_what_is_shared_or_is_another_roles_own(role: Role) -> None:
    for name, option in role.options.items():
        if not name.startswith((f"{role.name}_", *SHARED)):
            [owner] = [one for one in ROLES if name.startswith(f"{one.name}_")]
            assert (owner.options[name]["type"], owner.options[name]["default"]) == (option["type"], option["default"])


def test_what_a_role_keeps_to_itself_begins_with_its_name_and_two_underscores(role: Role) -> None:
    inner = f"__{role.name}"
    variables = role.folder / "vars" / "main.yml"
    kept = list(read(variables)) if variables.exists() else []
    for path in role.task_files:
        kept += [task["register"] for task in flat(role.tasks(path.stem)) if "register" in task]
        kept += [
            name for task in flat(role.tasks(path.stem)) for name in task.get("ansible.builtin.set_fact", {}) if name != "cacheable"
        ]
    assert all(name == inner or name.startswith(f"{inner}_") for name in kept), kept


def test_every_variable_that_a_role_uses_of_its_own_is_an_option_of_it(role: Role) -> None:
    text = "".join(path.read_text() for path in role.folder.glob("*/*.yml") if path.parent.name in ("tasks", "vars"))
    used = set(re.findall(rf"(?<![\w.]){role.name}_[a-z0-9_]+", text))
    modules = set(re.findall(r"irctl\.runbooks\.(\w+)", text))
    assert used - modules <= set(role.options)


def test_an_option_that_roles_share_is_word_for_word_the_same_in_each() -> None:
    first: dict[str, Any] = {}
    for role in ROLES:
        for name, option in role.options.items():
            if name.startswith("postgres_"):
                assert option == first.setdefault(name, option), f"{name} in {role.name}"


def test_the_shortest_idle_time_is_the_floor_of_the_statements() -> None:
    [role] = [role for role in ROLES if role.name == "db_connections"]
    for name in ("db_connections_idle_for", "db_connections_idle_in_transaction_for"):
        assert values.seconds(role.about["values"][name]["minimum"]) == sessions.IDLE_FLOOR


def test_every_module_has_an_action_of_three_lines_and_every_action_a_module() -> None:
    actions = {path.stem: path.read_text() for path in (ROOT / "plugins" / "action").glob("[!_]*.py")}
    assert set(actions) == set(MODULES)
    for name in WORKERS:
        assert [line for line in actions[name].splitlines() if line.strip()] == [
            f"from {PLUGINS}.modules import {name}",
            f"from {PLUGINS}.plugin_utils.action import in_process",
            f"ActionModule = in_process({name})",
        ]


def test_what_is_an_action_only_hands_on_its_class_and_has_nothing_to_ship() -> None:
    assert set(ACTIONS_ONLY) == {"lease_end", "report"}
    for name, module in ACTIONS_ONLY.items():
        text = (ROOT / "plugins" / "action" / f"{name}.py").read_text()
        assert [line for line in text.splitlines() if line.strip()] == [
            f"from {PLUGINS}.plugin_utils.{name} import ActionModule",
            '__all__ = ["ActionModule"]',
        ]
        assert not {"run", "main"} & set(vars(module)), "its file only documents"


def documented(name: str) -> dict[str, Any]:
    """What a module says of itself, once that is whole."""
    about: dict[str, Any] = yaml.safe_load(MODULES[name].DOCUMENTATION)
    for fragment in about.get("extends_documentation_fragment", []):
        shared = importlib.import_module(f"{PLUGINS}.doc_fragments.{fragment.rpartition('.')[2]}")
        about["options"] |= yaml.safe_load(shared.ModuleDocFragment.DOCUMENTATION)["options"]
    assert about["module"] == name
    assert all(option["description"] for option in about["options"].values())
    assert yaml.safe_load(MODULES[name].EXAMPLES)
    return about


def test_the_arguments_of_every_module_are_those_that_it_documents() -> None:
    for name, module in WORKERS.items():
        about = documented(name)
        said = {option: {key: what[key] for key in KEYS if key in what} for option, what in about["options"].items()}
        taken = {option: {key: what[key] for key in KEYS if key in what} for option, what in module.ARGUMENTS.items()}
        assert said == taken, name
        assert yaml.safe_load(module.RETURN)
        assert "Own module, because" in " ".join(about["description"]), "a module of our own says why there is one"


def test_the_arguments_of_the_report_are_the_names_of_variables_as_it_documents() -> None:
    assert set(documented("report")["options"]) == set(PARTS)
    for option in documented("report")["options"].values():
        assert set(option) == {"description", "type"}
        assert option["type"] == "str"


def test_what_a_role_hands_to_a_module_by_name_are_its_own_variables_and_the_modules_arguments(role: Role) -> None:
    held = read(role.folder / "vars" / "main.yml")
    used = set()
    for path in role.task_files:
        [whole] = role.tasks(path.stem)
        shared = whole.get("module_defaults", {})
        for task in flat([whole]):
            for name in WORKERS:
                if (given := task.get(PREFIX + name)) is not None:
                    given = {**shared.get(PREFIX + name, {}), **given}
                    holders = held[given.pop("variables")]
                    used.update(holders.values())
                    known = WORKERS[name].ARGUMENTS
                    if given.pop("restores", None):
                        given["record"] = "read by the action from the file that it names"
                    assert set(holders) <= set(known), f"{path.name}: {task['name']}"
                    assert set(given) <= set(known), f"{path.name}: {task['name']}"
                    assert {option for option, about in known.items() if about.get("required")} <= {*holders, *given}
    assert used == set(role.options), "an option that reaches no module does nothing"


def test_no_option_of_a_role_has_a_name_that_a_command_uses_itself(role: Role) -> None:
    ours = {
        "host",
        "incident",
        "timeout",
        "check",
        "for",
        "plan",
        "approval",
        "break_glass",
        "reason",
        "out",
        "expires",
        "json",
        "home",
    }
    named = {name.removeprefix(f"{role.name}_") for name in role.options if name.startswith(f"{role.name}_")}
    assert not named & (ours | {"inventory", "verbose", "help"})
