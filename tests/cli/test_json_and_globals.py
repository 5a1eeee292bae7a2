"""One object on standard output, by its schema; and global options that mean the same before and after the verb."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from irctl.errors import EXIT_CODES
from tests.cli.conftest import listing, only_object
from tests.conftest import Irctl
from tests.schemas import LOADED, faults, require_valid

QUOTED = ["o'brien", 'say "hi"; DROP TABLE x; --', "{{ lookup('pipe','id') }}", "a b", "größe", "--host", "*", "$(id)"]


@pytest.mark.parametrize("name", LOADED)
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(LOADED[name])
    assert LOADED[name]["$id"] == f"urn:irctl:{name}"
    assert LOADED[name]["description"]


def test_the_schema_of_a_run_knows_every_outcome_and_its_code() -> None:
    assert set(LOADED["run-1"]["properties"]["outcome"]["enum"]) == set(EXIT_CODES)
    nothing = dict.fromkeys(("run", "remediation", "incident", "plan_hash", "started", "folder"))
    error = {"schema": "irctl/run/1", **nothing, "check": False, "hosts": {}, "seconds": 0.0, "reason": "why"}
    for outcome in ("refused", "busy", "invalid", "unreachable", "failed", "indeterminate"):
        assert faults("run-1", {**error, "outcome": outcome, "exit_code": EXIT_CODES[outcome]}) == []
        assert faults("run-1", {**error, "outcome": outcome, "exit_code": 0})
    assert faults("run-1", {**error, "outcome": "changed", "exit_code": 0}), "nothing was run, so nothing was changed"
    assert faults("run-1", {key: value for key, value in error.items() if key != "reason"})


def test_a_run_that_reached_nobody_is_an_envelope_with_every_host(irctl: Irctl) -> None:
    incident = irctl("incident", "open", "--title", "Slow", "--severity", "P1", "--json").json["incident"]
    done = irctl("remediate", "db-connections", "--host", "prod", "--incident", incident, "--json")
    document = only_object(done)
    assert faults("run-1", document) == []
    assert (done.code, document["outcome"], document["incident"]) == (4, "unreachable", incident)
    assert {name: host["outcome"] for name, host in document["hosts"].items()} == {"db1": "unreachable", "db2": "unreachable"}
    kept = json.loads((Path(document["folder"]) / "result.json").read_text())
    assert kept == document
    assert faults("manifest-1", json.loads((Path(document["folder"]) / "manifest.json").read_text())) == []
    assert only_object(irctl("runs", document["run"], "--json")) == document


def test_a_diagnosis_is_an_envelope_of_its_own(irctl: Irctl) -> None:
    document = only_object(irctl("diagnose", "postgres", "--host", "db1", "--json"))
    assert faults("diagnosis-1", document) == []
    assert document["schema"] == "irctl/diagnosis/1"


def test_a_plan_is_as_its_schema_says_and_holds_names_as_they_were_typed(irctl: Irctl) -> None:
    words = [word for name in QUOTED for word in ("--database", name)]
    document = only_object(irctl("plan", "db-connections", "--host", "db1", "--json", *words))
    assert faults("plan-1", document) == []
    assert document["parameters"] == {"db_connections_database": QUOTED}
    assert document["hosts"]["db1"]["db_connections_database"] == QUOTED
    assert document["check_result"]["check"] is True
    again = only_object(irctl("plan", "db-connections", "--host", "db1", "--json", *words))
    assert again["plan_hash"] == document["plan_hash"] == document["check_result"]["plan_hash"]


@pytest.mark.parametrize("words", [["catalog"], ["catalog", "db-connections"], ["runs"], ["doctor"], ["lab", "status"]])
def test_every_verb_that_tells_something_tells_it_as_one_object(irctl: Irctl, words: list[str]) -> None:
    document = only_object(irctl(*words, "--json"))
    assert document["schema"].startswith("irctl/")
    assert "reason" not in document, "that is an error"
    require_valid(document)


def test_all_that_is_known_about_each_remediation_is_an_object_of_its_schema(irctl: Irctl) -> None:
    for entry in irctl("catalog", "--json").json["entries"]:
        if entry["kind"] == "remediation":
            document = only_object(irctl("catalog", entry["name"], "--json"))
            assert document["schema"] == "irctl/catalog-entry/1", document
            require_valid(document)


@pytest.mark.parametrize(("words", "path"), [([], "irctl"), (["content"], "irctl content"), (["remediate"], "irctl remediate")])
def test_a_command_that_is_missing_is_an_object_too(irctl: Irctl, words: list[str], path: str) -> None:
    done = irctl("--json", *words)
    document = only_object(done)
    require_valid(document)
    assert (done.code, document["reason"]) == (2, f"command: it must be given; {path} --help lists them")


def test_a_default_in_the_catalogue_is_told_whole(irctl: Irctl) -> None:
    assert '["nginx", "-s", "reload"]' in irctl("catalog", "block-ip").out


@pytest.mark.parametrize("words", [["runs"], ["catalog"], ["doctor"], ["lab", "status"], ["catalog", "db-connections"]])
def test_looking_writes_nothing(irctl: Irctl, tmp_path: Path, words: list[str]) -> None:
    before = listing(tmp_path)
    irctl(*words)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("words", [["doctor"], ["lab", "status"], ["evidence", "verify", "7f3a01"], ["catalog"]])
def test_global_options_mean_the_same_before_and_after_the_verb(irctl: Irctl, tmp_path: Path, words: list[str]) -> None:
    given = ["--home", str(tmp_path / "other"), "--inventory", str(tmp_path / "hosts.yml"), "--json", "-v"]
    before, after = irctl(*given, *words), irctl(*words, *given)
    assert before == after
    assert irctl(words[0], *given, *words[1:]) == before


def test_a_global_option_outweighs_the_variable_in_either_place(irctl: Irctl, tmp_path: Path) -> None:
    for words in (["--home", str(tmp_path / "x"), "doctor", "--json"], ["doctor", "--json", "--home", str(tmp_path / "x")]):
        assert irctl(*words).json["settings"]["home"] == {"value": str(tmp_path / "x"), "origin": "--home"}
    assert irctl("doctor", "--json").json["settings"]["home"]["origin"] == "IRCTL_HOME"


def test_the_option_after_the_verb_is_the_last_word(irctl: Irctl, tmp_path: Path) -> None:
    done = irctl("--home", str(tmp_path / "first"), "doctor", "--json", "--home", str(tmp_path / "second"))
    assert done.json["settings"]["home"]["value"] == str(tmp_path / "second")
