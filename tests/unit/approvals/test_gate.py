"""What of approvals needs no process: documents from elsewhere, names of one person, and in what a plan differs."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from irctl.approvals import break_glass, comparison, countersigning, kept, people, plan, request
from irctl.approvals.comparison import PlannedRun
from irctl.approvals.request import Request
from irctl.catalog import config
from irctl.errors import Invalid, IrctlError, Refused
from irctl.record import documents, journal

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"  # of nobody
ARMOUR = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
RECORD = {
    "schema": "irctl/approval/1",
    "request": "0" * 64,
    "role": "security",
    "principal": "ana@example.com",
    "signed_at": "2026-11-21T02:23:11.123456Z",
    "signature": ARMOUR,
}
PLAN = {
    "schema": "irctl/plan/1",
    "remediation": "freeze",
    "content": "0" * 64,
    "parameters": {},
    "hosts": {"a": {"freeze_level": 1}},
}


def settings(home: Path, **more: str) -> config.Settings:
    allowed = home / "allowed"
    allowed.write_text(
        "ana@example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f roles=security\n"
    )
    allowed.chmod(0o600)
    more = {"principal": "ana@example.com", "allowed_signers": str(allowed)} | more
    environment = {f"IRCTL_{name.upper()}": value for name, value in more.items()}
    return config.load({"home": str(home)}, {"XDG_CONFIG_HOME": str(home), **environment})


def requested(**more: Any) -> Request:
    now = datetime.now(UTC)
    times = {"created": now.strftime(request.TIME), "expires": (now + timedelta(hours=1)).strftime(request.TIME)}
    document = {"plan": PLAN, "plan_hash": plan.hash_of(PLAN), "incident": "", "lease": None, "id": "1" * 64, "needs": ["security"]}
    return Request({**document, **times, "requester": "ana@example.com", **more})


def planned(**more: Any) -> PlannedRun:
    whole = {**PLAN, **more.pop("plan", {})}
    return PlannedRun(whole, plan.hash_of(whole), ("a",), **{"incident": "", "lease": 0, **more})


def test_a_document_is_read_as_it_was_put(tmp_path: Path) -> None:
    assert documents.put(tmp_path / "slots" / "one.json", RECORD)
    assert documents.read(tmp_path / "slots" / "one.json", "approval-1") == RECORD
    assert (tmp_path / "slots" / "one.json").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "slots") == ["one.json"], "nothing is left beside it"


def test_one_slot_takes_one_document_however_many_try(tmp_path: Path) -> None:
    path = tmp_path / "slot.json"
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: documents.put(path, {**RECORD, "role": f"role-{number}"}), range(40)))
    assert sum(won) == 1
    assert documents.read(path, "approval-1")["role"] == f"role-{won.index(True)}"


GOOD = journal.canonical(RECORD) + b"\n"
ODD: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"hello\n",
    "not an object": b"[]\n",
    "a number that is none": b'{"a":NaN}\n',
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"a":"\xff"}\n',
    "half a character": b'{"a":"\\ud800"}\n',
    "a key twice": GOOD.replace(b"{", b'{"role":"security",', 1),
    "a blank": GOOD.replace(b",", b", ", 1),
    "no line end": GOOD[:-1],
    "a second line": GOOD + b"\n",
    "too large": b" " * (documents.LARGEST + 1),
    "another schema": GOOD.replace(b"approval/1", b"approval/2"),
    "one word more": GOOD.replace(b'{"', b'{"a":1,"', 1),
    "a role that is a path": GOOD.replace(b'"security"', b'"../x"'),
}


@pytest.mark.parametrize("how", ODD)
def test_a_document_that_irctl_did_not_write_is_refused_in_one_line(tmp_path: Path, how: str) -> None:
    (tmp_path / "odd.json").write_bytes(ODD[how])
    with pytest.raises(Refused) as caught:
        documents.read(tmp_path / "odd.json", "approval-1")
    assert "\n" not in str(caught.value)


def test_links_folders_and_pipes_are_no_documents(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_bytes(GOOD)
    (tmp_path / "link.json").symlink_to(tmp_path / "good.json")
    (tmp_path / "nowhere.json").symlink_to(tmp_path / "nosuch")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("link", "nowhere", "folder", "pipe"):
        with pytest.raises(Refused, match=f"{name}.json is "):
            documents.read(tmp_path / f"{name}.json", "approval-1")
    with pytest.raises(Invalid, match="cannot be read: No such file"):
        documents.read(tmp_path / "nosuch.json", "approval-1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ana@example.com", "ANA@Example.com", True),
        ("ana@example.com", "ａna@example.com", True),
        ("ana@example.com", "ána@example.com", True),
        ("ana", "ana@example.com", True),
        ("ana@example.com", "ana@other.org", False),
        ("ana@example.com", "ann@example.com", False),
    ],
)
def test_two_names_that_may_be_of_one_person(one: str, other: str, same: bool) -> None:
    assert people.alike(one, other) is same
    assert people.alike(other, one) is same


DIFFERENCES: dict[str, tuple[dict[str, Any], str]] = {
    "content": ({"plan": {"content": "1" * 64}}, "the content"),
    "another remediation": ({"plan": {"remediation": "thaw"}}, "it is thaw, and freeze was planned"),
    "a new host": ({"plan": {"hosts": {**PLAN["hosts"], "b": {}}}}, "the hosts are others: b is new"),  # type: ignore[dict-item]
    "no host": ({"plan": {"hosts": {}}}, "the hosts are others: a is gone"),
    "a value": ({"plan": {"hosts": {"a": {"freeze_level": 2}}}}, "freeze_level of a is 2 and was 1"),
    "a value more": ({"plan": {"hosts": {"a": {"freeze_level": 1, "x": "y"}}}}, 'x of a is "y" and was not set'),
    "true is not 1": ({"plan": {"hosts": {"a": {"freeze_level": True}}}}, "freeze_level of a is true and was 1"),
    "parameters": ({"plan": {"parameters": {"freeze_level": 1}}}, "its parameters are others"),
    "incident": ({"incident": "INC-2026-1121-001"}, "it is for no incident, not for INC-2026-1121-001"),
    "lease": ({"lease": 60}, "it lasts 60, and for good was planned"),
}


@pytest.mark.parametrize("how", DIFFERENCES)
def test_what_differs_from_the_plan_is_named(how: str) -> None:
    change, why = DIFFERENCES[how]
    assert why in comparison.difference(requested(), planned(**change))
    assert comparison.difference(requested(), planned()) == ""


@pytest.mark.parametrize("approvals", ["security", ["Security"], ["a", "a"], [1], {"a": 1}, [None], ["../x"]])
def test_metadata_that_do_not_say_roles_are_refused_and_never_mean_none(approvals: Any) -> None:
    found = SimpleNamespace(about={"approvals": approvals}, folder=Path("/role"))
    with pytest.raises(Invalid, match="approvals must be a list of different roles"):
        kept.roles_of(found)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "times",
    [
        {"expires": "2020-01-01T00:00:00.000000Z"},
        {"created": "2199-01-01T00:00:00.000000Z", "expires": "2199-01-01T00:30:00.000000Z"},
        {"expires": "2199-01-01T00:00:00.000000Z"},
        {"expires": "soon"},
        {"created": "2026-13-01T00:00:00.000000Z"},
    ],
)
def test_a_request_out_of_its_time_is_refused(times: dict[str, str]) -> None:
    with pytest.raises(Refused):
        requested(**times).require_current(datetime.now(UTC))
    requested().require_current(datetime.now(UTC))


def test_a_spent_request_is_known_by_its_mark_and_by_the_journal(tmp_path: Path) -> None:
    wanted = requested()
    kept.require_unspent(tmp_path, wanted, kept.ledger(tmp_path))
    journal.append(tmp_path, {"event": "approval-spent", "request": wanted.id, "run": "r1"})
    with pytest.raises(Refused, match="was used before, by run r1"):
        kept.require_unspent(tmp_path, wanted, kept.ledger(tmp_path))
    other = tmp_path / "other"
    (other / "spent").mkdir(parents=True)
    (other / "spent" / wanted.id).symlink_to("nowhere")
    with pytest.raises(Refused, match="was used before"):
        kept.require_unspent(other, wanted, kept.ledger(other))


def test_a_home_that_was_emptied_is_another_home(tmp_path: Path) -> None:
    journal.append(tmp_path, {"event": "first"})
    before = request.home_of(tmp_path)
    journal.append(tmp_path, {"event": "second"})
    assert request.home_of(tmp_path) == before
    (tmp_path / "journal.jsonl").unlink()
    journal.append(tmp_path, {"event": "first"})
    assert request.home_of(tmp_path) != before
    with pytest.raises(IrctlError):
        request.home_of(tmp_path / "nowhere")


@pytest.mark.parametrize("what", ["", "nosuch", "0123456", "a\0b", "x" * 5000, "../..", "/"])
def test_what_is_no_plan_is_said_in_one_line(tmp_path: Path, what: str) -> None:
    with pytest.raises(IrctlError) as caught:
        request.find(tmp_path, what)
    assert caught.value.exit_code in (2, 5)
    assert "\n" not in str(caught.value)


def test_the_glass_needs_a_configuration_that_allows_it(tmp_path: Path) -> None:
    def broken(needed: tuple[str, ...] = ("security",), **more: str) -> dict[str, Any]:
        return break_glass.permission(settings(tmp_path, **more), list(needed), "a good reason", planned())

    with pytest.raises(Refused, match="the configuration does not allow it"):
        broken()
    for odd in ("soon", "73h", "4d"):
        with pytest.raises(Invalid, match=r"(IRCTL_BREAK_GLASS|break_glass): "):
            broken(break_glass=odd)
    with pytest.raises(Invalid, match="no approval is needed"):
        broken((), break_glass="1h")
    with pytest.raises(Refused, match="'ben' is nobody whom"):
        broken(break_glass="1h", principal="ben")
    with pytest.raises(Invalid, match="signing_key: it is not set"):
        broken(break_glass="1h")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with pytest.raises(Refused, match="no key in"):
        broken(break_glass="1h", signing_key=str(key))
    permission = broken(break_glass="1h", **known_key(tmp_path, key))
    assert (permission["by"], permission["break_glass"], permission["needed"]) == ("ana@example.com", "a good reason", ["security"])
    assert permission["countersign_by"] > journal.utc()


def known_key(home: Path, key: Path) -> dict[str, str]:
    """Settings in which this key is ana's."""
    (home / "hers").write_text(f"ana@example.com {key.with_suffix('.pub').read_text().strip()} roles=security\n")
    (home / "hers").chmod(0o600)
    return {"signing_key": str(key), "allowed_signers": str(home / "hers")}


