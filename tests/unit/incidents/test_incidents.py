"""Incidents: ids that no two share, a journal that loses nothing, and files that say what the journal says."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from irctl.errors import REFUSED, EvidenceError, Invalid, Refused
from irctl.incidents import checklist, incidents, reports
from irctl.record import documents, journal

PROCESSES, EACH = 8, 50


def opened(home: Path, title: str = "API answers with errors", severity: str = "P1", **more: str) -> str:
    return incidents.open_incident(home, "ana", title, severity, **more)


def add(home: Path, incident: str, event: str, **more: Any) -> None:
    incidents.record(home, incident, {"event": event, "by": "ana", **more})


def ran(home: Path, incident: str, run: str = "R1", outcome: str = "changed", *changed: str, **more: Any) -> None:
    about = {"run": run, "remediation": "db-connections", "entry_point": "main", "check": False, **more}
    add(home, incident, "run-started", hosts=["db1", "db2"], **about)
    add(home, incident, "run-ended", outcome=outcome, changed=list(changed), manifest="0" * 64, **about)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def incident(home: Path) -> str:
    return opened(home)


def folder_of(home: Path, incident: str) -> Path:
    return home / "incidents" / incident


# Ids and folders


def test_an_id_is_of_today_in_utc_and_counts_up(home: Path) -> None:
    before = datetime.now(UTC)
    found = [opened(home) for _ in range(3)]
    if before.date() == datetime.now(UTC).date():  # not at midnight
        assert found == [f"INC-{before:%Y-%m%d}-{number:03}" for number in (1, 2, 3)]
    assert incidents.listed(home) == found[::-1]


def test_folders_and_files_are_for_their_owner_only(home: Path, incident: str) -> None:
    reports.render(home, incident)
    assert stat.S_IMODE(folder_of(home, incident).stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder_of(home, incident).iterdir()} == {0o600}


def test_a_folder_whose_process_died_before_its_first_line_is_no_incident_and_keeps_its_number(home: Path, incident: str) -> None:
    left = folder_of(home, incident[:-3] + "002")
    left.mkdir()
    third = opened(home)
    assert third.endswith("-003")
    (left / "journal.jsonl").write_text('{"at":"20')
    assert incidents.listed(home) == [third, incident]
    with pytest.raises(Invalid, match="there is no incident of this id"):
        add(home, left.name, "note", text="x")


def test_when_the_numbers_of_a_day_are_used_up_opening_is_refused(home: Path, incident: str) -> None:
    folder_of(home, incident[:-3] + "999").mkdir()
    with pytest.raises(Refused, match="999 incidents were opened today"):
        opened(home)
    assert incidents.listed(home) == [incident]


def open_some(home: Path, number: int) -> list[str]:
    return [opened(home, f"{number}.{each}") for each in range(5)]


def test_eight_processes_that_open_at_once_get_ids_of_their_own(home: Path) -> None:
    with ProcessPoolExecutor(PROCESSES) as pool:
        found = [one for some in pool.map(open_some, [home] * PROCESSES, range(PROCESSES)) for one in some]
    assert len(set(found)) == PROCESSES * 5
    assert sorted(int(one[-3:]) for one in found) == list(range(1, PROCESSES * 5 + 1))
    titles = {incidents.state(home, one).title for one in found}
    assert titles == {f"{number}.{each}" for number in range(PROCESSES) for each in range(5)}


@pytest.mark.parametrize(
    ("title", "severity", "more", "said"),
    [
        ("", "P1", {}, "--title: must not be empty"),
        ("a\nb", "P1", {}, "--title: control characters are refused, and so are line ends"),
        ("a\x1b[31mb", "P1", {}, "--title: control characters"),
        ("a\u202eb", "P1", {}, "--title: control characters"),
        ("a\udcffb", "P1", {}, "--title: control characters"),
        ("x" * 2001, "P1", {}, "--title: at most 2000 characters, and these are 2001"),
        ("a", "P9", {}, "--severity: not a severity of linguamate"),
        ("a", "P1", {"profile": "nosuch"}, "severity_profile: not a severity profile"),
        ("a", "P1", {"component": "a\tb"}, "--component: control characters"),
        ("a", "P1", {"commander": "a\x00b"}, "--commander: control characters"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_written(
    home: Path, title: str, severity: str, more: dict[str, str], said: str
) -> None:
    with pytest.raises(Invalid) as caught:
        opened(home, title, severity, **more)
    assert str(caught.value).startswith(said)
    assert not home.exists()


# Finding one


@pytest.mark.parametrize("end", [0, 4, 9, -3])
def test_an_incident_is_found_by_its_id_or_the_end_of_it(home: Path, incident: str, end: int) -> None:
    assert incidents.find(home, incident[end:]) == incident
    assert incidents.find(home, incident[end:].lower()) == incident


def test_an_end_that_two_ids_have_names_none(home: Path, incident: str) -> None:
    other = folder_of(home, "INC-2020-0101-001")
    other.mkdir()
    (other / "journal.jsonl").write_bytes((folder_of(home, incident) / "journal.jsonl").read_bytes())
    with pytest.raises(Invalid, match=r"more than one incident's id ends so: INC-.*INC-2020-0101-001"):
        incidents.find(home, "001")
    assert incidents.find(home, "0101-001") == other.name


@pytest.mark.parametrize(
    "text",
    ["", "1", "01", "-001", "../../x", "a/b", "INC-2026-1121-0001", "INC-2026-1121-001\n", "inc 001", "%2e", "٠٠١", "001\x00", "*"],
)
def test_what_cannot_be_an_id_is_refused_before_any_look(home: Path, incident: str, text: str) -> None:
    with pytest.raises(Invalid, match="ID: an incident's id is needed"):
        incidents.find(home, text)
    with pytest.raises(Invalid, match="--incident: an incident's id is needed"):
        add(home, text, "note", text="x")


def test_an_id_that_is_not_there_is_refused_with_the_nearest_that_is(home: Path, incident: str) -> None:
    before = listing(home)
    with pytest.raises(Invalid, match=f"no incident of this id. Did you mean {incident}?"):
        add(home, incident[:-1] + "7", "note", text="x")
    with pytest.raises(Invalid, match=f"ID: there is no incident of this id. Did you mean {incident}?"):
        incidents.find(home, incident[:-1] + "7")
    with pytest.raises(Invalid, match="ID: no incident's id ends so"):
        incidents.find(home, "777")
    assert listing(home) == before


def test_the_one_that_is_open_is_known_only_where_there_is_one(home: Path, incident: str) -> None:
    found = incidents.single_open(home)
    assert found is not None
    assert found.incident == incident
    other = opened(home)
    assert incidents.single_open(home) is None
    add(home, incident, "closed")
    assert [state.incident for state in incidents.opened(home)] == [other]


def test_a_link_in_the_place_of_a_folder_is_not_followed(home: Path, incident: str, tmp_path: Path) -> None:
    real = folder_of(home, incident)
    real.rename(tmp_path / "elsewhere")
    real.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EvidenceError, match="cannot be read"):
        add(home, incident, "note", text="x")


# The journal


def test_each_entry_leaves_the_head_of_its_journal_in_the_journal_of_the_home(home: Path, incident: str) -> None:
    add(home, incident, "note", text="one")
    add(home, incident, "note", text="größe")
    lines = (folder_of(home, incident) / "journal.jsonl").read_bytes().splitlines()
    heads = [entry for entry in journal.read(home) if entry["event"] == "incident-head"]
    assert [(head["incident"], head["incident_seq"], head["head"]) for head in heads] == [
        (incident, number, hashlib.sha256(line).hexdigest()) for number, line in enumerate(lines, 1)
    ]


def test_an_entry_cannot_bring_its_own_number_or_time(home: Path, incident: str) -> None:
    add(home, incident, "note", text="x", seq=9, at="2020", prev="x", monotonic=0)
    last = incidents.entries(home, incident)[-1]
    assert (last["seq"], last["at"][:4] > "2020", last["monotonic"] > 0) == (2, True, True)


def test_an_entry_that_the_journal_cannot_hold_is_lost_evidence_and_nothing_was_added(home: Path, incident: str) -> None:
    with pytest.raises(EvidenceError, match="bytes is more than"):
        add(home, incident, "run-ended", changed=["h" * 100] * 10_000)
    assert incidents.state(home, incident).entries == 1


def note_some(home: Path, incident: str, writer: int) -> None:
    for number in range(EACH):
        add(home, incident, "note", text=f"{writer}.{number}")


def test_eight_processes_that_write_at_once_lose_nothing_and_the_chain_reads(home: Path, incident: str) -> None:
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(note_some, [home] * PROCESSES, [incident] * PROCESSES, range(PROCESSES)))
    notes = [entry["text"] for entry in incidents.entries(home, incident) if entry["event"] == "note"]
    assert len(notes) == PROCESSES * EACH
    assert set(notes) == {f"{writer}.{number}" for writer in range(PROCESSES) for number in range(EACH)}
    heads = [entry["incident_seq"] for entry in journal.read(home) if entry["event"] == "incident-head"]
    assert heads == list(range(1, PROCESSES * EACH + 2)), "in order, none left out"


ENDLESS = """
import sys
from pathlib import Path
from irctl.incidents import incidents
home, incident = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
while True:
    if incident:
        incidents.record(home, incident, {"event": "note", "by": "ana", "text": "x" * 9000})
    else:
        incidents.open_incident(home, "ana", "x" * 1900, "P1")
