"""One definition for each fact: a parameter's type, default and limits, wherever they are written."""

from __future__ import annotations

import importlib
import re
from typing import Any

import yaml

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import sessions
from irctl.catalog import catalog, kinds, parameters
from irctl.catalog.content import OURS
from tests.content.conftest import PREFIX, ROLES, ROOT, Role, flat, read
from tools import generated

SHARED = ("postgres_", "edge_", "aws_", "certificates_", "irctl_", "run_")
PLUGINS = "ansible_collections.irctl.runbooks.plugins"
MODULES = {
    path.stem: importlib.import_module(f"{PLUGINS}.modules.{path.stem}") for path in (ROOT / "plugins" / "modules").glob("[!_]*.py")
}
WORKERS = {name: module for name, module in MODULES.items() if hasattr(module, "ARGUMENTS")}
ACTIONS_ONLY = {name: module for name, module in MODULES.items() if name not in WORKERS}
KEYS = ("type", "elements", "default", "choices", "required")


def test_what_follows_from_the_definitions_is_generated_and_not_edited() -> None:
    assert [path for path, text in generated.files() if not path.exists() or path.read_text() != text] == [], "run: make docs"


def test_nothing_but_a_role_that_only_irctl_uses_has_parameters_by_hand() -> None:
    wanted = {path for path, _ in generated.files()}
    written = {path for pattern in ("meta/argument_specs.yml", "defaults/main.yml") for path in ROOT.glob(f"roles/*/{pattern}")}
    internal = {"run", "timers", "lease_timer", "drill_timer"}
    assert {path.parents[1].name for path in written - wanted} <= internal


def test_every_option_is_described_in_a_sentence_and_what_is_typed_has_an_example(role: Role) -> None:
    for name, option in role.parameters.items():
        assert re.fullmatch(r"[A-Z].*\.", option.description, re.DOTALL), name
    for option in role.definition.entry_point("main").options:
        assert not option.flag or option.example is not None, f"{option.variable} becomes an option, and its help needs an example"


def test_every_default_and_example_is_of_its_kind_and_within_its_limits(role: Role) -> None:
    for entry in role.definition.entry_points:
        options = role.definition.entry_point(entry).options
        parameters.check_inventory(options, {"the defaults": {option.variable: option.default for option in options}})
        parameters.check_inventory(options, {"the examples": {option.variable: option.example for option in options}})


def test_every_kind_says_what_it_is_and_what_a_help_shows_for_it() -> None:
    for name in kinds.names(OURS):
        kind = kinds.load(OURS, name)
        assert kind.__doc__, name
        assert re.fullmatch(r"[A-Z0-9]+", kind.METAVAR), name


def test_what_a_drill_gives_is_a_parameter_of_an_entry_point_and_a_value_that_fits(remediation: Role) -> None:
    given = remediation.about.get("drill", {}).get("parameters", {})
    name = remediation.name.replace("_", "-")
    found = [catalog.load(name, [OURS], entry_point=entry).options for entry in remediation.specs]
    options = {option.variable: option for of_entry in found for option in of_entry}
    assert set(given) <= set(options)
    parameters.check_inventory(tuple(options.values()), {"the drill": given})


def test_a_number_that_a_user_types_has_limits(role: Role) -> None:
    for option in role.definition.entry_point("main").options:
        if option.flag and option.type == "int":
            assert None not in (option.minimum, option.maximum), f"{option.variable}: the blast radius is bounded"


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


def test_the_shortest_idle_time_is_the_floor_of_the_statements() -> None:
    [role] = [role for role in ROLES if role.name == "db_connections"]
    for name in ("idle_for", "idle_in_transaction_for"):
        assert values.seconds(role.definition.parameter(name).minimum) == sessions.IDLE_FLOOR


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
        name_of, _, part = fragment.removeprefix(PREFIX).partition(".")
        shared = importlib.import_module(f"{PLUGINS}.doc_fragments.{name_of}").ModuleDocFragment
        about.setdefault("options", {}).update(yaml.safe_load(getattr(shared, part.upper() or "DOCUMENTATION"))["options"])
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


def test_every_parameter_of_a_role_reaches_a_module(role: Role) -> None:
    """By its name, and a module is handed nothing that it does not know."""
    path = role.folder / "vars" / "main.yml"
    held, reached = read(path) if path.exists() else {}, set()
    for file in role.task_files:
        for task in flat(role.tasks(file.stem)):
            for name, module in WORKERS.items():
                if (given := task.get(PREFIX + name, ...)) is not ...:
                    given = dict(given or {})
                    assert {*given} - {"variables", "restores"} <= {*module.ARGUMENTS}, f"{file.name}: {task['name']}"
                    shared = getattr(module, "SHARED", ())
                    names = getattr(module, "PARAMETERS", ())
                    reached |= {one if one.startswith(shared) else f"{role.name}_{one}" for one in names}
        text = file.read_text()
        reached |= {variable for holders in held.values() if isinstance(holders, dict) for variable in holders.values()}
        reached |= {variable for variable in role.parameters if variable in text}
    reached |= {variable for variable in role.parameters if variable in str(role.defaults.values())}
    assert {*role.parameters} <= reached, "an option that reaches no module does nothing"


def test_a_parameter_of_a_module_is_one_that_a_definition_has() -> None:
    known = {variable for role in ROLES for variable in role.parameters}
    for name, module in WORKERS.items():
        shared = getattr(module, "SHARED", ())
        assert {one for one in getattr(module, "PARAMETERS", ()) if one.startswith(shared)} <= known, name


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
    named = {option.flag.removeprefix("--").replace("-", "_") for option in role.parameters.values() if option.flag}
    assert not named & (ours | {"inventory", "verbose", "help"})
