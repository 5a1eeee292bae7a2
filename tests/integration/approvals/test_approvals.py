"""Approvals with real keys and real processes: what is approved runs once, and every way round it is refused with nothing run."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from irctl.record import journal, seal
from irctl.record.journal import canonical
from tests.integration.approvals.conftest import BOTH, Office, ago, one_line, signers


def test_two_people_with_two_keys_approve_and_it_runs_once(office: Office) -> None:
    plan = office.ask("--level", "3", "--reason", "writes corrupt the ledger")
    waits = office.by("ben@example.com", "approvals", "--json").json["requests"]
    assert [(one["id"], one["state"], one["waits_for"]) for one in waits] == [(plan, "waiting", list(BOTH))]
    shown = office.approve(plan[:12], "ben@example.com", "incident-commander")
    for words in ("freeze", "here", "freeze_level", "would change", "writes corrupt the ledger", plan, "ana@example.com"):
        assert words in shown.out, shown
    office.refused(office.run("--host", "here", "--level", "3"), f"waits for the approval of security: irctl approve {plan[:12]}")
    assert office.approve(plan, "cyd@example.com", "security", "--json").json["principal"] == "cyd@example.com"
    assert office.by("ana@example.com", "approvals", plan, "--json").json["requests"][0]["state"] == "ready"
    done = office.run("--plan", plan)
    assert (done.code, done.json["outcome"], office.ran) == (0, "changed", True), done.err
    begun = json.loads((Path(done.json["folder"]) / "run.json").read_text())
    assert begun["approval"]["request"]["id"] == plan
    assert [(one["role"], one["principal"]) for one in begun["approval"]["approvals"]] == [
        ("incident-commander", "ben@example.com"),
        ("security", "cyd@example.com"),
    ]
    events = [entry["event"] for entry in office.journal() if entry["event"] in ("requested", "approved", "approval-spent")]
    assert events == ["requested", "approved", "approved", "approval-spent"]
    (office.folder / "frozen").unlink()
    office.refused(office.run("--plan", plan), "was used before, by run")
    assert office.by("ana@example.com", "approvals").out == "nothing waits for approval\n"


def test_a_request_that_needs_no_approval_says_so_and_waits_for_nobody(office: Office) -> None:
    office.collection.role("plain")
    assert office.by("ana@example.com", "request", "plain", "--host", "here").code == 0
    assert office.by("ana@example.com", "approvals").out.split(None, 1)[1] == "ready  plain  here  needs no approval\n"


def test_with_a_registered_request_the_same_order_needs_no_plan(office: Office) -> None:
    office.approved()
    assert office.run("--host", "here").code == 0
    (office.folder / "frozen").unlink()
    office.refused(office.run("--host", "here"), "was used before")


def test_without_approval_it_is_refused_and_the_way_to_one_is_told(office: Office) -> None:
    done = office.run("--host", "here")
    office.refused(
        done, "freeze needs the approval of incident-commander and security. Ask for it: irctl request freeze --host here"
    )
    assert office.run("--host", "here", "--check").code == 0, "a dry run needs none"
    assert not office.ran


def test_a_plan_and_its_approvals_may_be_carried_in_files(office: Office) -> None:
    plan = office.folder / "plan.json"
    assert office.by("ana@example.com", "plan", "freeze", "--host", "here", "--out", str(plan)).code == 0
    assert plan.stat().st_mode & 0o777 == 0o600
    files = []
    for who, role in zip(("ben@example.com", "cyd@example.com"), BOTH, strict=True):
        files.append(office.folder / f"{role}.json")
        elsewhere = str(office.folder / f"home-of-{role}")
        done = office.approve(str(plan), who, role, "--out", str(files[-1]), IRCTL_HOME=elsewhere)
        assert done.code == 0, done.err
    office.refused(office.run("--plan", str(plan), "--approval", str(files[0])), "waits for the approval of security")
    done = office.run("--plan", str(plan), "--approval", str(files[0]), "--approval", str(files[1]))
    assert (done.code, office.ran) == (0, True), done.err


def test_one_byte_in_what_would_run_is_not_what_was_approved(office: Office) -> None:
    plan = office.approved()
    for name in ("roles/freeze/tasks/main.yml", "roles/freeze/meta/remediation.yml", "playbooks/freeze.yml"):
        path = office.collection.root / name
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        office.refused(office.run("--plan", plan), "the content (playbook, role or plugins) is another by now")
        office.refused(office.approve(plan, "dan@example.com", "security"), "the content here is not what was planned")
        path.write_bytes(before)
    assert office.run("--plan", plan).code == 0, "and as it was, it is what was approved"


def test_other_hosts_or_other_values_in_the_inventory_are_not_what_was_approved(office: Office) -> None:
    plan = office.approved()
    path = office.collection.irctl.inventory
    before = path.read_text()
    tree = yaml.safe_load(before)
    tree["all"]["hosts"]["here"]["freeze_level"] = 2
    path.write_text(yaml.safe_dump(tree))
    office.refused(office.run("--plan", plan), "freeze_level of here is 2 and was 1")
    del tree["all"]["hosts"]["here"]
    tree["all"]["children"]["here"] = {"hosts": {"there": {}}}
    tree["all"]["children"]["both"] = {"hosts": {"there": {}}}
    path.write_text(yaml.safe_dump(tree))
    office.refused(office.run("--plan", plan), "the hosts are others: here is gone")
    path.write_text(before)
    office.refused(office.run("--host", "here", "--level", "2"), "freeze needs the approval of")
    office.refused(office.run("--host", "both"), "freeze needs the approval of")


EDITS: dict[str, tuple[dict[str, Any], str]] = {
    "expiry": ({"expires": "2199-01-01T00:00:00.000000Z"}, "it is not what its id names"),
    "requester": ({"requester": "fay@example.com"}, "it is not what its id names"),
    "nonce": ({"nonce": "0" * 32}, "it is not what its id names"),
    "hash": ({"plan_hash": "0" * 64}, "its plan is not the one that its hash names"),
    "signature": ({"signature": ""}, "ana@example.com: it is no signature"),
    "needs": ({"needs": []}, "it is not what its id names"),
    "schema": ({"schema": "irctl/request/2"}, "is not request-1"),
    "more": ({"more": 1}, "is not request-1"),
}


def test_an_edited_plan_is_refused(office: Office) -> None:
    path = office.home / "requests" / f"{office.approved()}.json"
    before = path.read_bytes()
    for changes, why in EDITS.values():
        office.edit(path, **changes)
        office.refused(office.run("--plan", str(path)), why)
        path.write_bytes(before)
    assert office.run("--plan", str(path)).code == 0, "and as it was, it is what was approved"


def test_any_byte_of_a_plan_counts(office: Office) -> None:
    plan = office.approved()
    content = (office.home / "requests" / f"{plan}.json").read_bytes()
    path = office.folder / "plan.json"
    for place in range(0, len(content), len(content) // 12):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        done = office.run("--plan", str(path))
        assert (done.code, office.ran) == (5, False), (place, content[place - 20 : place + 20], done)
    for odd in (b"", b"{}\n", content[:-1], content + b"\n", b" " + content, content.replace(b"{", b'{"id":"0",', 1), b"[" * 9999):
        path.write_bytes(odd)
        done = office.run("--plan", str(path))
        assert (done.code, office.ran, "Traceback" in done.err) == (5, False, False), (odd[:20], done)
    path.unlink()
    path.symlink_to(office.home / "requests" / f"{plan}.json")
    office.refused(office.run("--plan", str(path)), "is a link, and none is followed")
    path.unlink()
    path.write_bytes(b" " * (2 << 20))
    office.refused(office.run("--plan", str(path)), "is larger than 1 MiB")


def resigned(office: Office, request: str, **changes: Any) -> Path:
    """The plan file with these changes, and its hashes and the requester's signature made anew: no edit shows."""
    document = json.loads((office.home / "requests" / f"{request}.json").read_bytes()) | changes
    path = office.folder / "resigned.json"
    path.write_text(json.dumps(document))
    script = f"""
import hashlib
import json
import os
import pty
from pathlib import Path
from irctl.approvals import plan, request, statements
from irctl.catalog import config
import os
path = Path({str(path)!r})
document = json.loads(path.read_bytes())
document["plan_hash"] = plan.hash_of(document["plan"])
del document["signature"]
document["id"] = request._id_of(document)
signed = statements.sign(config.load({{}}, os.environ), document, document["requester"])
path.write_bytes(request.documents.canonical(signed) + b"\\n")
"""
    irctl = office.collection.irctl
    who = document["requester"]
    person = {"IRCTL_PRINCIPAL": who, "IRCTL_SIGNING_KEY": str(office.keys / who)}
    irctl.environment |= person | {"IRCTL_ALLOWED_SIGNERS": str(office.keys / "allowed")}
    done = irctl.python(script)
    assert done.code == 0, done.err
    return path