"""


@pytest.mark.parametrize("what", ["notes", "opens"])
def test_whatever_is_killed_while_it_writes_leaves_what_the_next_command_can_read(home: Path, incident: str, what: str) -> None:
    for _ in range(8):
        words = [sys.executable, "-c", ENDLESS, str(home), incident if what == "notes" else ""]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.uniform(0.002, 0.06))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert [incidents.state(home, one) for one in incidents.listed(home)]
        add(home, incident, "note", text="after")
    assert incidents.entries(home, incident)[-1]["text"] == "after"
    assert list(journal.read(home))
    assert opened(home) == incidents.listed(home)[0]


@pytest.mark.parametrize("torn", [b'{"seq":2,"ev', b"\x00\xff", b'{"seq":2}'])
def test_a_line_that_its_writer_did_not_finish_was_never_said(home: Path, incident: str, torn: bytes) -> None:
    with (folder_of(home, incident) / "journal.jsonl").open("ab") as file:
        file.write(torn)
    assert incidents.state(home, incident).entries == 1
    add(home, incident, "note", text="after")
    assert [entry["event"] for entry in incidents.entries(home, incident)] == ["opened", "note"]


def test_tampering_is_found_and_its_line_named(home: Path, incident: str) -> None:
    add(home, incident, "note", text="one")
    add(home, incident, "note", text="two")
    path = folder_of(home, incident) / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"one"', b'"0ne"'))
    with pytest.raises(EvidenceError, match=r"the chain breaks at line 3"):
        incidents.state(home, incident)
    with pytest.raises(EvidenceError, match=r"the chain breaks at line 3"):
        add(home, incident, "note", text="three")


def test_a_journal_that_makes_no_sense_is_said_so(home: Path, incident: str) -> None:
    add(home, incident, "status", status="Perplexed")
    with pytest.raises(EvidenceError, match="makes no sense at entry 2"):
        incidents.state(home, incident)


# What an incident is


def test_what_an_incident_is_now_is_what_its_journal_tells(home: Path) -> None:
    incident = opened(home, component="api", commander="bea", profile="spywatcher", severity="high")
    add(home, incident, "assigned", who="ops-team")
    add(home, incident, "assigned", who="cem", role="commander")
    add(home, incident, "acknowledged")
    add(home, incident, "communicated", where="status-page")
    add(home, incident, "impact", impact={"users": "500", "data": "none"})
    add(home, incident, "impact", impact={"users": "600"})
    ran(home, incident, "R1", "changed", "db1")
    add(home, incident, "approved", plan_hash="abc", principal="dan")
    add(home, incident, "lease-armed", run="R1", seconds=60)
    add(home, incident, "held", reason="court order")
    add(home, incident, "status", status="Monitoring")
    found = incidents.state(home, incident)
    assert (found.severity, found.profile, found.component) == ("SEV-2", "spywatcher", "api")
    assert (found.commander, found.assigned, found.status, found.held) == ("cem", "ops-team", "Monitoring", "court order")
    assert (found.impact, found.personal_data) == ({"users": "600", "data": "none"}, "no")
    assert (found.runs["R1"]["outcome"], found.runs["R1"]["hosts"]) == ("changed", ["db1", "db2"])
    assert (found.approvals[0]["principal"], found.leases["R1"]["state"], found.entries) == ("dan", "on", 13)
    assert set(found.times) == {"opened", "commander", "acknowledged", "communicated", "monitoring"}
    add(home, incident, "lease-ended", run="R1", how="reverted")
    add(home, incident, "released")
    found = incidents.state(home, incident)
    assert (found.leases["R1"]["state"], found.held) == ("ended", "")


def test_going_back_in_status_forgets_that_it_was_resolved_and_packed(home: Path, incident: str) -> None:
    add(home, incident, "packed")
    assert "packed" not in incidents.state(home, incident).times, "a pack of an incident under way is not the last"
    add(home, incident, "status", status="Resolved")
    add(home, incident, "packed")
    assert {"resolved", "monitoring", "packed"} <= set(incidents.state(home, incident).times)
    add(home, incident, "status", status="Identified")
    assert set(incidents.state(home, incident).times) == {"opened", "identified"}


@pytest.mark.parametrize("event", ["note", "status", "run-started", "approved", "closed", "lease-armed", "collected", "impact"])
def test_nothing_is_begun_in_an_incident_that_is_closed(home: Path, incident: str, event: str) -> None:
    add(home, incident, "closed", resolution="done")
    before = listing(home)
    with pytest.raises(Refused, match=f"{incident} is closed since .* To add to it: irctl incident reopen {incident}") as caught:
        add(home, incident, event, status="Identified", entry_point="main")
    assert caught.value.exit_code == REFUSED
    with pytest.raises(Refused, match="is closed"):
        incidents.require_open(home, incident)
    assert listing(home) == before


@pytest.mark.parametrize("event", [*sorted(incidents.FINISHING - {"reopened"}), "run-started"])
def test_what_was_begun_can_end_in_an_incident_that_is_closed(home: Path, incident: str, event: str) -> None:
    add(home, incident, "closed", resolution="done")
    add(home, incident, event, run="R1", entry_point="revert", hosts=["db1"])
    assert incidents.state(home, incident).closed


def test_an_incident_is_reopened_once_and_takes_entries_again(home: Path, incident: str) -> None:
    with pytest.raises(Refused, match="is open; there is nothing to reopen"):
        add(home, incident, "reopened", reason="why")
    add(home, incident, "closed", resolution="done")
    add(home, incident, "reopened", reason="it came back")
    with pytest.raises(Refused):
        add(home, incident, "reopened", reason="it came back")
    add(home, incident, "note", text="again")
    found = incidents.state(home, incident)
    assert (found.closed, found.status, found.resolution) == (False, "Investigating", "")
    assert "resolved" not in found.times


@pytest.mark.parametrize(
    ("given", "personal"),
    [
        ({"users": "5"}, ""),
        ({"data": "none"}, "no"),
        ({"data": "None"}, "no"),
        ({"data": "exposure of addresses"}, "unknown"),
        ({"data": "exposure", "personal_data": "yes"}, "yes"),
        ({"personal_data": "unknown"}, "unknown"),
        ({"data": "loss of caches", "personal_data": "no"}, "no"),
    ],
)
def test_the_clock_of_the_authority_runs_where_the_impact_says_personal_data_or_does_not_know(
    home: Path, incident: str, given: dict[str, str], personal: str
) -> None:
    add(home, incident, "impact", impact=incidents.assessment(given))
    state = incidents.state(home, incident)
    assert state.personal_data == personal
    [clock] = [one for one in incidents.readings(state, datetime.now(UTC)) if one.clock.name == "personal-data"]
    assert clock.state == ("running" if personal in ("yes", "unknown") else "waiting")


def test_the_words_of_the_form_are_put_into_their_boxes() -> None:
    found = incidents.assessment({"urgency": "high, ongoing", "classification": "Security,unknown"})
    assert found == {"user_impact": "high", "state": "ongoing", "type": "security", "root_cause": "unknown"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "impact: something must be said"),
        ({"urgency": "quick"}, "--urgency: words of state ongoing|stopped; trend worse|stable|improving; user impact high"),
        ({"urgency": ""}, "--urgency: words of"),
        ({"urgency": "high,low"}, "--urgency: high and low are both user impact"),
        ({"classification": "outage,security"}, "--classification: outage and security are both type"),
        ({"users": " "}, "--users: must not be empty"),
    ],
)
def test_an_assessment_that_is_none_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(Invalid) as caught:
        incidents.assessment(given)
    assert str(caught.value).startswith(said)


# What is rendered


def test_what_is_rendered_is_the_same_bytes_for_the_same_journal(home: Path, incident: str, tmp_path: Path) -> None:
    ran(home, incident, "R1", "changed", "db1")
    reports.render(home, incident)
    first = listing(folder_of(home, incident))
    assert reports.render(home, incident) == []
    assert listing(folder_of(home, incident)) == first
    other = tmp_path / "copy"
    (other / "incidents" / incident).mkdir(parents=True)
    journal_of = (folder_of(home, incident) / "journal.jsonl").read_bytes()
    (other / "incidents" / incident / "journal.jsonl").write_bytes(journal_of)
    assert reports.render(other, incident) == list(reports.BEGUN)
    assert sorted(listing(other).values()) == sorted(first.values())


def test_what_people_wrote_is_never_overwritten(home: Path, incident: str) -> None:
    reports.render(home, incident)
    folder = folder_of(home, incident)
    for name in reports.BEGUN:
        (folder / name).write_text(f"mine: {name}")
    (folder / "timeline.md").write_text("mine")
    add(home, incident, "note", text="more")
    assert reports.render(home, incident) == []
    assert [(folder / name).read_text() for name in reports.BEGUN] == [f"mine: {name}" for name in reports.BEGUN]
    assert "more" in (folder / "timeline.md").read_text()
    (folder / "rca.md").unlink()
    assert reports.render(home, incident) == ["rca.md"]


def test_every_entry_stands_in_the_timeline(home: Path, incident: str) -> None:
    ran(home, incident, "R1", "changed", "db1")
    add(home, incident, "requested", remediation="db-restart", plan_hash="abc")
    add(home, incident, "collected", files=3, skipped=[{"name": "x", "reason": "a link"}])
    add(home, incident, "something-new", detail={"a": 1})
    text = (folder_of(home, incident) / "timeline.md").read_text() if reports.render(home, incident) else ""
    for said in (
        "ana: opened as P1 (High): API answers with errors",
        "ana: db-connections began on db1, db2; run R1",
        "ana: db-connections ended: changed on db1; run R1",
        "ana: requested: plan hash abc, remediation db-restart",
        "ana: collected: files 3, skipped",
        "ana: something new: detail",
    ):
        assert said in text
    assert len([line for line in text.splitlines() if line.startswith("- **")]) == 6


def test_the_changes_are_the_runs_that_changed_a_host_or_of_which_nobody_can_say(home: Path, incident: str) -> None:
    ran(home, incident, "R1", "changed", "db1")
    ran(home, incident, "R2", "unchanged")
    ran(home, incident, "R3", "changed", "db1", check=True)
    ran(home, incident, "R4", "indeterminate")
    ran(home, incident, "R5", "partial", "db2")
    reports.render(home, incident)
    found = json.loads((folder_of(home, incident) / "changes.json").read_text())
    assert [(one["run"], one["outcome"], one["changed"]) for one in found["changes"]] == [
        ("R1", "changed", ["db1"]), ("R4", "indeterminate", []), ("R5", "partial", ["db2"]),
    ]  # fmt: skip


def test_the_approvals_are_all_that_was_asked_signed_taken_back_and_used(home: Path, incident: str) -> None:
    events = ["requested", "approved", "revoked", "approval-spent", "break-glass", "countersigned"]
    for event in events:
        add(home, incident, event, plan_hash="abc")
    reports.render(home, incident)
    found = json.loads((folder_of(home, incident) / "approvals.json").read_text())
    assert [one["event"] for one in found["approvals"]] == events


def elements(text: str) -> list[str]:
    """What Markdown makes of a text: headings, list items, links, HTML, in order."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inner = [child for token in tokens for child in token.children or []]
    return [token.type for token in [*tokens, *inner] if token.type not in ("text", "inline", "softbreak")]


