"""One definition for each fact: what is generated, what irctl's own roles have by hand, and what the code itself knows."""

from __future__ import annotations

import importlib
import re

import click
import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils import values
from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import sessions
from irctl.catalog import catalog, kinds, validation
from irctl.catalog.content import OURS
from irctl.cli.app import cli
from irctl.content import generated, module_rules
from tests.content.conftest import ROLES, ROOT

PLUGINS = "ansible_collections.irctl.runbooks.plugins"
NAMES = {path.stem for path in (ROOT / "plugins" / "modules").glob("[!_]*.py")}
ACTIONS_ONLY = sorted(NAMES - {*module_rules.modules(OURS)})


def test_what_follows_from_the_definitions_is_generated_and_not_edited() -> None:
    assert [*generated.stale(OURS)] == [], "run: make docs"


def test_nothing_but_a_role_that_only_irctl_uses_has_parameters_by_hand() -> None:
    wanted = {path for path, _ in generated.files(OURS)}
    written = {
        path for pattern in ("meta/argument_specs.yml", "defaults/main.yml") for path in OURS.root.glob(f"roles/*/{pattern}")
    }
    internal = {"run", "timers", "lease_timer", "drill_timer"}
    assert {path.parents[1].name for path in written - wanted} <= internal


def test_every_kind_says_what_it_is_and_what_a_help_shows_for_it() -> None:
    for name in kinds.names(OURS):
        kind = kinds.load(OURS, name)
        assert kind.__doc__, name
        assert re.fullmatch(r"[A-Z0-9]+", kind.METAVAR), name


def test_every_parameter_has_a_kind_or_a_type_that_takes_little() -> None:
    """A text of any kind at all may be a password, a connection string or a template, and would be shown and kept."""
    without = {
        option.variable
        for role in ROLES
        for entry_point in role.definition.entry_points
        for option in role.definition.entry_point(entry_point).options
        if not (option.kind or option.choices or option.type in ("int", "bool"))
    }
    assert without == set()


def test_the_shortest_idle_time_is_the_floor_of_the_statements() -> None:
    [role] = [role for role in ROLES if role.name == "db_connections"]
    for name in ("idle_for", "idle_in_transaction_for"):
        assert values.seconds(role.definition.parameter(name).minimum) == sessions.IDLE_FLOOR


def test_every_action_has_a_module_and_every_module_an_action() -> None:
    assert {path.stem for path in (ROOT / "plugins" / "action").glob("[!_]*.py")} == NAMES
    assert [*module_rules.without_module(OURS)] == []


@pytest.mark.parametrize("name", ACTIONS_ONLY)
def test_what_is_an_action_only_hands_on_its_class_and_has_nothing_to_ship(name: str) -> None:
    text = (ROOT / "plugins" / "action" / f"{name}.py").read_text()
    assert [line for line in text.splitlines() if line.strip()] == [
        f"from {PLUGINS}.plugin_utils.{name} import ActionModule",
        '__all__ = ["ActionModule"]',
    ]
    module = importlib.import_module(f"{PLUGINS}.modules.{name}")
    assert not {"run", "main"} & set(vars(module)), "its file only documents"


@pytest.mark.parametrize("verb", ["remediate", "plan", "request", "diagnose"])
def test_the_options_that_a_role_may_not_have_are_those_of_the_commands_made_from_roles(verb: str) -> None:
    group = cli.get_command(click.Context(cli), verb)
    assert isinstance(group, click.Group)
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command
        flags = {flag.removeprefix("--") for param in command.params for flag in param.opts if flag.startswith("--")}
        own = {option.flag.removeprefix("--") for option in catalog.load(name, [OURS], diagnosis=verb == "diagnose").typed}
        assert flags - own <= validation.RESERVED, name
