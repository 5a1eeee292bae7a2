"""The rules for a role and its modules: names, what is handed over, and what a module documents of itself."""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Iterator
from types import ModuleType
from typing import Any

import yaml

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog.content import OURS, Content
from irctl.content.role import Role

Faults = Iterator[str]
KEYS = ("type", "elements", "default", "choices", "required")
OF_THE_ACTION = {"variables", "restores"}  # what an action takes for itself and hands to no module


def what_a_role_keeps_to_itself_begins_with_two_underscores_and_its_name(role: Role) -> Faults:
    inner, kept = f"__{role.name}", [("vars/main.yml", name) for name in role.held]
    for file, task in role.all_tasks():
        names = [*([task["register"]] if "register" in task else []), *task.get("ansible.builtin.set_fact", {})]
        kept += [(f"tasks/{file}", name) for name in names if name != "cacheable"]
    for where, name in kept:
        if name != inner and not name.startswith(f"{inner}_"):
            yield f"{where}: {name} is of the role alone, so its name begins with {inner}_"


def every_variable_of_its_own_that_it_uses_is_a_parameter(role: Role) -> Faults:
    files = [path for folder in ("tasks", "vars") for path in sorted((role.folder / folder).glob("*.yml"))]
    text = "".join(path.read_text() for path in files)
    used = set(re.findall(rf"(?<![\w.]){role.name}_[a-z0-9_]+", text))
    modules = set(re.findall(rf"(?:{re.escape(OURS.name)}|{re.escape(role.content.name)})\.(\w+)", text))
    yield from (f"{name} is used and is no parameter" for name in sorted(used - modules - {*role.parameters}))


def every_parameter_reaches_a_module_and_no_module_gets_what_it_does_not_know(role: Role) -> Faults:
    reached: set[str] = set()
    for file, task in role.all_tasks():
        for module, given in role.modules_of(task):
            for name in sorted({*given} - OF_THE_ACTION - {*module.ARGUMENTS}):
                yield f"tasks/{file}: '{task.get('name', '')}' gives {name}, which the module does not take"
            shared = getattr(module, "SHARED", ())
            reached |= {one if one.startswith(shared) else f"{role.name}_{one}" for one in getattr(module, "PARAMETERS", ())}
    text = "".join(path.read_text() for path in role.task_files)
    text += str([option.default for option in role.parameters.values()])
    reached |= {name for holders in role.held.values() if isinstance(holders, dict) for name in holders.values()}
    for name in role.parameters:
        if name not in reached and name not in text:
            yield f"{name} reaches no module, so it does nothing"


RULES = (
    what_a_role_keeps_to_itself_begins_with_two_underscores_and_its_name,
    every_variable_of_its_own_that_it_uses_is_a_parameter,
    every_parameter_reaches_a_module_and_no_module_gets_what_it_does_not_know,
)


def modules(content: Content) -> dict[str, ModuleType]:
    """The modules of a content folder that keep their parameters in ARGUMENTS, by name. It must be importable."""
    names = [path.stem for path in sorted((content.root / "plugins" / "modules").glob("[!_]*.py"))]
    loaded = {name: importlib.import_module(f"ansible_collections.{content.name}.plugins.modules.{name}") for name in names}
    return {name: module for name, module in loaded.items() if hasattr(module, "ARGUMENTS")}


def of_module(content: Content, name: str, module: ModuleType, parameters: Collection[str]) -> Faults:
    """What is wrong with one module, where the roles have these parameters: what it says of itself, and takes of them."""
    about = documented(module)
    if about.get("module") != name:
        yield f"DOCUMENTATION: module: {name} is missing"
    taken, said = ({option: _shape(spec) for option, spec in part.items()} for part in (module.ARGUMENTS, about["options"]))
    for option in sorted({*taken, *said}):
        if taken.get(option) != said.get(option):
            yield f"DOCUMENTATION: {option} is documented as {said.get(option)} and taken as {taken.get(option)}"
    yield from (
        f"DOCUMENTATION: {name} is not described" for name, option in about["options"].items() if not option.get("description")
    )
    if "Own module, because" not in " ".join(about.get("description", [])):
        yield "DOCUMENTATION: description: a sentence 'Own module, because ...' says which other one would not do"
    if not yaml.safe_load(getattr(module, "RETURN", "")):
        yield "RETURN is missing"
    yield from _of_examples(f"{content.name}.{name}", module)
    yield from _unknown_parameters(module, parameters)


def _of_examples(full_name: str, module: ModuleType) -> Faults:
    tasks = yaml.safe_load(getattr(module, "EXAMPLES", "")) or []
    if not tasks:
        yield "EXAMPLES are missing"
    for task in tasks:
        if full_name not in task:
            yield f"EXAMPLES: a task uses {full_name}"
        for name in sorted({*(task.get(full_name) or {})} - {*module.ARGUMENTS}):
            yield f"EXAMPLES: {name} is no argument"


def _unknown_parameters(module: ModuleType, known: Collection[str]) -> Faults:
    shared = getattr(module, "SHARED", ())
    for name in getattr(module, "PARAMETERS", ()):
        if name.startswith(shared) and name not in known:
            yield f"PARAMETERS: no role has the parameter {name}"


def documented(module: ModuleType) -> dict[str, Any]:
    """What a module says of itself, with the fragments that it names."""
    about: dict[str, Any] = yaml.safe_load(getattr(module, "DOCUMENTATION", "")) or {}
    options: dict[str, Any] = dict(about.get("options") or {})
    for fragment in about.get("extends_documentation_fragment", []):
        collection, _, rest = fragment.partition(".")[2].partition(".")
        name, _, part = rest.partition(".")
        namespace = fragment.partition(".")[0]
        where = importlib.import_module(f"ansible_collections.{namespace}.{collection}.plugins.doc_fragments.{name}")
        text = getattr(where.ModuleDocFragment, part.upper() or "DOCUMENTATION")
        options.update(yaml.safe_load(text)["options"])
    return {**about, "options": options}


def _shape(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: spec[key] for key in KEYS if key in spec}


def without_module(content: Content) -> Iterator[str]:
    """The actions that have no module of their name."""
    folder = content.root / "plugins"
    for path in sorted((folder / "action").glob("[!_]*.py")):
        if not paths.is_file(folder / "modules" / path.name):
            yield f"plugins/action/{path.name}: there is no module of this name"