def story(home: Path, title: str, said: str) -> dict[str, str]:
    """The files of an incident in which every text from outside is `said`."""
    incident = opened(home, title, component=title, commander=title)
    add(home, incident, "note", text=said)
    add(home, incident, "impact", impact=dict.fromkeys(("users", "services", "data", "business"), title))
    ran(home, incident, "R1", "changed", title)
    add(home, incident, "break-glass", reason=said)
    add(home, incident, "closed", resolution=said)
    reports.render(home, incident)
    return {path.name: path.read_text() for path in folder_of(home, incident).glob("*.md")}


def test_text_from_outside_cannot_forge_markdown_or_html(home: Path, tmp_path: Path) -> None:
    forged = "- [x] | y | <script>alert(1)</script> <!-- [a](http://b) `c` **d** __e__ &lt; ![f](g) ~~h~~"
    plain = story(tmp_path / "plain", "plain", "one\ntwo\nthree\nfour\nfive\nsix")
    found = story(home, forged, f"# x\n{forged}\n1. one\n---\n| a |\n|---|")
    for name, text in found.items():
        assert elements(text) == elements(plain[name]), name
        assert "<script" not in text, name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# heading", r"\# heading"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("===", r"\==="),
        ("a\n# b", r"a<br>\# b"),
        ("a|b", r"a\|b"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("[x](y)", r"\[x\](y)"),
        ("pg_stat_activity on db1.example.com:5432", "pg_stat_activity on db1.example.com:5432"),
        ("_x_", r"\_x\_"),
        ("a\x1b[2Jb", r"a?\[2Jb"),
        ("[to be filled in]", r"\[to be filled in\]"),
    ],
)
def test_markdown_is_made_inert_and_what_is_plain_stays_readable(text: str, shown: str) -> None:
    assert reports.markdown(text) == shown