def test_a_request_holds_in_its_own_time_only(office: Office) -> None:
    plan = office.ask()
    cases = {
        "expired at": {"created": ago(hours=2), "expires": ago(seconds=1)},
        "which is still to come": {"created": ago(hours=-1), "expires": ago(hours=-2)},
        "lasts longer than 24h": {"expires": ago(hours=-30)},
    }
    for why, times in cases.items():
        path = str(resigned(office, plan, **times))
        office.refused(office.run("--plan", path), why)
        office.refused(office.approve(path, "ben@example.com", "incident-commander"), why)


def test_approvals_of_one_request_are_none_of_another(office: Office) -> None:
    first, second = office.approved(), office.ask()
    shutil.copytree(office.home / "approvals" / first, office.home / "approvals" / second)
    office.refused(office.run("--plan", second), f"is of request {first[:12]}, not of {second[:12]}")


def test_a_request_made_in_another_home_holds_there_only(office: Office) -> None:
    plan = office.approved()
    other = office.folder / "other"
    shutil.copytree(office.home, other)
    (other / "journal.jsonl").unlink()
    assert office.run("--host", "here", "--check", IRCTL_HOME=str(other)).code == 0
    office.refused(office.run("--plan", plan, IRCTL_HOME=str(other)), "was made in another home, or this one was emptied since")