def test_what_was_signed_about_breaking_the_glass_is_all_that_counts(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    now = settings(tmp_path, break_glass="1h", **known_key(tmp_path, key))
    broken = break_glass.permission(now, ["security"], "a good reason", planned())
    everyone = people.read(tmp_path / "hers")
    assert break_glass.believed(everyone, broken).principal == "ana@example.com"
    for name in break_glass.SIGNED:
        for edited in ({**broken, name: "x"}, {other: broken[other] for other in broken if other != name}):
            with pytest.raises(Refused):
                break_glass.believed(everyone, edited)


RUN = "20261121T022311Z-freeze-7f3a01"


def test_a_broken_glass_is_told_even_where_its_marker_cannot_be_read(tmp_path: Path) -> None:
    assert list(countersigning.reminders(tmp_path)) == []
    (tmp_path / "runs" / RUN).mkdir(parents=True)
    until = request.text(datetime.now(UTC) + timedelta(hours=1))
    broken = {"needed": ["security"], "break_glass": "a good reason", "by": "ana@example.com", "countersign_by": until}
    break_glass.mark(tmp_path, {**broken, "remediation": "freeze", "plan_hash": "", "hosts": [], "signature": ""}, RUN, "")
    assert list(countersigning.reminders(tmp_path)) == [], "the run has not begun"
    (tmp_path / "runs" / RUN / "run.json").write_text("{}")
    [said] = countersigning.reminders(tmp_path)
    assert "(a good reason) and must be countersigned by" in said
    assert said.endswith(f"irctl approvals countersign {RUN} --as security")
    forever = '{"countersign_by": "2199-01-01T00:00:00.000000Z"}'
    for odd in ("", "[]", "{", '{"needed": []}', forever):
        (tmp_path / "uncountersigned" / f"{RUN}.json").write_text(odd)
        [said] = countersigning.reminders(tmp_path)
        assert "OVERDUE" in said


def test_every_schema_of_a_document_has_a_reader() -> None:
    for name in ("request-1", "approval-1", "revocation-1", "countersign-1"):
        assert documents.fault({}, name)
    assert documents.fault(json.loads(json.dumps(RECORD)), "approval-1") == ""