def checklist_of(home: Path, incident: str) -> list[str]:
    path = folder_of(home, incident) / "checklist.md"
    path.unlink(missing_ok=True)
    reports.render(home, incident)
    return [line for line in path.read_text().splitlines() if line.startswith("- [")]


def test_the_checklist_has_nine_boxes_and_those_are_ticked_that_are_known(home: Path, incident: str) -> None:
    boxes = checklist_of(home, incident)
    assert len(boxes) == 9
    assert not [box for box in boxes if not box.startswith("- [ ] ")]
    ran(home, incident, "R1", "changed", "db1")
    add(home, incident, "communicated", where="status-page")
    add(home, incident, "status", status="Resolved")
    boxes = checklist_of(home, incident)
    assert boxes[0].startswith("- [x] Incident resolved and verified in production (Resolved ")
    assert boxes[0].endswith("verified by run R1)")
    assert boxes[1] == '- [ ] Status page updated to "Resolved"', "it was told before"
    add(home, incident, "communicated", where="status-page")
    add(home, incident, "communicated", where="stakeholders")
    add(home, incident, "packed")
    boxes = checklist_of(home, incident)
    assert [number for number, box in enumerate(boxes, 1) if box.startswith("- [x] ")] == [1, 2, 3, 9]
    assert "due by" in boxes[3]


