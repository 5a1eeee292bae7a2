"""A drill makes a fault, mends it as in earnest, and says truly what came of it; then everything is as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from irctl.errors import BUSY, DONE, FAILED, INVALID, REFUSED, UNREACHABLE
from irctl.lab.lab import Postgres
from tests.cli.conftest import only_object
from tests.conftest import Done, Irctl, Sessions
from tests.integration.conftest import Collection
from tests.integration.drills.practice import Practice
from tests.schemas import faults


@pytest.fixture
def practice(collection: Collection, tmp_path: Path) -> Practice:
    return Practice(collection, tmp_path)


def verdict(done: Done) -> tuple[str, int]:
    """The one verdict and the exit code, of an object that fits its schema."""
    document = only_object(done)
    assert faults("drill-1", document) == []
    assert document["exit_code"] == done.code
    (drill,) = document["drills"]
    return drill["verdict"], done.code


def steps(done: Done) -> list[tuple[str, str]]:
    return [(step["step"], step["outcome"]) for step in done.json["drills"][0]["steps"]]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Practice, Done]:
    """A drill that went well, which nobody changes any more."""
    folder = tmp_path_factory.mktemp("good")
    practice = Practice(Collection(folder), folder)
    return practice, practice.drill()


def test_what_is_mended_by_the_remediation_is_fixed_and_all_is_as_it_was(good: tuple[Practice, Done]) -> None:
    practice, done = good
    assert verdict(done) == ("fixed", DONE), done
    assert steps(done) == [
        ("before", "unchanged"), ("fault", "changed"), ("detect", "failed"), ("mend", "changed"),
        ("verify", "unchanged"), ("restore", "unchanged"), ("after", "unchanged"),
    ]  # fmt: skip
    assert practice.state == "well"
    drill = done.json["drills"][0]
    assert 0 < drill["detect"] < drill["mitigate"] < drill["seconds"]


def test_each_of_its_steps_has_a_sealed_record_that_says_drill(good: tuple[Practice, Done]) -> None:
    practice, done = good
    for step in done.json["drills"][0]["steps"]:
        assert practice.irctl("evidence", "verify", step["run"]).code == 0
        begun = json.loads((practice.irctl.home / "runs" / step["run"] / "run.json").read_text())
        assert (begun["drill"], begun["incident"]) == (True, done.json["drills"][0]["incident"])


def test_its_incident_is_marked_closed_without_clocks_and_never_the_one_that_is_open(good: tuple[Practice, Done]) -> None:
    practice, done = good
    incident = done.json["drills"][0]["incident"]
    (found,) = practice.incidents("--all")
    assert (found["incident"], found["drill"], found["closed"]) == (incident, True, True)
    assert practice.irctl("incident", "show", incident, "--json").json["clocks"] == []
    assert "a drill" in practice.irctl("incident", "show", incident).out
    assert practice.events(incident)[-1]["resolution"] == "fixed"
    assert practice.incidents() == []


def test_it_needed_no_approval_which_the_same_remediation_in_earnest_does(good: tuple[Practice, Done]) -> None:
    practice, _ = good
    refused = practice.irctl("remediate", "bulb", "--host", "here")
    assert refused.code == REFUSED
    assert "incident-commander" in refused.err


def test_a_remediation_that_mends_nothing_is_not_fixed(practice: Practice) -> None:
    practice.mood("main-idle", "main-claims")
    done = practice.drill()
    assert verdict(done) == ("not fixed", FAILED)
    assert "It is broken." in done.json["drills"][0]["why"]
    assert done.json["drills"][0]["mitigate"] is None
    assert practice.state == "well", "it is restored all the same"


def test_a_remediation_that_fails_is_not_fixed(practice: Practice) -> None:
    practice.mood("main-bad")
    assert verdict(practice.drill()) == ("not fixed", FAILED)
    assert practice.state == "well"


def test_what_is_not_as_it_was_at_the_end_is_worse(practice: Practice) -> None:
    practice.mood("restore-harms")
    done = practice.drill()
    assert verdict(done) == ("worse", FAILED)
    assert done.json["drills"][0]["why"] == "it is not as it was before: here: Verify: It is worse."
    assert practice.state == "worse"


def test_a_remediation_that_hits_the_decoy_hit_the_wrong_thing_although_it_mended_the_fault(practice: Practice) -> None:
    practice.has_decoy()
    spared = practice.drill()
    assert verdict(spared) == ("fixed", 0)
    assert [step["step"] for step in spared.json["drills"][0]["steps"]][3:6] == ["mend", "verify", "decoy"]
    practice.mood("main-hits")
    done = practice.drill()
    assert verdict(done) == ("hit the wrong thing", FAILED)
    assert done.json["drills"][0]["why"] == "here: Verify: The neighbour sits in the dark."
    assert done.json["drills"][0]["mitigate"] is None
    assert practice.state == "well"
    assert practice.irctl("drill", "due", "--host", "here").code == FAILED, "it is due at once"


def test_a_fault_that_does_not_show_leaves_nothing_to_do(practice: Practice) -> None:
    practice.mood("fault-idle")
    done = practice.drill("--detect-within", "5s")
    assert verdict(done) == ("nothing to do", FAILED)
    assert "main" not in {step["step"] for step in done.json["drills"][0]["steps"]}
    assert not practice.begun("main"), "there was nothing to mend"
    assert done.json["drills"][0]["why"] == "the fault did not show within 5 s"


def test_where_the_trouble_is_there_already_no_fault_is_made(practice: Practice) -> None:
    practice.file.write_text("broken\n")
    done = practice.drill()
    assert verdict(done) == ("unknown", FAILED)
    assert "the trouble is there already" in done.json["drills"][0]["why"]
    assert (practice.state, practice.begun("fault"), practice.begun("restore")) == ("broken", False, False)


def test_a_fault_that_cannot_be_made_proves_nothing(practice: Practice) -> None:
    practice.mood("fault-bad")
    done = practice.drill()
    assert verdict(done) == ("unknown", FAILED)
    assert "the fault could not be made" in done.json["drills"][0]["why"]
    assert (practice.begun("main"), practice.begun("restore"), practice.state) == (False, True, "well")


def test_a_trouble_that_goes_away_by_itself_proves_nothing(practice: Practice) -> None:
    path = practice.root / "roles" / "bulb" / "tasks" / "main.yml"
    path.write_text(path.read_text().replace("changed_when: '''done'' in __put.stdout'", "changed_when: false"))
    done = practice.drill()
    assert verdict(done) == ("unknown", FAILED)
    assert "went away by itself" in done.json["drills"][0]["why"]


@pytest.mark.parametrize("host", ["prod", "mixed"])
def test_a_host_that_is_not_marked_takes_no_fault(practice: Practice, host: str) -> None:
    done = practice.drill(host=host)
    assert done.code == REFUSED
    assert done.err == "error: --host: the inventory does not mark prod with irctl_drills: allowed; nothing was run\n"
    assert practice.alone("drill", "run", "--all", "--host", host).code == REFUSED
    assert (practice.runs(), practice.incidents("--all"), practice.begun("fault")) == ([], [], False)


def test_a_template_is_no_mark(practice: Practice) -> None:
    inventory = practice.irctl.inventory
    inventory.write_text(inventory.read_text().replace("irctl_drills: allowed", "irctl_drills: \"{{ 'allowed' }}\""))
    assert practice.drill().code == REFUSED
    assert not practice.begun("fault")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--host", "here"], INVALID, "NAME: it must be given, or --all"),
        (["bulb", "--all", "--host", "here"], INVALID, "NAME: not together with --all"),
        (["bulp", "--host", "here"], INVALID, "Did you mean bulb?"),
        (["bulb"], INVALID, "--host: it must be given"),
        (["bulb", "--host", "all"], INVALID, "nothing ever means every host"),
        (["bulb", "--host", "here", "--detect-within", "1s"], INVALID, "--detect-within: at least 5s"),
        (["bulb", "--host", "here", "--incident", "INC-2026-1121-001"], INVALID, "--incident: no such option."),
        (["bulb", "--host", "heer"], UNREACHABLE, "not in the inventory. Did you mean here?"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_begun(practice: Practice, words: list[str], code: int, said: str) -> None:
    done = practice.irctl("drill", "run", *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("error: ")
    assert said in done.err
    assert practice.incidents("--all") == []


def test_all_names_what_is_not_drilled_and_why(practice: Practice, collection: Collection) -> None:
    points = {point: {"summary": "A fuse"} for point in ("fault", "verify")}
    collection.role("fuse", about={"needs": {"python": ["no_such_module"]}, "entry_points": points})
    collection.role("lamp")
    done = practice.alone("drill", "run", "--all", "--host", "here", "--json")
    assert verdict(done) == ("fixed", DONE), done
    lacking = {row["remediation"]: row["reason"] for row in done.json["not_drilled"]}
    assert lacking["lamp"] == "it has no entry point fault"
    assert lacking["fuse"] == "the Python module no_such_module is not installed; irctl doctor says how"
    practice.lacks("fault")
    assert practice.alone("drill", "run", "--all", "--host", "here").code == FAILED, "nothing was drilled, so nothing was proved"
    assert practice.irctl("drill", "run", "lamp", "--host", "here").code == REFUSED


def test_what_the_inventory_does_not_say_is_no_drill_rather_than_a_failed_one(practice: Practice) -> None:
    everywhere = ["main", *practice.entry_points]
    practice.parameters = {"socket": {"required": True, "description": "Which one.", "in": everywhere}}
    practice.says(drill_every="30d")
    done = practice.drill()
    assert (done.code, done.err.strip().endswith("the inventory does not say bulb_socket for here")) == (REFUSED, True), done
    assert practice.incidents("--all") == []
    practice.says(drill={"parameters": {"bulb_socket": "kitchen"}})
    assert verdict(practice.drill()) == ("fixed", DONE)


def test_two_drills_of_a_service_on_one_host_do_not_meet(practice: Practice, wait_until: Any) -> None:
    practice.mood("fault-slow")
    first = practice.start()
    wait_until(lambda: practice.begun("fault"), 120)
    second = practice.drill()
    assert second.code == BUSY
    assert second.err.startswith("error: here is busy: "), second.err
    assert len(practice.incidents("--all")) == 1
    first.terminate()
    first.communicate(timeout=60)


def test_while_everything_is_stopped_no_fault_is_made(practice: Practice) -> None:
    practice.irctl("stop", "the storage is being moved")
    assert practice.drill().code == REFUSED
    assert (practice.begun("fault"), practice.incidents("--all")) == (False, [])


def test_a_group_is_drilled_as_one_and_each_of_its_hosts_is_listed(practice: Practice) -> None:
    done = practice.drill("--scheduled", host="both")
    assert verdict(done) == ("fixed", DONE), done
    drill = done.json["drills"][0]
    assert (drill["hosts"], drill["names"], drill["scheduled"]) == (["here", "there"], ["both"], True)
    rows = practice.irctl("drill", "list", "--json").json
    assert faults("drills-1", rows) == []
    mine = [row for row in rows["drills"] if row["remediation"] == "bulb"]
    assert [(row["host"], row["overdue"], row["last"]["verdict"]) for row in mine] == [
        ("here", False, "fixed"),
        ("there", False, "fixed"),
    ]


def test_what_is_due_makes_ci_fail_and_if_due_drills_only_that(practice: Practice) -> None:
    due = practice.irctl("drill", "due", "--host", "here")
    assert due.code == FAILED
    assert ["bulb", "here", "never", "-", "DUE"] in [line.split() for line in due.out.splitlines()]
    assert verdict(practice.drill("--if-due")) == ("fixed", DONE)
    assert "bulb" not in practice.irctl("drill", "due", "--host", "here").out
    before = len(practice.runs())
    again = practice.drill("--if-due")
    assert (again.code, again.json["drills"]) == (DONE, [])
    assert len(practice.runs()) == before
    practice.says(drill_every="1s")
    assert "bulb" in practice.irctl("drill", "due", "--host", "here").out


def test_idle_sessions_on_a_real_server_are_drilled_and_nothing_is_left(irctl: Irctl, sessions: Sessions) -> None:
    mine = sessions.open(2, application="shop")
    done = irctl("drill", "run", "db-connections", "--host", "lab", "--json")
    assert verdict(done) == ("fixed", DONE), done
    assert sessions.alive(mine) == 2, "only what the fault made is ended"
    assert sessions.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'irctl-drill%'") == 0


def test_a_measure_on_a_real_server_is_undone_and_nothing_is_left(irctl: Irctl, server: Postgres, sessions: Sessions) -> None:
    databases = sessions.ask("SELECT array_agg(datname ORDER BY datname) FROM pg_database")
    done = irctl("drill", "run", "db-freeze-writes", "--host", "lab", "--json")
    assert verdict(done) == ("fixed", DONE), done
    assert [step for step, _ in steps(done)] == [
        "before",
        "fault",
        "detect",
        "mend",
        "verify",
        "decoy",
        "revert",
        "restore",
        "after",
    ]
    assert sessions.ask("SELECT array_agg(datname ORDER BY datname) FROM pg_database") == databases
    assert sessions.ask("SELECT count(*) FROM pg_db_role_setting WHERE 'default_transaction_read_only=on' = ANY(setconfig)") == 0
    with psycopg.connect(server.address("ops", "shop"), autocommit=True) as session:
        session.execute("CREATE TABLE IF NOT EXISTS ledger (n int); INSERT INTO ledger VALUES (1)")