def test_an_approval_is_used_once_also_in_a_copied_home(office: Office) -> None:
    plan = office.approved()
    other, moved = office.folder / "other", office.folder / "moved"
    shutil.copytree(office.home, other)
    office.refused(office.run("--plan", plan, IRCTL_HOME=str(other)), "was made in another home")
    office.home.rename(moved)
    other.rename(office.home)
    office.refused(office.run("--plan", plan), "was made in another home")
    office.home.rename(other)
    moved.rename(office.home)
    assert office.run("--plan", plan).code == 0, "and where it was made it holds"


def test_a_clock_that_was_set_back_makes_no_expired_request_valid_again(office: Office) -> None:
    plan = office.approved()
    before = [json.loads(line) for line in (office.home / "journal.jsonl").read_text().splitlines()][-1]
    document = {"event": "note", "seq": before["seq"] + 1, "at": ago(hours=-5), "monotonic": 1.0}
    last = (office.home / "journal.jsonl").read_bytes().splitlines()[-1]
    with (office.home / "journal.jsonl").open("ab") as file:  # as the journal was when the clock was five hours later
        file.write(canonical({**document, "prev": hashlib.sha256(last).hexdigest()}) + b"\n")
    office.refused(office.run("--plan", plan), "expired at")
    office.refused(office.run("--host", "here"), "expired at")
    office.refused(office.approve(plan, "dan@example.com", "security"), "expired at")
    journal.append(office.home, {"event": "note"})  # and a line with the earlier time again
    office.refused(office.run("--plan", plan), "expired at")