@pytest.mark.parametrize("outcome", ["failed", "partial", "indeterminate"])
def test_what_failed_last_is_not_called_verified(home: Path, incident: str, outcome: str) -> None:
    ran(home, incident, "R1", "changed", "db1")
    ran(home, incident, "R2", outcome)
    add(home, incident, "status", status="Resolved")
    assert checklist_of(home, incident)[0].startswith("- [ ] ")


def test_files_are_begun_with_what_is_known(home: Path, incident: str) -> None:
    add(home, incident, "impact", impact=incidents.assessment({"users": "500", "data": "none", "urgency": "stopped"}))
    add(home, incident, "break-glass", reason="nobody awake")
    add(home, incident, "closed", resolution="Rolled back")
    reports.render(home, incident)
    text = {name: (folder_of(home, incident) / name).read_text() for name in reports.BEGUN}
    assert "- Affected users (count or percentage): 500" in text["impact-assessment.md"]
    assert "- Current state (ongoing, stopped): stopped" in text["impact-assessment.md"]
    for name in checklist.POST_MORTEMS:
        assert "- Users affected: 500" in text[name]
        assert "Rolled back" in text[name]
        assert "- [ ] Review the use of break-glass" in text[name]
    for heading in ("Summary", "Timeline", "Root Cause", "Impact", "Resolution", "Action Items", "Lessons Learned"):
        assert all(f"## {heading}\n" in text[name] for name in checklist.POST_MORTEMS)


