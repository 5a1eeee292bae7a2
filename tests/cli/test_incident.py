"""irctl incident: the life of an incident on the command line, and what is refused."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import listing, only_object
from tests.cli.test_completion import completed
from tests.conftest import Done, Irctl

Refused = Callable[..., str]
OPEN = ["incident", "open", "--title", "API answers with errors", "--severity", "P1"]


@pytest.fixture
def incident(irctl: Irctl) -> str:
    done = irctl(*OPEN, "--json")
    assert done.code == 0, done
    found: str = done.json["incident"]
    return found


def given(irctl: Irctl, text: bytes, *words: str) -> Done:
    """Run the command with this on its standard input."""
    settings = {"IRCTL_HOME": str(irctl.home), "IRCTL_INVENTORY": str(irctl.inventory), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "irctl", *words], input=text, capture_output=True, env={**settings, **irctl.environment}
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def on_a_terminal(irctl: Irctl, answer: str, *words: str, **environment: str) -> tuple[int, str]:
    """Run the command on a terminal of its own, with this typed; return its code and what was shown."""
    settings = {"IRCTL_HOME": str(irctl.home), "IRCTL_INVENTORY": str(irctl.inventory), "PATH": os.environ["PATH"], "TERM": "xterm"}
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    around = settings | irctl.environment | environment
    process = subprocess.Popen([sys.executable, "-m", "irctl", *words], stdin=theirs, stdout=theirs, stderr=theirs, env=around)
    os.close(theirs)
    shown = b""
    while True:
        try:
            some = os.read(ours, 4096)
        except OSError:
            break
        if not some:
            break
        shown += some
    os.close(ours)
    return process.wait(timeout=30), shown.decode()


def notes(irctl: Irctl, incident: str) -> list[str]:
    return [line["what"] for line in irctl("incident", "timeline", incident, "--json").json["lines"]][1:]


def test_an_incident_from_open_to_closed(irctl: Irctl) -> None:
    done = irctl(*OPEN, "--component", "api", "--commander", "bea", IRCTL_PRINCIPAL="ana@example.com")
    incident = done.out.split()[0]
    assert done.out.startswith(f"{incident} opened as P1 (High) of linguamate.")
    assert incident.startswith(f"INC-{datetime.now(UTC):%Y-}")
    for words, said in (
        (["ack", incident], "acknowledged"),
        (["note", "001", "Rolled back to release 41"], "noted"),
        (["assign", "001", "ops-team"], "is assigned to ops-team"),
        (["assign", "001", "cem", "--commander"], "is commanded by cem"),
        (["communicated", "001", "--where", "chat"], "told: chat"),
        (["impact", "001", "--users", "about 500", "--data", "none", "--urgency", "ongoing,high"], "assessed"),
        (["severity", "001", "p0"], "is P0 (Critical)"),
        (["status", "001", "mONITORING"], "is Monitoring"),
        (["status", "001", "resolved"], "is Resolved"),
    ):
        done = irctl("incident", *words)
        assert (done.code, done.out, done.err) == (0, f"{incident} {said}\n", ""), done
    done = irctl("incident", "close", "001")
    assert done.out.splitlines()[0] == f"{incident} closed"
    assert "  still missing: the root cause analysis has 5 blanks left to fill in: rca.md" in done.out.splitlines()
    assert irctl("incident", "list").out == "No incident is open.\n"
    assert irctl("incident", "list", "--all").out.split()[:4] == [incident, "P0", "Resolved,", "closed"]
    assert irctl("incident", "reopen", "001", "The errors came back").out == f"{incident} is open again\n"
    shown = irctl("incident", "timeline", "001").out
    assert [line.partition("UTC  ")[2].partition(": ")[2] for line in shown.splitlines()] == [
        "opened as P1 (High): API answers with errors",
        "acknowledged",
        "Rolled back to release 41",
        "assigned to ops-team",
        "incident commander: cem",
        "told: chat",
        "impact: data none, state ongoing, user impact high, users about 500",
        "severity: P0 (Critical)",
        "status: Monitoring",
        "status: Resolved",
        "closed",
        "reopened: The errors came back",
    ]
    assert "ana@example.com: opened" in shown


def test_what_is_shown_says_which_clock_runs_out_when(irctl: Irctl, incident: str) -> None:
    irctl("incident", "ack", incident)
    shown = irctl("incident", "show", incident).out
    assert "API answers with errors" in shown
    [communicate] = [line for line in shown.splitlines() if "status page" in line]
    assert "9m left" in communicate
    assert "aureus" not in communicate, "where a rule is from is nothing for who follows a clock"
    [acknowledge] = [line for line in shown.splitlines() if "Acknowledge" in line]
    assert "  done 20" in acknowledge
    document = only_object(irctl("incident", "show", incident, "--json"))
    clocks = {one["name"]: one for one in document["clocks"]}
    assert document["schema"] == "irctl/incident/1"
    assert (clocks["acknowledge"]["state"], clocks["communicate"]["state"]) == ("met", "running")
    assert clocks["personal-data"]["state"] == "waiting"
    irctl("incident", "impact", incident, "--data", "exposure of addresses")
    clocks = {one["name"]: one for one in irctl("incident", "show", incident, "--json").json["clocks"]}
    assert (clocks["personal-data"]["state"], clocks["personal-data"]["left_seconds"] // 3600) == ("running", 71)


def test_a_clock_that_ran_out_is_red_on_a_terminal_only(irctl: Irctl) -> None:
    irctl.environment["IRCTL_SEVERITY_PROFILE"] = "spywatcher"
    irctl("incident", "open", "--title", "Down", "--severity", "sev1")
    code, shown = on_a_terminal(irctl, "", "incident", "show", "001")
    assert code == 0
    assert "\x1b[31mOVERDUE by " in shown
    plain = irctl("incident", "show", "001").out
    assert "OVERDUE by " in plain
    assert "\x1b" not in plain


def test_the_notice_is_ready_to_be_sent(irctl: Irctl, incident: str) -> None:
    said = irctl("incident", "show", incident, "--notice").out.splitlines()
    assert said[0] == "INCIDENT DETECTED"
    assert "Severity: P1" in said
    assert only_object(irctl("incident", "show", incident, "--notice", "--json"))["text"].splitlines() == said


def test_a_note_may_come_from_standard_input_and_have_lines(irctl: Irctl, incident: str) -> None:
    done = given(irctl, b"first\n\tsecond: gr\xc3\xb6\xc3\x9fe\n", "incident", "note", incident, "-")
    assert (done.code, done.out) == (0, f"{incident} noted\n")
    assert notes(irctl, incident) == ["first\n\tsecond: größe"]
    assert "first\n    ?second: größe\n" in irctl("incident", "timeline", incident).out


@pytest.mark.parametrize("text", [b"", b"\n\n", b"\xff\xfe", b"a\x1b[2J", b"x" * 2001, b"x" * 50_000, b"\xf0\x9f\x98\x80" * 5000])
def test_standard_input_that_is_no_note_is_refused(irctl: Irctl, incident: str, text: bytes) -> None:
    done = given(irctl, text, "incident", "note", incident, "-")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: TEXT: ")
    assert done.err.count("\n") == 1
    assert notes(irctl, incident) == []


# Which incident is meant


@pytest.mark.parametrize("way", ["argument", "option", "variable", "end"])
def test_an_incident_is_named_by_argument_option_or_variable(irctl: Irctl, incident: str, way: str) -> None:
    irctl(*OPEN)
    words = {"argument": [incident], "end": ["001"]}.get(way, [])
    more = ["--incident", incident] if way == "option" else []
    environment = {"IRCTL_INCIDENT": incident} if way == "variable" else {}
    assert irctl("incident", "note", *words, "said", *more, **environment).code == 0
    assert irctl("incident", "ack", *words, *more, **environment).code == 0
    assert notes(irctl, incident) == ["said", "acknowledged"]


def test_an_argument_beats_the_variable(irctl: Irctl, incident: str) -> None:
    other = irctl(*OPEN, "--json").json["incident"]
    irctl("incident", "note", other, "said", IRCTL_INCIDENT=incident)
    assert (notes(irctl, incident), notes(irctl, other)) == ([], ["said"])


@pytest.mark.parametrize("words", [["note", "x"], ["status", "resolved"], ["ack"], ["impact", "--users", "5"], ["show"]])
def test_without_a_terminal_an_incident_must_be_named(refused: Refused, incident: str, words: list[str]) -> None:
    said = refused("incident", *words)
    assert said == f"ID: it must be given, or IRCTL_INCIDENT set; open is {incident} (API answers with errors)"


def test_where_none_or_several_are_open_that_is_said(irctl: Irctl, refused: Refused) -> None:
    assert refused("incident", "ack") == "ID: it must be given, or IRCTL_INCIDENT set; none is open"
    first, second = (irctl(*OPEN, "--json").json["incident"] for _ in range(2))
    assert f"open are {second} (API" in refused("incident", "ack")
    assert first in refused("incident", "ack")


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_on_a_terminal_the_one_that_is_open_is_offered(irctl: Irctl, incident: str, answer: str, code: int) -> None:
    ended, shown = on_a_terminal(irctl, answer, "incident", "note", "said")
    assert (ended, f"{incident} (P1, API answers with errors) is open. Is it meant?" in shown) == (code, True), shown
    assert notes(irctl, incident) == (["said"] if code == 0 else [])


# What is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["open", "--severity", "P1"], "--title: it must be given"),
        (["open", "--title", "x"], "--severity: it must be given"),
        (["open", "--title", "", "--severity", "P1"], "--title: must not be empty"),
        (["open", "--title", "a\nb", "--severity", "P1"], "--title: control characters are refused, and so are line ends"),
        (["open", "--title", "x" * 2001, "--severity", "P1"], "--title: at most 2000 characters"),
        (["open", "--title", "x", "--severity", "urgent"], "--severity: not a severity of linguamate; known are P0 (Critical), P1"),
        (["open", "--title", "x", "--severity", "P1", "--component", "\x1b[2J"], "--component: control characters"),
        (["open", "--title", "x", "--severity", "P1", "--commander", ""], "--commander: must not be empty"),
        (["note"], "TEXT: it must be given"),
        (["note", "INC-2026-1121-001"], "TEXT: it must be given"),
        (["note", "001"], "TEXT: it must be given"),
        (["reopen", "001"], "REASON: it must be given"),
        (["note", "001", "two", "words"], "TEXT: one text is needed; put quotes around it"),
        (["note", "nosuch", "text"], "ID: an incident's id is needed"),
        (["note", "../../x", "text"], "ID: an incident's id is needed"),
        (["note", "", "text"], "ID: an incident's id is needed"),
        (["note", "777", "text"], "ID: no incident's id ends so"),
        (["show", "INC-2020-0101-001"], "ID: there is no incident of this id"),
        (["show", "--incident", "x"], "--incident: an incident's id is needed"),
        (["communicated", "001", "--where", "nowhere"], "--where: "),
        (["list", "x"], "command: "),
    ],
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(refused: Refused, words: list[str], said: str) -> None:
    assert refused("incident", *words).startswith(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "001", "Done"], "STATUS: one of Investigating, Identified, Monitoring, Resolved is needed (got 'Done')"),
        (["severity", "001", "P7"], "LEVEL: not a severity of linguamate"),
        (["note", "001", " "], "TEXT: must not be empty"),
        (["note", "001", "a\x1b]0;x\x07"], "TEXT: control characters are refused"),
        (["assign", "001", "a\nb"], "WHO: control characters"),
        (["reopen", "001", "a\u202eb"], "REASON: control characters"),
        (["impact", "001"], "impact: something must be said"),
        (["impact", "001", "--urgency", "soon"], "--urgency: words of state ongoing|stopped"),
        (["impact", "001", "--personal-data", "maybe"], "--personal-data: "),
        (["close", "001", "--resolution", ""], "--resolution: must not be empty"),
    ],
)
def test_bad_input_leaves_an_incident_as_it_was(refused: Refused, incident: str, words: list[str], said: str) -> None:
    assert refused("incident", *words).startswith(said)


def test_closing_what_is_not_resolved_needs_a_resolution(irctl: Irctl, refused: Refused, incident: str) -> None:
    said = refused("incident", "close", incident, code=5)
    assert said.startswith(
        f"{incident} is Investigating. Say how it was resolved with --resolution, or: irctl incident status {incident}"
    )
    assert irctl("incident", "close", incident, "--resolution", "A false alarm").code == 0
    assert irctl("incident", "show", incident, "--json").json["resolution"] == "A false alarm"


def test_what_is_closed_takes_no_note(irctl: Irctl, refused: Refused, incident: str) -> None:
    irctl("incident", "close", incident, "--resolution", "done")
    assert refused("incident", "note", incident, "more", code=5).startswith(f"{incident} is closed since ")
    assert refused("incident", "close", incident, code=5).startswith(f"{incident} is closed since ")
    assert refused("incident", "close", incident, "--resolution", "again", code=5).startswith(f"{incident} is closed since ")
    assert irctl("incident", "communicated", incident, "--where", "authority").code == 0, "that may take three days"


def test_an_unknown_severity_profile_is_refused(refused: Refused) -> None:
    said = refused(*OPEN, IRCTL_SEVERITY_PROFILE="nosuch")
    assert said.startswith("severity_profile: not a severity profile; known are linguamate, aureus, spywatcher, custody, crypto")


@pytest.mark.parametrize(
    ("profile", "severity", "level"),
    [("aureus", "p0", "P0"), ("spywatcher", "SEV-2", "SEV-2"), ("custody", "major", "P2"), ("cryptoorchestrator", "LOW", "Low")],
)
def test_every_severity_profile_can_be_in_force(irctl: Irctl, profile: str, severity: str, level: str) -> None:
    done = irctl("incident", "open", "--title", "x", "--severity", severity, "--json", IRCTL_SEVERITY_PROFILE=profile)
    assert (done.json["severity"], done.json["profile"]) == (level, profile)
    assert irctl("incident", "show", "001").code == 0, "as it was opened, whatever is in force later"


# Reading


def test_a_broken_journal_is_named_and_does_not_hide_the_others(irctl: Irctl, incident: str) -> None:
    other = irctl(*OPEN, "--json").json["incident"]
    path = irctl.home / "incidents" / incident / "journal.jsonl"
    path.write_bytes(path.read_bytes() + path.read_bytes())
    done = irctl("incident", "list")
    assert (done.code, done.out.split()[0], done.out.count("\n")) == (8, other, 1)
    assert "the chain breaks at line 2" in done.err
    done = irctl("incident", "show", incident)
    assert (done.code, done.err.count("\n")) == (8, 1)
    assert "Traceback" not in done.err


@pytest.mark.parametrize("words", [["list"], ["list", "--all"], ["show", "001"], ["show", "001", "--notice"], ["timeline", "001"]])
def test_looking_writes_nothing(irctl: Irctl, incident: str, tmp_path: Path, words: list[str]) -> None:
    before = listing(tmp_path)
    assert irctl("incident", *words).code == 0
    only_object(irctl("incident", *words, "--json"))
    assert listing(tmp_path) == before


def test_without_a_home_nothing_is_listed_and_none_is_made(irctl: Irctl) -> None:
    assert irctl("incident", "list").out == "No incident is open.\n"
    assert only_object(irctl("incident", "list", "--json")) == {"schema": "irctl/incidents/1", "incidents": []}
    assert not irctl.home.exists()


def test_every_change_prints_the_incident_as_an_object(irctl: Irctl, incident: str) -> None:
    for words in (["note", "001", "x"], ["status", "001", "resolved"], ["ack", "001"], ["close", "001"], ["reopen", "001", "x"]):
        document = only_object(irctl("incident", *words, "--json"))
        assert (document["schema"], document["incident"]) == ("irctl/incident/1", incident)
    assert json.dumps(document["missing"])


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("irctl incident sh", ["show"]),
        ("irctl incident note INC", ["{}"]),
        ("irctl incident show INC", ["{}"]),
        ("irctl incident status 001 mon", ["Monitoring"]),
        ("irctl incident open --severity p", ["P0", "P1", "P2", "P3"]),
        ("irctl incident communicated 001 --where stat", ["status-page"]),
    ],
)
def test_what_was_begun_is_completed(irctl: Irctl, incident: str, words: str, offered: list[str]) -> None:
    assert completed(irctl, words) == [one.format(incident) for one in offered]


def test_showing_an_incident_does_not_load_the_engine(irctl: Irctl, incident: str) -> None:
    script = "import sys; from irctl.cli.app import main\ntry: main(['incident', 'note', '001', 'x'])\nexcept SystemExit: pass\n"
    script += "print(sorted({'jinja2', 'ansible', 'ansible_runner', 'boto3', 'rich', 'psycopg'} & sys.modules.keys()))"
    assert irctl.python(script).out.splitlines()[-1] == "[]"
