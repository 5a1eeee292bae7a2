"""The rules for what a role says of itself and of its parameters.

A rule takes a role and yields a sentence for each thing that breaks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import paths
from irctl.catalog import parameters
from irctl.catalog.catalog import DIAGNOSIS
from irctl.catalog.content import OURS
from irctl.catalog.definition import Option
from irctl.content import page
from irctl.content.role import Role
from irctl.errors import Invalid

Faults = Iterator[str]
_SENTENCE = re.compile(r"[A-Z](.|\n)*\.")
_TITLE = re.compile(r"[A-Z].*[^.]")


def says_in_words_what_it_does(role: Role) -> Faults:
    for name, entry in role.entries.items():
        if not _TITLE.fullmatch(entry.summary):
            yield f"summary of {name}: a few words are needed that begin with a capital and have no full stop"
        if not entry.description or not all(len(text) >= 5 for text in entry.description):
            yield f"description of {name}: it is missing"
    if not (len(role.about["impact"]) >= 10 and role.about["impact"].endswith(".")):
        yield "impact: a sentence is needed: what it does to those who use the service"
    if not str(role.about.get("example", "")).startswith("--host "):
        yield "example: the options of an example are needed, which begin with --host"
    if "theme" in role.about and not re.fullmatch(r"[A-Z][A-Za-z ]{2,39}", role.about["theme"]):
        yield "theme: a heading of 3 to 40 letters is needed"


def every_parameter_is_described_in_a_sentence_and_what_is_typed_has_an_example(role: Role) -> Faults:
    for name, option in role.parameters.items():
        if not _SENTENCE.fullmatch(option.description):
            yield f"{name}: its description is a sentence, with a capital and a full stop"
    for option in role.options("main").values():
        if option.flag and option.example is None:
            yield f"{option.variable} becomes an option, and its help needs an example"


def every_default_and_example_is_of_its_kind_and_within_its_limits(role: Role) -> Faults:
    for entry in role.entry_points:
        options = tuple(role.options(entry).values())
        yield from _unfit(options, "the defaults", {option.variable: option.default for option in options})
        yield from _unfit(options, "the examples", {option.variable: option.example for option in options})


def what_a_drill_gives_is_a_parameter_and_fits(role: Role) -> Faults:
    given = role.about.get("drill", {}).get("parameters", {})
    yield from (f"drill.parameters: {name} is no parameter of any entry point" for name in given if name not in role.parameters)
    yield from _unfit(role.parameters.values(), "the drill", given)


def _unfit(options: Iterable[Option], where: str, values: Mapping[str, Any]) -> Faults:
    try:
        parameters.check_inventory(tuple(options), {where: values})
    except Invalid as error:
        yield str(error).removeprefix("inventory: ")


def a_number_that_is_typed_has_limits(role: Role) -> Faults:
    for option in role.options("main").values():
        if option.flag and option.type == "int" and None in (option.minimum, option.maximum):
            yield f"{option.variable}: it needs a minimum and a maximum, so that what one run may touch is bounded"


def only_a_revert_can_be_forced(role: Role) -> Faults:
    """A revert can be told to put back what somebody else has changed since."""
    for entry in role.entry_points if role.changes else ():
        force = role.options(entry).get(f"{role.name}_force")
        if entry == "revert" and (force is None or (force.type, force.default) != ("bool", False)):
            yield "force: revert needs this parameter, {type: bool, default: false, in: [revert]}"
        if entry != "revert" and force is not None:
            yield f"force: it is of revert only, and {entry} takes it"


def can_be_practised_proved_and_undone_as_it_says(role: Role) -> Faults:
    if role.changes:
        yield from (f"entry_points: {name} is missing" for name in ("verify", "fault") if name not in role.entry_points)
        if "drill_every" not in role.about:
            yield "drill_every: how often it is practised is missing, such as 30d"
        if role.about["reversible"] != ("revert" in role.entry_points):
            yield "reversible: it is true where there is the entry point revert, and only there"
    if "lease" in role.about and "revert" not in role.entry_points:
        yield "lease: only what has the entry point revert may end by itself"
    if role.about.get("drill", {}).get("proof") == "measure" and not {"revert", "restore"} <= {*role.entry_points}:
        yield "drill: a measure that stays on needs the entry points revert and restore"


def is_called_as_its_kind_and_names_a_diagnosis_that_there_is(role: Role) -> Faults:
    if role.changes == role.name.startswith(DIAGNOSIS):
        yield f"kind: the name of a diagnosis begins with {DIAGNOSIS}, and no other does"
    if (named := role.about.get("diagnose")) and not any(
        paths.is_file(root / "roles" / f"{DIAGNOSIS}{named}" / "meta" / "remediation.yml")
        for root in (role.content.root, OURS.root)
    ):
        yield f"diagnose: there is no diagnosis {named}"


def its_page_says_when_not_to_use_it(role: Role) -> Faults:
    path = page.path(role.definition)
    if not paths.is_file(path) or page.UNWRITTEN in path.read_text():
        yield f"README.md: write 'When not to use this' between {page.BEGIN} and {page.END}"


def has_a_molecule_scenario(role: Role) -> Faults:
    if role.changes and not paths.is_file(role.content.root / "molecule" / role.name / "molecule.yml"):
        yield f"molecule/{role.name}/molecule.yml is missing"


RULES = (
    says_in_words_what_it_does,
    every_parameter_is_described_in_a_sentence_and_what_is_typed_has_an_example,
    every_default_and_example_is_of_its_kind_and_within_its_limits,
    what_a_drill_gives_is_a_parameter_and_fits,
    a_number_that_is_typed_has_limits,
    only_a_revert_can_be_forced,
    can_be_practised_proved_and_undone_as_it_says,
    is_called_as_its_kind_and_names_a_diagnosis_that_there_is,
    its_page_says_when_not_to_use_it,
    has_a_molecule_scenario,
)