def test_the_record_says_who_named_the_file_of_keys_and_verifying_checks_its_approvals_again(office: Office) -> None:
    plan = office.approved()
    done = office.run("--plan", plan)
    run, begun = done.json["run"], Path(done.json["folder"]) / "run.json"
    source = json.loads(begun.read_text())["approval"]["allowed_signers"]
    assert (source["named_by"], source["path"]) == ("IRCTL_ALLOWED_SIGNERS", str(office.keys / "allowed"))
    checked = office.by("ana@example.com", "evidence", "verify", run)
    assert checked.code == 0, checked
    assert "approved by ben@example.com as incident-commander, cyd@example.com as security" in checked.out
    assert "named by IRCTL_ALLOWED_SIGNERS" in checked.out
    unknown = office.by("ana@example.com", "evidence", "verify", run, IRCTL_ALLOWED_SIGNERS="")
    assert (unknown.code, "its approvals are not checked: --allowed-signers FILE" in unknown.out) == (0, True)
    other = signers(office, "other")
    Path(other).write_text(Path(other).read_text().replace("cyd@", "ira@"))
    doubted = office.by("ana@example.com", "evidence", "verify", run, IRCTL_ALLOWED_SIGNERS=other)
    assert (doubted.code, "'cyd@example.com' is nobody whom" in doubted.out) == (8, True), doubted
    assert "'cyd@example.com' is nobody whom" in one_line(office.by("ana@example.com", "doctor", IRCTL_ALLOWED_SIGNERS=other).out)
    assert "what allowed each run holds" in office.by("ana@example.com", "doctor").out


INVENTED: dict[str, Any] = {
    "another approver": lambda one: one["approvals"][1].update(principal="fay@example.com"),
    "one approver twice": lambda one: one["approvals"].__setitem__(1, {**one["approvals"][0], "role": "security"}),
    "an approval less": lambda one: one["approvals"].pop(),
    "another requester": lambda one: one["request"].update(requester="fay@example.com"),
    "no signature": lambda one: one["approvals"][1].pop("signature"),
    "no request": lambda one: one.pop("request"),
    "a later end": lambda one: one["request"].update(expires="2199-01-01T00:00:00.000000Z"),
    "fewer roles": lambda one: (one.update(needed=["security"]), one["approvals"].pop(0)),
    "no role at all": lambda one: one.update(needed=[], approvals=[]),
    "nothing but names": lambda one: one.update(approvals=[{"role": "security", "principal": "cyd@example.com"}]),
}


def test_invented_approvals_in_a_record_are_found_also_where_its_seal_was_made_anew(office: Office) -> None:
    plan = office.approved()
    run = office.run("--plan", plan).json["run"]
    for how, forge in INVENTED.items():
        copy = office.folder / f"{how.replace(' ', '-')}-copy"
        shutil.copytree(office.home / "runs" / run, copy)
        begun = json.loads((copy / "run.json").read_text())
        forge(begun["approval"])
        (copy / "run.json").write_text(json.dumps(begun))
        seal.seal(copy, run)
        done = office.by("ana@example.com", "evidence", "verify", str(copy), "--home", str(office.folder / "nowhere"))
        assert (done.code, "its approvals" in done.out, "Traceback" in done.err) == (8, True, False), (how, done)


def test_a_used_request_stays_used_when_its_mark_is_removed(office: Office) -> None:
    plan = office.approved()
    run = office.run("--plan", plan).json["run"]
    (office.folder / "frozen").unlink()
    (office.home / "spent" / plan).unlink()
    office.refused(office.run("--plan", plan), f"was used before, by run {run}")


def test_two_runs_at_once_use_a_request_once(office: Office) -> None:
    plan = office.approved()
    with ThreadPoolExecutor(3) as pool:
        codes = sorted(done.code for done in pool.map(lambda _: office.run("--plan", plan), range(3)))
    assert codes[0] == 0
    assert set(codes[1:]) <= {5, 6}, "refused, or busy"
    spent = [entry for entry in office.journal() if entry["event"] == "approval-spent"]
    assert len(spent) == 1


def test_a_revoked_approval_does_not_count_even_when_its_record_is_removed(office: Office) -> None:
    plan = office.approved()
    why = "--reason", "it is the wrong cluster"
    done = office.by("dan@example.com", "approvals", "revoke", plan, "--as", "security", *why)
    office.refused(done, "cyd@example.com approved as security, and nobody else can revoke that")
    assert office.by("cyd@example.com", "approvals", "revoke", plan, "--as", "security", *why).code == 0
    office.refused(office.run("--plan", plan), "the approval of security was revoked by cyd@example.com")
    (office.home / "approvals" / plan / "security.cyd@example.com.revoked.json").unlink()
    office.refused(office.run("--plan", plan), "the approval of security was revoked by cyd@example.com")
    assert "revoked by cyd@example.com" in office.by("ana@example.com", "approvals").out


