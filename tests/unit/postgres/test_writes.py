"""What db-freeze-writes refuses, keeps, puts back and says; and how a role's revert gets what was captured."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.irctl.runbooks.plugins.module_utils.postgres import writes
from ansible_collections.irctl.runbooks.plugins.modules import pg_writes
from ansible_collections.irctl.runbooks.plugins.plugin_utils.action import LARGEST_RECORD, recorded

PARAMS: dict[str, Any] = {
    "database": ["shop"], "end_writers": True, "max": 2,
    "postgres_protected_users": ["bill*"], "postgres_protected_applications": [],
}  # fmt: skip
SERVER = {"role": "ops", "sees_all": True, "may_signal": True, "in_recovery": False, "in_use": 1, "max_connections": 9}
RECORD: dict[str, Any] = {
    "captured": {"shop": None}, "sets": {"shop": "on"}, "on": {"system_identifier": "7", "databases": {"shop": 5}},
}  # fmt: skip


def database(setting: str | None = None, **more: Any) -> dict[str, Any]:
    return {"oid": 5, "template": False, "owner": "ops", "may_alter": True, "setting": setting, **more}


def state(*, roles: tuple[Any, ...] = (), server: dict[str, Any] | None = None, **databases: Any) -> dict[str, Any]:
    found = databases or {"shop": database()}
    return {"server": SERVER | (server or {}), "system_identifier": "7", "databases": found, "roles": list(roles)}


@pytest.mark.parametrize("setting", ["on", "ON", "true", "tru", "t", "yes", "y", "1"])
def test_a_stored_setting_is_read_as_postgresql_reads_it(setting: str) -> None:
    assert writes.is_on(setting)
    assert writes.same(setting, "on")
    assert not writes.same(setting, "off")


@pytest.mark.parametrize("setting", ["off", "of", "False", "f", "no", "n", "0"])
def test_off_is_not_the_same_as_unset(setting: str) -> None:
    assert not writes.is_on(setting)
    assert writes.same(setting, "off")
    assert not writes.same(setting, None)
    assert writes.same(None, None)


def test_what_may_be_frozen_is_not_refused() -> None:
    assert writes.refusals(state(), PARAMS, 2) == []


def test_more_sessions_than_the_limit_are_refused_with_both_numbers() -> None:
    [said] = writes.refusals(state(), PARAMS, 3)
    assert said == "3 sessions would be ended and the limit is 2. Name fewer databases, or raise --max."


def test_a_role_that_cannot_end_sessions_is_refused_only_where_it_is_to_end_them() -> None:
    blind = state(server={"sees_all": False, "may_signal": False})
    [said] = writes.refusals(blind, PARAMS, 0)
    assert "GRANT pg_read_all_stats, pg_signal_backend TO ops;" in said
    assert writes.refusals(blind, {**PARAMS, "end_writers": False}, 0) == []


def test_a_replica_is_refused() -> None:
    [said] = writes.refusals(state(server={"in_recovery": True}), PARAMS, 0)
    assert said.startswith("The server is a replica")


def test_an_unknown_database_is_refused_and_not_every_one_of_a_thousand_is_named() -> None:
    many = {f"db{number:03}": database() for number in range(1000)}
    [said] = writes.refusals(state(**many, template1=database(template=True)), PARAMS, 0)
    assert said.startswith("There is no database 'shop'. There are: db000, db001, ")
    assert said.endswith("db007 and 992 more.")


def test_a_setting_of_a_role_is_refused_where_it_is_off_and_let_be_where_it_is_on() -> None:
    everywhere = {"role": "app", "database": None, "setting": "0"}
    here = {"role": "web", "database": "shop", "setting": "off"}
    said = writes.refusals(state(roles=(everywhere, here, {**here, "setting": "on"})), PARAMS, 0)
    assert [one.partition(". ")[2] for one in said] == [
        "ALTER ROLE app RESET default_transaction_read_only;",
        "ALTER ROLE web IN DATABASE shop RESET default_transaction_read_only;",
    ]


def test_names_from_outside_are_inert_in_what_is_said() -> None:
    evil = "a\x1b[2Jb"
    found = state(**{evil: database(may_alter=False, owner=evil)}, roles=({"role": evil, "database": evil, "setting": "off"},))
    said = [*writes.refusals(found, {**PARAMS, "database": [evil, "x\x1b"]}, 0), writes.listed([evil])]
    assert len(said) == 4
    assert "\x1b" not in " ".join(said)


def test_the_record_holds_what_was_what_is_set_and_on_what() -> None:
    assert writes.record(state(), {"shop": None}) == RECORD
    writes.check(RECORD)


@pytest.mark.parametrize(
    "broken",
    [
        {"captured": {}, "sets": {}, "on": {"databases": {}}},
        {**RECORD, "sets": {}},
        {**RECORD, "captured": {"shop": 1}},
        {**RECORD, "on": {"system_identifier": "7"}},
    ],
)
def test_a_record_that_is_not_ours_is_bad_input(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="record: not what freezing"):
        pg_writes.run({**PARAMS, "record": broken, "found": None, "state": "listed"}, False)


def test_a_module_that_is_given_no_database_connects_nowhere() -> None:
    with pytest.raises(ValueError, match="at least one is needed"):
        pg_writes.run({**PARAMS, "database": [], "record": None, "found": None, "state": "listed"}, False)


def test_what_was_captured_or_what_was_set_is_put_back_and_anything_else_is_an_objection() -> None:
    assert writes.objections(state(shop=database("true")), RECORD, False) == []
    assert writes.to_put_back(state(shop=database("true")), RECORD) == {"shop": None}
    assert writes.objections(state(), RECORD, False) == []
    assert writes.to_put_back(state(), RECORD) == {}
    [said] = writes.objections(state(shop=database("off")), RECORD, False)
    assert said == (
        "Somebody else has changed default_transaction_read_only of shop since: it is now off, this run had set on and found unset."
    )
    assert writes.objections(state(shop=database("off")), RECORD, True) == []


def test_a_database_made_anew_is_left_alone_whatever_is_forced() -> None:
    anew = state(shop=database("on", oid=6))
    assert len(writes.objections(anew, RECORD, False)) == 1
    assert writes.objections(anew, RECORD, True) == []
    assert (writes.to_put_back(anew, RECORD), writes.gone(anew, RECORD)) == ({}, ["shop"])


def test_another_server_is_an_objection_that_nothing_forces() -> None:
    there = {**state(), "system_identifier": "8"}
    assert len(writes.objections(there, RECORD, True)) == 1


@pytest.mark.parametrize(
    ("value", "source", "wanted", "doubt"),
    [
        ("on", "database", "on", ""),
        ("off", "database", "on", "off"),
        ("off", "default", "on", "unset"),
        ("off", "default", None, ""),
        ("on", "database", None, "on"),
        ("on", "configuration file", None, ""),
        ("off", "user", "on", "hidden"),
        ("off", "database user", None, "hidden"),
    ],
)
def test_what_a_new_session_saw_is_judged(value: str, source: str, wanted: str | None, doubt: str) -> None:
    assert writes.doubt({"value": value, "source": source}, wanted) == doubt
    assert writes.doubt({"why": "no slot"}, wanted) == "hidden"


def test_those_who_may_still_write_are_named_with_the_reason() -> None:
    spared = [{"role": "bill", "n": 2, "verdict": "protected"}, {"role": None, "n": 1, "verdict": "background worker"}]
    assert writes.may_write(spared, "16.4") == "may still write: 2 of bill (protected), 1 of nobody (background worker)"
    assert writes.may_write([], "17beta1") == ""
    assert writes.may_write([], "15.18 (Debian)") == "may still write: everybody to large objects (PostgreSQL before 16)"


def kept(folder: Path, content: str) -> None:
    (folder / "revert.json").write_text(content)


def test_a_revert_gets_what_was_captured(tmp_path: Path) -> None:
    kept(tmp_path, json.dumps(RECORD))
    assert recorded(str(tmp_path), "revert.json") == RECORD
    assert recorded(str(tmp_path), "../elsewhere/revert.json") == RECORD, "a name, never a path"


def test_where_nothing_was_captured_there_is_nothing_to_put_back(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nosuch"):
        with pytest.raises(
            AnsibleActionFail, match="Nothing was captured on this host by that run, so there is nothing to put back"
        ):
            recorded(str(folder), "revert.json")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"captured": {}, "sets": {}}', '{"captured": 1, "sets": 1, "on": 1}']
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: str) -> None:
    kept(tmp_path, content)
    with pytest.raises(AnsibleActionFail, match="What that run captured on this host"):
        recorded(str(tmp_path), "revert.json")


def test_a_link_a_folder_a_pipe_and_a_huge_file_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "true.json").write_text(json.dumps(RECORD))
    (tmp_path / "link.json").symlink_to(tmp_path / "true.json")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "huge.json").write_text(json.dumps({**RECORD, "more": "x" * LARGEST_RECORD}))
    for name in ("link", "folder", "pipe", "huge"):
        with pytest.raises(AnsibleActionFail, match="cannot be read"):
            recorded(str(tmp_path), f"{name}.json")
