"""`last` in the place of an id: the newest run wherever a run is named, and refused where ids are what counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import only_object
from tests.cli.test_completion import completed
from tests.conftest import Irctl

Refused = Callable[..., str]
OPEN = ["incident", "open", "--title", "API answers with errors", "--severity", "P1"]


@pytest.fixture
def newest(irctl: Irctl) -> str:
    """The newer one of two runs; its host did not answer."""
    for limit in ("6", "7"):
        assert irctl("remediate", "db-connections", "--host", "db1", "--max", limit).code == 4
    run: str = only_object(irctl("runs", "last", "--json"))["run"]
    return run


def test_the_newest_run_is_verified_and_undone_and_named_first(irctl: Irctl, newest: str) -> None:
    verified = irctl("evidence", "verify", "last")
    assert (verified.code, verified.out.startswith(f"{newest} is as it was sealed")) == (0, True), verified
    undone = irctl("revert", "last")
    assert undone.code == 5, undone
    first, refusal = undone.err.splitlines()
    assert first == f"last: {newest}"
    assert irctl("remediate", "db-connections", "--host", "db1", "--check").code == 4
    assert irctl("diagnose", "postgres", "--host", "db1").code == 4
    assert irctl("revert", "last").err.splitlines() == [first, refusal], "what only looked is passed over"
    assert refusal.startswith("error: what db-connections changes cannot be undone")
    assert irctl("revert", newest).err.splitlines() == [refusal], "an id is not said again"


@pytest.mark.parametrize(("words", "why"), [
    (["revert", "last"], "RUN: there is no such run"),
    (["evidence", "verify", "last"], "RUN: there is no such run"),
    (["leases", "end", "last"], "RUN: no lease of 'last' is on; `irctl leases` lists them"),
    (["leases", "extend", "last", "--for", "1h"], "RUN: no lease of 'last' is on; `irctl leases` lists them"),
    (["leases", "close", "last", "a reason"], "RUN: no lease of 'last' is on; `irctl leases` lists them"),
    (["incident", "show", "last"], "ID: no incident was opened yet (got 'last')"),
])  # fmt: skip
def test_where_there_is_none_that_is_said(refused: Refused, words: list[str], why: str) -> None:
    assert refused(*words) == why


def test_what_is_signed_is_named_by_its_id(refused: Refused, irctl: Irctl, newest: str) -> None:
    assert newest
    for words in (["approve", "last", "--as", "security"], ["approvals", "last"], ["approvals", "show", "last"],
                  ["approvals", "revoke", "last", "--as", "security", "--reason", "wrong cluster"]):  # fmt: skip
        assert refused(*words) == "PLAN: what is signed or runs is named by its id; `irctl approvals` lists them (got 'last')"
    said = refused("approvals", "countersign", "last", "--as", "security")
    assert said == "RUN: what is signed is named by its id; `irctl runs` lists them (got 'last')"


def test_the_newest_incident_is_shown_and_never_written_to(refused: Refused, irctl: Irctl) -> None:
    ids = [irctl(*OPEN, "--json").json["incident"] for _ in range(2)]
    assert only_object(irctl("incident", "show", "last", "--json"))["incident"] == ids[1]
    assert irctl("incident", "timeline", "--incident", "last").code == 0
    why = "that is whichever anybody opened last; name it by its id: `irctl incident list` lists them (got 'last')"
    for words in (["incident", "close", "last"], ["incident", "note", "last", "x"], ["evidence", "hold", "last", "x"],
                  ["remediate", "db-connections", "--host", "db1", "--incident", "last"]):  # fmt: skip
        assert refused(*words).partition(": ")[2] == why


def test_the_end_of_an_incidents_id_is_enough_for_a_run_too(irctl: Irctl, refused: Refused) -> None:
    incident = irctl(*OPEN, "--json").json["incident"]
    done = irctl("remediate", "db-connections", "--host", "db1", "--incident", "001", "--json")
    assert (done.code, done.json["incident"]) == (4, incident)
    assert "no incident's id ends so" in refused("remediate", "db-connections", "--host", "db1", "--incident", "002")


def test_last_is_offered_where_it_is_taken(irctl: Irctl, newest: str) -> None:
    for words in ("irctl revert l", "irctl runs l", "irctl evidence verify l"):
        assert completed(irctl, words) == ["last"], words
    assert completed(irctl, "irctl leases end l") == [], "no lease is on"
