"""Whether a content folder keeps the rules that hold for ours: each rule for each role and module, and what is generated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog import syntax, validation
from irctl.catalog.content import Content, importable
from irctl.content import definition_rules, generated, module_rules, phase_rules
from irctl.content.role import Role, roles
from irctl.errors import Invalid

RULES: tuple[Callable[[Role], Iterator[str]], ...] = (*definition_rules.RULES, *phase_rules.RULES, *module_rules.RULES)

FOLDERS = ("meta", "playbooks", "plugins", "roles")


@dataclass(frozen=True)
class Fault:
    """One thing that breaks a rule: where, below the folder, and the sentence about it."""

    where: str
    says: str


def faults(content: Content) -> list[Fault]:
    """All that is wrong with a content folder. What cannot be read is told alone, because nothing else can be judged then."""
    unreadable = [*_unreadable(content)]
    if unreadable:
        return unreadable
    importable(content)
    found = roles(content)
    return [*_of_roles(found), *_of_modules(content, found), *_stale(content)]


def _unreadable(content: Content) -> Iterator[Fault]:
    found = roles(content)
    definitions = {role.folder / "meta" / "remediation.yml" for role in found}  # told of by their own reader
    files = {path for folder in FOLDERS for path in (content.root / folder).rglob("*") if paths.is_file(path)}
    for path in sorted(files - definitions):
        name = str(path.relative_to(content.root))
        if problem := syntax.problem(name, path.read_bytes()):
            yield Fault(name, problem)
    for role in found:
        try:
            problems = [*validation.problems(role.definition)]
        except Invalid as error:
            problems = [str(error).removeprefix("content: ")]
        yield from (Fault(f"roles/{role.name}/meta/remediation.yml", problem) for problem in problems)


def _of_roles(found: list[Role]) -> Iterator[Fault]:
    for role in found:
        yield from (Fault(f"roles/{role.name}", says) for rule in RULES for says in rule(role))


def _of_modules(content: Content, found: list[Role]) -> Iterator[Fault]:
    parameters = {variable for role in found for variable in role.parameters}
    for name, module in module_rules.modules(content).items():
        yield from (Fault(f"plugins/modules/{name}.py", says) for says in module_rules.of_module(content, name, module, parameters))
    yield from (Fault(content.name, says) for says in module_rules.without_module(content))


def _stale(content: Content) -> Iterator[Fault]:
    for path in generated.stale(content):
        yield Fault(str(path.relative_to(content.root)), "it is not what follows from the definition; run: irctl content build")