# What is missing


def fill(path: Path) -> None:
    path.write_text(path.read_text().replace(checklist.BLANK, "said"))


def test_what_a_pack_must_contain_and_does_not_is_said(home: Path, incident: str) -> None:
    said = checklist.missing(home, incident)
    assert said[:3] == [f"{name} is not written yet" for name in ("timeline.md", "changes.json", "approvals.json")]
    assert "no logs were captured before, during or after the incident: logs/ is empty" in said
    assert said[-2:] == [
        "the impact assessment is not begun: impact-assessment.md", "the root cause analysis is not begun: rca.md"
    ]  # fmt: skip
    add(home, incident, "run-started", run="R1", hosts=["db1"])
    add(home, incident, "break-glass", reason="x", run="R1", needed=["security", "incident-commander"])
    add(home, incident, "countersigned", run="R2", role="security")
    reports.render(home, incident)
    said = checklist.missing(home, incident)
    assert "run R1 has begun and its end is not in the timeline" in said
    assert "run R1 broke the glass and is not countersigned" in said
    assert any(one.startswith("the impact assessment has ") for one in said)
    assert any(one.startswith("the root cause analysis has ") for one in said)


def test_logs_are_wanted_from_before_the_first_change_and_until_after_the_end(home: Path, incident: str) -> None:
    (folder_of(home, incident) / "logs").mkdir()
    (folder_of(home, incident) / "logs" / "api.log").write_text("x")

    def lacks(when: str) -> bool:
        return any(one.startswith(f"no logs were captured {when}") for one in checklist.missing(home, incident))

    ran(home, incident, "R1", "changed", "db1")
    assert lacks("before the first change")
    assert lacks("during")
    add(home, incident, "collected", files=1)
    assert lacks("before the first change")
    assert not lacks("during")
    assert lacks("after")
    add(home, incident, "status", status="Resolved")
    add(home, incident, "collected", files=1)
    assert not lacks("after")


