"""The list of runs and its words, in front of hosts that do not answer; and what -q keeps silent about."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from irctl.cli.error_objects import schema_of
from tests.cli.conftest import only_object
from tests.conftest import Irctl
from tests.schemas import require_valid


def test_runs_are_listed_filtered_shown_and_compared(irctl: Irctl) -> None:
    for words in (["--host", "db1", "--check"], ["--host", "prod", "--max", "7"]):
        assert irctl("remediate", "db-connections", *words).code == 4
    listed = irctl("runs").out.splitlines()
    assert listed[0].split() == ["RUN", "AGE", "OUTCOME", "HOSTS"]
    assert [line.split()[2:] for line in listed[1:]] == [["unreachable", "db1,", "db2"], ["unreachable", "db1"]]
    rows = only_object(irctl("runs", "--json"))["runs"]
    for words, number in (
        (["--host", "db2"], 1), (["--verb", "check"], 1), (["--outcome", "unreachable"], 2), (["--outcome", "failed"], 0),
        (["--since", "1h"], 2), (["--since", "2100-01-01"], 0), (["--text", "DOES NOT ANSWER"], 2), (["--text", "zebra"], 0),
        (["--last", "1"], 1), (["--host", "db1", "--verb", "remediate"], 1),
    ):  # fmt: skip
        found = only_object(irctl("runs", "--json", *words))
        require_valid(found)
        assert len(found["runs"]) == number, (words, found)
    assert irctl("runs", "last").out.splitlines()[0].startswith(rows[0]["run"])
    assert only_object(irctl("runs", "last", "--verb", "check", "--json"))["run"] == rows[1]["run"]
    different = only_object(irctl("runs", "diff", rows[1]["run"], "last", "--json"))
    require_valid(different)
    told = {row["what"]: (row["first"], row["second"]) for row in different["differences"]}
    assert (told["check"], told["settings.db1.db_connections_max"]) == ((True, False), (100, 7))
    assert "db_connections_max" in irctl("runs", "diff", rows[1]["run"], rows[0]["run"]).out
    assert irctl("runs", "diff", "last", "last").out.startswith("They do not differ")


def test_what_is_no_record_of_its_run_is_warned_of_and_the_others_are_listed(irctl: Irctl) -> None:
    assert irctl("remediate", "db-connections", "--host", "db1").code == 4
    [run] = (irctl.home / "runs").iterdir()
    others = [run.with_name(f"20200101T000000Z-x-{number}{number}{number}{number}{number}{number}") for number in range(3)]
    for folder in others:
        folder.mkdir()
    (others[0] / "run.json").write_text('{"run": 1}')
    (others[1] / "run.json").write_bytes((run / "run.json").read_bytes())
    os.mkfifo(others[2] / "run.json")
    (irctl.home / "open" / others[0].name).symlink_to("/etc/passwd")
    for folder in ("drills/INC-2020-0101-001", "uncountersigned", "leases"):
        (irctl.home / folder).mkdir(parents=True)
    for pipe in (f"uncountersigned/{run.name}.json", f"leases/{others[0].name}.json", "keeper.json"):
        os.mkfifo(irctl.home / pipe)
    done = irctl("runs")
    assert (done.code, len(done.out.splitlines())) == (0, 2), done
    assert f"warning: {others[1]} is the record of {run.name}" in done.err
    assert done.err.count("warning") == 5, "of a lease and of broken glass too"


def test_a_home_without_runs_is_named_lest_it_be_the_wrong_one(irctl: Irctl) -> None:
    assert irctl("runs").out == f"There are no runs in {irctl.home} yet.\n"
    assert irctl("runs", "--host", "db1").out == "There are no such runs.\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["last"], "RUN: there is no such run"),
        (["diff", "last"], "`diff` and two runs are needed"),
        (["a", "b"], "RUN: one run, or `last`"),
        (["--since", "yesterday"], "--since: a duration such as 24h, or a date such as 2026-11-21, is needed"),
        (["--since", "2026-13-40"], "--since: a duration"),
        (["--verb", "mend"], "--verb: one of remediate, check"),
        (["--outcome", "good"], "--outcome: one of changed, unchanged"),
    ],
)
def test_what_names_no_run_is_refused(refused: Callable[..., str], words: list[str], why: str) -> None:
    assert why in refused("runs", *words)


def test_quiet_says_only_what_needs_a_look(irctl: Irctl) -> None:
    done = irctl("remediate", "db-connections", "--host", "db1", "-q")
    assert (done.code, done.err) == (4, "")
    assert done.out.startswith("db1  unreachable  ")
    as_json = irctl("-q", "remediate", "db-connections", "--host", "db1", "--json")
    assert only_object(as_json)["outcome"] == "unreachable"


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        (["runs", "x", "--json"], "irctl/runs/1"),
        (["--json", "runs", "diff", "a"], "irctl/runs-difference/1"),
        (["--home", "doctor", "--json", "catalog", "nosuch"], "irctl/catalog/1"),
        (["evidence", "--json", "verify"], "irctl/verification/1"),
        (["lab", "fault", "x"], "irctl/run/1"),
        (["remediate", "runs", "diff"], "irctl/run/1"),
        (["nosuch"], "irctl/run/1"),
        ([], "irctl/run/1"),
    ],
)
def test_an_error_has_the_schema_of_its_command(words: list[str], schema: str) -> None:
    assert schema_of(words) == schema


def test_an_error_of_each_command_is_as_its_own_schema_says(irctl: Irctl) -> None:
    commands = ["runs nosuch", "diagnose postgres", "plan nosuch", "doctor --nosuch", "incident show 9", "lab nosuch"]
    for words in map(str.split, commands):
        document = only_object(irctl(*words, "--json"))
        require_valid(document)
        assert document["schema"] == schema_of(words)
        assert {"outcome", "exit_code", "reason"} <= document.keys()
