"""The rules for content, for every role and module of ours: the same that `irctl content check` holds for folders of others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from irctl.catalog import validation
from irctl.catalog.content import OURS
from irctl.content import check, module_rules
from tests.content.conftest import ROLES, ROOT, Role

INTERNAL = {"lease_timer", "drill_timer", "host_checks"}  # playbooks of irctl's own, with no entry in the catalogue
PARAMETERS = {variable for role in ROLES for variable in role.parameters}


def name_of(value: object) -> str:
    return str(getattr(value, "__name__", None) or getattr(value, "name", value))


@pytest.mark.parametrize("rule", check.RULES, ids=name_of)
@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_every_role_keeps_every_rule(role: Role, rule: Callable[[Role], Iterator[str]]) -> None:
    assert [*rule(role)] == []


@pytest.mark.parametrize(("name", "module"), module_rules.modules(OURS).items(), ids=name_of)
def test_every_module_documents_what_it_takes(name: str, module: ModuleType) -> None:
    assert [*module_rules.of_module(OURS, name, module, PARAMETERS)] == []


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_every_definition_is_valid(role: Role) -> None:
    assert [*validation.problems(role.definition)] == []


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_ours_say_which_alerts_lead_to_them_and_which_runbook_they_are_from(role: Role) -> None:
    assert role.about["alerts"]
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*:[0-9]+(-[0-9]+)?", source) for source in role.about["sources"])
    assert all(re.fullmatch(r"W[0-9]+", fault) for fault in role.about.get("corrects", []))


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_what_help_and_the_catalogue_tell_has_no_markup_of_ansible(role: Role) -> None:
    entry = role.definition.entry_point("main")
    told = [entry.summary, *entry.description, *(option.description for option in entry.options)]
    assert [text for text in told if re.search(r"\b[BCEILMOUV]\(", text)] == []


def test_there_are_roles() -> None:
    assert {"db_connections", "db_freeze_writes", "diagnose_postgres"} <= {role.name for role in ROLES}


def test_every_playbook_has_its_role() -> None:
    assert {path.stem for path in (ROOT / "playbooks").glob("*.yml")} == {role.name for role in ROLES} | INTERNAL
