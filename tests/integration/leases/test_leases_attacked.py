"""Files of leases and records that somebody damaged, removed or rewrote: every lease ends, or shouts. Promise 10."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from irctl.errors import EVIDENCE, FAILED, REFUSED, UNREACHABLE, EvidenceError
from irctl.leases import journaled
from irctl.record import journal
from tests.conftest import write_inventory
from tests.integration.approvals.conftest import BOTH, Office, keys
from tests.integration.conftest import Collection
from tests.integration.leases.test_leases import Switch, switch

__all__ = ["keys", "switch"]
HERE = {"ansible_connection": "local"}


def reverts(switch: Switch) -> list[Path]:
    return sorted((switch.irctl.home / "runs").glob("*/evidence/*/revert.json"))


@pytest.mark.parametrize("damage", ["{", '{"schema": "irctl/lease/1", "run": 1}', "[" * 60_000, "x" * (5 << 20)])
def test_one_damaged_file_stops_the_end_of_no_lease_not_even_its_own(switch: Switch, damage: str) -> None:
    run = switch.on("--for", "1s").json["run"]
    [path] = switch.files()
    path.write_text(damage)
    path.with_name("20200101T000000Z-switch-aaaaaa.json").write_text(damage)  # no journal knows this one
    assert f"{run}.json is not a lease" in switch.irctl("runs").err
    time.sleep(1.5)
    done = switch.tick()
    assert (done.code, switch.state) == (FAILED, "off"), "a damaged file is shouted about at each look"
    assert f"ended: switch on here ({run}): changed by" in done.out
    assert "FAILED: " in done.out
    again = switch.tick()
    assert (again.code, run in again.out, "20200101T000000Z" in again.out) == (FAILED, False, True)


def test_a_lease_that_is_gone_from_the_folder_is_shouted_about_and_ends(switch: Switch) -> None:
    run = switch.on("--for", "40s").json["run"]
    shutil.rmtree(switch.irctl.home / "leases")
    assert f"the lease of {run} is gone" in switch.irctl("runs").err
    assert [lease["run"] for lease in switch.leases()] == [run]
    early = switch.tick()
    assert (early.code, switch.state) == (FAILED, "on")
    time.sleep(max(switch.leases()[0]["left"], 0) + 1)
    assert "ended: switch on here" in switch.tick().out
    assert (switch.state, switch.tick().out) == ("off", "")


def test_a_lease_whose_record_is_gone_is_not_ended_and_shouts(switch: Switch) -> None:
    run = switch.on("--for", "1m").json["run"]
    switch.pass_time(60)
    shutil.rmtree(switch.irctl.home / "runs" / run)
    done = switch.tick()
    assert (done.code, switch.state) == (FAILED, "on")
    assert "nobody knows what" in done.out
    assert [lease["state"] for lease in switch.leases()] == ["failed"]


def test_a_lease_of_a_run_that_changed_something_and_captured_nothing_is_not_ended(switch: Switch, collection: Collection) -> None:
    tasks = collection.root / "roles" / "switch" / "tasks" / "main.yml"
    tasks.write_text(tasks.read_text().replace("revert.json", "elsewhere.json"))
    assert switch.on("--for", "1m").json["outcome"] == "changed"
    switch.pass_time(60)
    done = switch.tick()
    assert (done.code, "captured nothing of it" in done.out, switch.state) == (FAILED, True, "on"), done
    assert [lease["state"] for lease in switch.leases()] == ["failed"]


def test_a_lease_of_a_remediation_that_says_it_cannot_be_undone_any_more_is_not_ended(
    switch: Switch, collection: Collection
) -> None:
    switch.on("--for", "1m")
    switch.pass_time(60)
    metadata = collection.root / "roles" / "switch" / "meta" / "remediation.yml"
    metadata.write_text(yaml.safe_dump(yaml.safe_load(metadata.read_text()) | {"reversible": False}))
    done = switch.tick()
    assert (done.code, "cannot be undone" in done.out, switch.state) == (FAILED, True, "on")
    assert [lease["state"] for lease in switch.leases()] == ["failed"]


def remove_manifest(record: Path) -> None:
    (record / "manifest.json").unlink()


def seal_again(record: Path) -> None:
    from irctl.record import seal

    seal.seal(record, record.name)


def another_record(record: Path) -> None:
    """A whole one of another run, sealed and known to the journal."""
    [other] = [path for path in record.parent.iterdir() if path != record]
    shutil.rmtree(record)
    shutil.copytree(other, record)


def seal_again_in_the_journal_too(record: Path) -> None:
    edit_journal(record, lambda lines, at, forged: [*lines[:at], forged, *lines[at + 1 :]])


def seal_again_by_a_line_before(record: Path) -> None:
    edit_journal(record, lambda lines, at, forged: [*lines[:at], forged, *lines[at:]])


def never_sealed(record: Path) -> None:
    edit_journal(record, lambda lines, at, forged: [*lines[:at], *lines[at + 1 :]])
    remove_manifest(record)


def edit_journal(record: Path, edit: Callable[[list[bytes], int, bytes], list[bytes]]) -> None:
    """Seal the record anew, and edit the home's journal: its lines, the place of the seal's line, and that with the new seal."""
    home = record.parent.parent
    journal.append(home, {"event": "something"})  # so that the line of the seal is not the last one
    lines = (home / "journal.jsonl").read_bytes().splitlines(keepends=True)
    [at] = [place for place, line in enumerate(lines) if b"run-sealed" in line and record.name.encode() in line]
    before = json.loads(lines[at])["manifest"]
    seal_again(record)
    forged = lines[at].replace(before.encode(), hashlib.sha256((record / "manifest.json").read_bytes()).hexdigest().encode())
    (home / "journal.jsonl").write_bytes(b"".join(edit(lines, at, forged)))


FORGERIES = [remove_manifest, seal_again, another_record, seal_again_in_the_journal_too, seal_again_by_a_line_before, never_sealed]


@pytest.mark.parametrize("forge", FORGERIES)
def test_nothing_is_put_back_from_a_record_that_is_not_the_one_that_was_sealed(
    switch: Switch, forge: Callable[[Path], None]
) -> None:
    switch.irctl("remediate", "switch", "--host", "here", "--check")
    run = switch.on("--for", "1m").json["run"]
    [captured] = reverts(switch)
    captured.write_text("forged\n")
    forge(switch.irctl.home / "runs" / run)
    undone = switch.irctl("revert", run)
    assert (undone.code, switch.state) == (EVIDENCE, "on"), undone
    assert "is not as it was sealed" in undone.err or "the chain breaks" in undone.err
    switch.pass_time(60)
    assert (switch.tick().code, switch.state) == (FAILED, "on")


def test_a_file_of_a_lease_that_was_never_armed_or_has_ended_undoes_nothing(switch: Switch) -> None:
    run = switch.on().json["run"]
    switch.file.write_text("off\n")
    leased = switch.on("--for", "1m").json["run"]
    [armed] = switch.files()
    lease = json.loads(armed.read_text())
    switch.pass_time(60)
    assert (switch.tick().code, switch.state) == (0, "off")
    switch.file.write_text("on\n")
    lease["armed"]["uptime"] -= 60
    armed.write_text(json.dumps(lease))
    armed.with_name(f"{run}.json").write_text(json.dumps({**lease, "run": run}))
    done = switch.tick()
    assert (done.code, switch.state, f"{run}.json is not a lease: it was never armed" in done.out) == (FAILED, "on", True), done
    assert leased not in done.out


def test_a_line_that_was_put_into_the_journal_ends_no_lease_and_allows_no_longer_one(switch: Switch) -> None:
    run = switch.on("--for", "30m").json["run"]
    path = switch.irctl.home / "journal.jsonl"
    shutil.rmtree(switch.irctl.home / "leases")
    *lines, last = path.read_bytes().splitlines(keepends=True)
    ended = journal.canonical({"event": "lease-ended", "how": "well", "prev": "0" * 64, "run": run, "seq": 2}) + b"\n"
    longer = ended.replace(b'"lease-ended"', b'"lease-extended"').replace(b'"how":"well"', b'"approved":true,"seconds":99999')
    path.write_bytes(b"".join([*lines, ended, longer, last]))
    assert [lease["run"] for lease in switch.leases()] == [run]
    breaks = f"the chain breaks at line {len(lines) + 1}"
    assert breaks in switch.irctl("runs").err
    with pytest.raises(EvidenceError, match=breaks):
        journaled.approved(switch.irctl.home, run)


def test_a_lease_that_can_be_ended_by_now_is_not_closed(switch: Switch) -> None:
    run = switch.on("--for", "1m").json["run"]
    switch.file.write_text("somebody else's\n")
    switch.pass_time(60)
    switch.tick()
    switch.file.write_text("on\n")
    closed = switch.irctl("leases", "close", run, "because")
    assert (closed.code, "could be ended, so it was" in closed.err, switch.state) == (REFUSED, True, "off")
    assert switch.leases() == []


def test_a_lease_is_not_closed_because_its_host_is_called_otherwise(switch: Switch, tmp_path: Path) -> None:
    run = switch.on("--for", "1m").json["run"]
    inventory = Path(str(switch.irctl.inventory))
    before = inventory.read_text()
    inventory.write_text(before.replace(" here:", " renamed:"))
    switch.pass_time(60)
    assert switch.tick().code == FAILED
    closed = switch.irctl("leases", "close", run, "because", "--inventory", str(inventory))
    assert (closed.code, "nobody can tell" in closed.err, len(switch.leases())) == (REFUSED, True, 1), closed
    inventory.unlink()
    assert (switch.irctl("leases", "close", run, "because").code, len(switch.leases())) == (REFUSED, 1)
    inventory.write_text(before)
    assert switch.irctl("leases", "end", run).code == 0
    assert switch.state == "off"


def test_more_than_the_approved_time_needs_an_approval_again(switch: Switch, collection: Collection, keys: Path) -> None:
    metadata = collection.root / "roles" / "switch" / "meta" / "remediation.yml"
    metadata.write_text(yaml.safe_dump(yaml.safe_load(metadata.read_text()) | {"approvals": list(BOTH)}))
    office = Office(collection, keys, switch.file.parent)

    def approved(length: str) -> None:
        asked = office.by("ana@example.com", "request", "switch", "--host", "here", "--json", "--for", length)
        assert asked.code == 0, asked.err
        for who, role in zip(("ben@example.com", "cyd@example.com"), BOTH, strict=True):
            assert office.approve(str(asked.json["id"]), who, role).code == 0

    def extend(length: str) -> Any:
        return office.by("ana@example.com", "leases", "extend", run, "--for", length)

    approved("2m")
    made = office.by("ana@example.com", "remediate", "switch", "--host", "here", "--for", "2m", "--json")
    assert made.code == 0, made.err
    run = made.json["run"]
    assert extend("1m").code == 0, "a shorter time was approved too"
    refused = extend("30m")
    assert (refused.code, "approval" in refused.err) == (REFUSED, True), refused
    assert json.loads(switch.files()[0].read_text())["seconds"] <= 120
    approved("30m")
    assert extend("40m").code == REFUSED, "another time was approved"
    granted = extend("30m")
    assert granted.code == 0, granted.err
    assert extend("30m").code in (0, REFUSED)
    assert extend("50m").code == REFUSED, "an approval holds once"


@pytest.mark.parametrize("name", ["a,b", "x:&y", "!x", "~x.*", "*", "a b"])
def test_a_host_is_called_by_its_name_when_its_lease_ends_whatever_pattern_that_would_be(
    switch: Switch, tmp_path: Path, name: str
) -> None:
    others = dict.fromkeys(("a", "b", "x", "y", "xx"), HERE)
    switch.irctl.inventory = write_inventory(tmp_path, {**others, name: HERE}, group=[name])
    made = switch.irctl("remediate", "switch", "--host", "group", "--json", "--for", "1m")
    assert (made.code, list(made.json["hosts"]), switch.state) == (0, [name], "on"), made.err
    switch.pass_time(60)
    ended = switch.tick()
    assert (ended.code, switch.state) == (0, "off"), ended.out
    [last] = [path for path in (switch.irctl.home / "runs").iterdir() if "revert" in path.name]
    assert list(json.loads((last / "result.json").read_text())["hosts"]) == [name]


def test_what_is_put_back_is_what_was_checked_whoever_edits_it_meanwhile(switch: Switch, collection: Collection) -> None:
    run = switch.on().json["run"]
    [captured] = reverts(switch)
    tasks = collection.root / "roles" / "switch" / "tasks" / "revert.yml"
    edit = f"ansible.builtin.shell: echo forged > {captured}; cat"
    tasks.write_text(tasks.read_text().replace("ansible.builtin.command: cat", edit))
    done = switch.irctl("revert", run)
    assert (done.code, switch.state, captured.read_text()) == (0, "off", "forged\n"), done


def test_a_host_is_no_group_when_its_change_is_undone_whatever_is_called_so_by_then(switch: Switch, tmp_path: Path) -> None:
    run = switch.on("--for", "1m").json["run"]
    write_inventory(tmp_path, {"other": HERE}, here=["other"])
    gone = switch.irctl("revert", run)
    assert (gone.code, "not in the inventory" in gone.err, switch.state) == (UNREACHABLE, True, "on"), gone
    both = "{all: {vars: {ansible_connection: local}, hosts: {here: {}, other: {}}, children: {here: {hosts: {other: {}}}}}}"
    (tmp_path / "hosts.yml").write_text(both)
    switch.pass_time(60)
    assert (switch.tick().code, switch.state) == (0, "off")
    [last] = [path for path in (switch.irctl.home / "runs").iterdir() if "revert" in path.name]
    assert list(json.loads((last / "result.json").read_text())["hosts"]) == ["here"]


def test_a_change_is_not_undone_on_another_machine_that_is_called_as_its_host_was(switch: Switch, tmp_path: Path) -> None:
    run = switch.on("--for", "1m").json["run"]
    write_inventory(tmp_path, {"here": HERE | {"ansible_host": "192.0.2.1"}})
    refused = switch.irctl("revert", run)
    assert (refused.code, switch.state) == (UNREACHABLE, "on"), refused
    assert f"here is elsewhere by now: its ansible_host is 192.0.2.1 and was None when {run} changed it" in refused.err
    switch.pass_time(60)
    assert (switch.tick().code, switch.state, "here is elsewhere by now" in switch.irctl("runs").err) == (FAILED, "on", True)
    ended = switch.irctl("leases", "end", run, "--force")
    assert (ended.code, switch.state) == (0, "off"), ended


def test_two_hosts_whose_evidence_would_lie_in_one_folder_are_refused_before_the_change(switch: Switch, tmp_path: Path) -> None:
    for number, pair in enumerate((["a_b", "a,b"], [".."], ["x", "."])):
        switch.irctl.inventory = write_inventory(tmp_path, dict.fromkeys(pair, HERE), **{f"group{number}": pair})
        refused = switch.irctl("remediate", "switch", "--host", f"group{number}", "--json")
        assert (refused.code, switch.state) == (REFUSED, "off"), refused
        assert "the folder of" in refused.err