def test_of_two_approvals_in_a_race_for_one_slot_one_wins(office: Office) -> None:
    plan = office.ask()
    people = ["cyd@example.com", "dan@example.com", "fay@example.com"]
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda who: office.approve(plan, who, "security"), people))
    won = [who for who, done in zip(people, ended, strict=True) if done.code == 0]
    assert len(won) == 1
    for done in ended:
        assert done.code == 0 or (done.code == 5 and f"{won[0]} approved as security at" in done.err), done
    assert len([entry for entry in office.journal() if entry["event"] == "approved"]) == 1


def test_without_a_terminal_nothing_is_signed_unless_one_says_yes(office: Office) -> None:
    plan = office.ask()
    done = office.by("ben@example.com", "approve", plan, "--as", "incident-commander")
    office.refused(done, "--yes: there is no terminal to ask on", code=2)
    assert "freeze_level" in done.out
    assert not (office.home / "approvals").exists()


BAD: dict[str, tuple[list[str], str]] = {
    "a host beside the plan": (
        ["--plan", "{plan}", "--host", "there"],
        "--host: not together with --plan, in which it stands (got 'there')",
    ),
    "an option beside the plan": (
        ["--plan", "{plan}", "--level", "2"],
        "--level: not together with --plan, in which it stands (got '2')",
    ),
    "no such plan": (["--plan", "nosuch"], "--plan: no plan file, and no request of this id"),
    "an empty name": (["--plan", ""], "--plan: no plan file"),
    "an approval without a plan": (["--host", "here", "--approval", "x"], "--approval: it is of a plan"),
    "no such approval": (
        ["--plan", "{plan}", "--approval", "nosuch"],
        "file: cannot be read: No such file or directory (got 'nosuch')",
    ),
    "a short reason": (["--host", "here", "--break-glass", "because"], "--break-glass: 10 to 500 printable characters"),
    "two ways at once": (["--plan", "{plan}", "--break-glass", "nobody is awake"], "--break-glass: not together with --plan"),
    "nothing": ([], "--host: it must be given"),
}


def test_bad_input_is_refused(office: Office) -> None:
    plan = office.ask()
    for words, why in BAD.values():
        office.refused(office.run(*(word.format(plan=plan) for word in words)), why, code=2)
    for words in (["--expires", "4m"], ["--expires", "25h"], ["--expires", "x"]):
        office.refused(office.by("ana@example.com", "request", "freeze", "--host", "here", *words), "--expires:", code=2)
    for setting in ("PRINCIPAL", "SIGNING_KEY", "ALLOWED_SIGNERS"):
        done = office.by("ana@example.com", "request", "freeze", "--host", "here", **{f"IRCTL_{setting}": ""})
        office.refused(done, f"{setting.lower()}: it is not set", code=2)