def test_a_capture_from_hosts_counts_as_logs_but_a_dry_run_or_a_failure_of_it_does_not(home: Path, incident: str) -> None:
    def lacks() -> bool:
        return any(one.startswith("no logs were captured before, during or after") for one in checklist.missing(home, incident))

    about = {"run": "R1", "remediation": "capture-evidence", "changed": []}
    add(home, incident, "run-ended", **about, outcome="unchanged", check=True)
    add(home, incident, "run-ended", **about, outcome="failed", check=False)
    assert lacks()
    add(home, incident, "run-ended", **about, outcome="unchanged", check=False)
    assert not lacks()


RUN = "20261121T022311Z-freeze-7f3a01"


def countersigned(home: Path, run: str) -> None:
    """A countersignature in its form, for a run whose id has the right one too."""
    armour = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
    signed = {"schema": "irctl/countersign/1", "run": run, "manifest": "0" * 64, "role": "security", "principal": "ana"}
    documents.put(home / "countersigned" / f"{run}.json", {**signed, "signed_at": journal.utc(), "signature": armour})


def test_nothing_is_missing_where_all_is_there(home: Path, incident: str) -> None:
    (folder_of(home, incident) / "logs").mkdir()
    (folder_of(home, incident) / "logs" / "api.log").write_text("x")
    add(home, incident, "collected", files=1)
    ran(home, incident, RUN, "changed", "db1")
    add(home, incident, "break-glass", reason="x", run=RUN, needed=["security"])
    add(home, incident, "countersigned", run=RUN, role="security")
    assert f"run {RUN} broke the glass and is not countersigned" in checklist.missing(home, incident), "a line alone says nothing"
    countersigned(home, RUN)
    add(home, incident, "status", status="Resolved")
    add(home, incident, "collected", files=1)
    reports.render(home, incident)
    fill(folder_of(home, incident) / "impact-assessment.md")
    fill(folder_of(home, incident) / "rca.md")
    assert checklist.missing(home, incident) == []


