"""Collecting files for an incident and holding them, as commands."""

from __future__ import annotations

import json

import pytest

from irctl.record import journal
from tests.cli.conftest import listing
from tests.integration.incidents.packs import Case


def test_collecting_says_what_it_skipped_and_ends_with_3(case: Case) -> None:
    (case.logs / "link").unlink(missing_ok=True)
    (case.logs / "link").symlink_to("app/1.log")
    words = ["evidence", "collect", str(case.logs), "--incident", case.incident, "--root", str(case.logs.parent)]
    done = case.irctl(*words)
    (case.logs / "link").unlink()
    assert done.code == 3
    assert done.err == f"skipped  {case.logs}/link: not a regular file: a link\n"
    assert f"{case.incident}: 40 files, " in done.out
    assert json.loads(case.irctl(*words, "--json").out)["schema"] == "irctl/collected/1"


BAD = {
    "no root": ["--incident", "ID"],
    "no incident": ["--root", "/"],
    "an incident that is none": ["--root", "/", "--incident", "INC-2020-0101-001"],
    "a size without a unit": ["--root", "/", "--incident", "ID", "--largest", "100"],
    "a label with a slash": ["--root", "/", "--incident", "ID", "--label", "../x"],
    "another kind": ["--root", "/", "--incident", "ID", "--as", "rubbish"],
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_to_collecting_is_refused_and_nothing_is_written(case: Case, what: str) -> None:
    before = listing(case.home)
    words = [case.incident if word == "ID" else word for word in BAD[what]]
    done = case.irctl("evidence", "collect", str(case.logs), *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert listing(case.home) == before


def test_a_legal_hold_is_written_down_once_and_shown(case: Case) -> None:
    hold = ["evidence", "hold", case.incident, "Claim 4711"]
    assert case.irctl(*hold, "--json").json == {
        "schema": "irctl/hold/1", "incident": case.incident, "changed": True, "held": "Claim 4711"
    }  # fmt: skip
    assert case.irctl(*hold).out == f"{case.incident} is on legal hold: Claim 4711 (it was before)\n"
    assert "Claim 4711" in case.irctl("incident", "show", case.incident).out
    case.pack()
    assert "  on legal hold: Claim 4711\n" in case.irctl("evidence", "verify", case.incident).out
    release = ["evidence", "release", case.incident, "Settled"]
    assert case.irctl(*release).out == f"{case.incident} is not on legal hold\n"
    assert case.irctl(*release).out == f"{case.incident} is not on legal hold (it was before)\n"
    told = [entry["event"] for entry in journal.read(case.folder)]
    assert told.count("held") == told.count("released") == 1