def test_the_approval_of_one_incident_is_none_of_another(office: Office) -> None:
    def opened(title: str) -> str:
        done = office.by("ana@example.com", "incident", "open", "--title", title, "--severity", "P1", "--json")
        assert done.code == 0, done.err
        return str(done.json["incident"])

    first, second = opened("writes fail"), opened("reads fail")
    plan = office.approved("--incident", first)
    office.refused(office.run("--plan", plan, "--incident", second), f"the plan is for {first}, not for {second}")
    office.refused(office.run("--plan", plan, IRCTL_INCIDENT=second), f"the plan is for {first}, not for {second}")
    office.refused(office.run("--host", "here", "--incident", second), "freeze needs the approval of")
    office.refused(office.run("--host", "here"), "freeze needs the approval of")
    done = office.run("--plan", plan)
    assert (done.code, done.json["incident"]) == (0, first), done.err
    told = (office.home / "incidents" / first / "journal.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in told]
    assert [event for event in events if event in ("requested", "approved", "approval-spent")] == [
        "requested",
        "approved",
        "approved",
        "approval-spent",
    ]


def test_what_needs_no_approval_runs_from_a_plan_too_and_once(office: Office) -> None:
    office.collection.role("thaw", change=f"ansible.builtin.file: {{path: {office.folder}/thawed, state: touch}}")
    plan = str(office.folder / "plan.json")
    words = ["plan", "thaw", "--host", "here", "--out", plan]
    assert office.collection.irctl(*words).code == 0, "and nobody has to sign it"
    assert office.collection.irctl(*words).code == 2, "a file that is there is not written over"
    assert office.collection.irctl("remediate", "thaw", "--plan", plan).code == 0
    (office.folder / "thawed").unlink()
    done = office.collection.irctl("remediate", "thaw", "--plan", plan)
    assert (done.code, "was used before" in done.err) == (5, True)
    assert not (office.folder / "thawed").exists()


def test_what_was_approved_for_a_time_is_not_approved_for_good(office: Office) -> None:
    office.collection.role("hold", None, {"approvals": ["security"], "lease": {"limit": "1h"}})
    assert office.collection.irctl("leases", "run-due", "--every", "10m").code == 0
    words = ["hold", "--host", "here"]
    asked = office.by("ana@example.com", "request", *words, "--for", "10m", "--json")
    plan = str(asked.json["id"])
    assert asked.json["lease"] == 600
    shown = office.approve(plan, "cyd@example.com", "security")
    assert (shown.code, "after 10m" in shown.out) == (0, True), shown
    for other in ([], ["--for", "20m"]):
        done = office.by("ana@example.com", "remediate", *words, *other)
        assert (done.code, "hold needs the approval of security" in done.err) == (5, True), done
    assert office.by("ana@example.com", "remediate", "hold", "--plan", plan).code == 0
    [lease] = office.by("ana@example.com", "leases", "--json").json["leases"]
    assert 500 < lease["left"] <= 600
    for length in (7200, None):
        path = str(resigned(office, plan, lease=length))
        done = office.by("ana@example.com", "remediate", "hold", "--plan", path)
        assert done.code == 5, done


def test_a_group_that_has_grown_is_not_what_was_approved(office: Office) -> None:
    plan = office.by("ana@example.com", "request", "freeze", "--host", "some", "--json")
    assert plan.code == 4, "there is no such group yet"
    path = office.collection.irctl.inventory
    tree = yaml.safe_load(path.read_text())
    tree["all"]["children"]["some"] = {"hosts": {"there": None}}
    path.write_text(yaml.safe_dump(tree))
    name = str(office.by("ana@example.com", "request", "freeze", "--host", "some", "--json").json["id"])
    tree["all"]["children"]["some"]["hosts"]["here"] = None
    path.write_text(yaml.safe_dump(tree))
    office.refused(office.run("--plan", name), "the hosts are others: here is new")


def test_a_plan_sets_no_variable_that_is_not_an_option(office: Office) -> None:
    plan = office.ask()
    content = json.loads((office.home / "requests" / f"{plan}.json").read_bytes())["plan"]
    for name, value in (("ansible_connection", "ssh"), ("freeze_level", "rm -rf")):
        path = str(resigned(office, plan, plan={**content, "parameters": {name: value}}))
        office.refused(office.run("--plan", path), f"the plan sets {name}: ")


def test_on_a_terminal_it_asks_and_no_means_no(office: Office) -> None:
    plan = office.ask()
    settings = {"IRCTL_HOME": str(office.home), "IRCTL_CONTENT": str(office.collection.root), "PATH": os.environ["PATH"]}
    person = {"IRCTL_PRINCIPAL": "ben@example.com", "IRCTL_SIGNING_KEY": str(office.keys / "ben@example.com")}
    environment = settings | person | {"IRCTL_ALLOWED_SIGNERS": str(office.keys / "allowed"), "HOME": str(office.folder)}
    words = [sys.executable, "-m", "irctl", "approve", plan, "--as", "incident-commander"]
    for answer, code in ((b"n\n", 5), (b"\n", 5), (b"y\n", 0)):
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        done = subprocess.run(words, stdin=theirs, env=environment, capture_output=True, text=True, cwd=office.folder, timeout=60)
        assert (done.returncode, "Approve exactly this as incident-commander?" in done.stderr) == (code, True), done
        assert (office.home / "approvals").exists() is (code == 0)
        os.close(ours)
        os.close(theirs)