def test_a_post_mortem_without_blanks_stops_its_clock(home: Path, incident: str) -> None:
    add(home, incident, "status", status="Resolved")
    reports.render(home, incident)

    def state() -> str:
        told = incidents.state(home, incident)
        clocks = incidents.readings(told, datetime.now(UTC), checklist.written(home, incident))
        return next(one.state for one in clocks if one.clock.name == "post-mortem")

    assert state() == "running"
    fill(folder_of(home, incident) / "post-mortem-b.md")
    assert state() == "met"


def test_the_notice_says_what_is_known_and_what_is_not(home: Path) -> None:
    incident = opened(home, component="database")
    said = reports.known_commander_notice(incidents.state(home, incident)).splitlines()
    assert said[0] == "INCIDENT DETECTED"
    assert "Severity: P1" in said
    assert "Component: database" in said
    assert "Incident Commander: not known yet" in said


def test_a_journal_that_is_another_incidents_or_no_file_is_none(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    place = tmp_path / "incidents"
    (place / first / "journal.jsonl").write_bytes((place / second / "journal.jsonl").read_bytes())
    with pytest.raises(EvidenceError, match=f"it is the journal of {second}"):
        incidents.state(tmp_path, first)
    (place / first / "journal.jsonl").unlink()
    os.mkfifo(place / first / "journal.jsonl")
    assert incidents.listed(tmp_path) == [second], "and nobody waits for a writer"
