"""Incidents on their way to the archive: which go, which stay, and what holds them; and the command."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from irctl.catalog import config
from irctl.incidents import incidents, pack
from tests.conftest import Irctl
from tests.servers.archives import CLOSED, HELD, OLD, RELEASED, Archive, contents, incident, inventory, run_of, settled
from tests.servers.stores import S3, Request


def test_closed_incidents_go_and_open_ones_stay(store: S3, home: Path) -> None:
    closed, reopened, opened = (
        incident(home, CLOSED),
        incident(home, CLOSED, {"event": "reopened"}),
        incident(home),
    )
    archive = settled(store, home)
    archive()
    assert {manifest["name"] for manifest in archive.manifests()} == {f"incidents/{closed}"}
    assert f"{reopened}" not in str(store.names())
    assert f"{opened}" not in str(store.names())
    assert set(archive.held()) == {"journal.jsonl", "evidence/0.txt", "evidence/1.txt", "evidence/2.txt"}
    assert archive(older_than="60d")["msg"] == "no incident is closed for more than 60d"


def test_an_incident_on_hold_gets_a_legal_hold_and_never_leaves(store: S3, home: Path) -> None:
    held, free = incident(home, CLOSED, HELD), incident(home, CLOSED, HELD, RELEASED)
    archive = settled(store, home, remove_local=True)
    archive()
    status = {key: store.head(key).get("ObjectLockLegalHoldStatus", "OFF") for key in store.names()}
    assert {status[key] for key in status if held in key} == {"ON"}
    assert {status[key] for key in status if free in key} == {"OFF"}
    key = next(key for key in status if held in key)
    with pytest.raises(ClientError, match="AccessDenied"):
        store.client.delete_object(Bucket=store.bucket, Key=key, VersionId=store.head(key)["VersionId"])
    assert len(contents(home / "incidents" / held)) == 4
    assert set(contents(home / "incidents" / free)) == {"journal.jsonl"}, "its record stays"
    assert incidents.state(home, free).closed


def test_a_hold_that_comes_later_reaches_what_is_archived_already(store: S3, home: Path) -> None:
    name = incident(home, CLOSED)
    archive = settled(store, home)
    archive()
    incidents.record(home, name, {"by": "ana", **HELD})
    assert archive()["changed"]
    assert all(store.head(entry["key"])["ObjectLockLegalHoldStatus"] == "ON" for entry in archive.manifests()[-1]["files"])
    assert not archive()["changed"]


def test_a_hold_that_comes_while_it_is_sent_keeps_it_here(store: S3, home: Path) -> None:
    name = incident(home, CLOSED)

    def hold(request: Request, number: int) -> None:
        if request.method == "PUT" and "/manifests/" in request.path:
            incidents.record(home, name, {"by": "ana", **HELD})

    store.hook = hold
    archive = settled(store, home, remove_local=True)
    done = archive.step("changed")
    assert "on legal hold: a court asked for it" in done["msg"]
    assert len(contents(home / "incidents" / name)) == 4


def test_an_incident_on_hold_is_refused_where_its_copy_could_not_be_held(store: S3, home: Path) -> None:
    name = incident(home, CLOSED, HELD)
    with pytest.raises(Failure, match=f"incidents/{name} is on legal hold and the bucket has no Object Lock"):
        settled(store, home, bucket=store.plain)()
    assert store.names(bucket=store.plain) == []


def test_an_incident_whose_runs_are_not_packed_is_left_alone_and_goes_with_them_later(store: S3, home: Path) -> None:
    bare, loose = incident(home, CLOSED), incident(home)
    run = run_of(home, loose)
    incidents.record(home, loose, {"by": "ana", **CLOSED})
    archive = settled(store, home, remove_local=True)
    why = f"1 incident left alone: {loose} (the records of its runs are not in it; run: irctl incident pack {loose})"
    assert why in archive.step("listed")["msg"]
    archive()
    assert {manifest["name"] for manifest in archive.manifests()} == {f"incidents/{bare}"}
    assert len(contents(home / "incidents" / loose)) == 4
    pack.pack(home, loose, config.load({}, {"IRCTL_HOME": str(home)}), sign=False)
    archive()
    assert archive.held()[f"runs/{run}/evidence/h1/app.log"] == b"what was captured"
    assert set(contents(home / "incidents" / loose)) == {"journal.jsonl", "manifest.json"}
    assert not archive()["changed"]


def test_a_run_that_came_after_the_pack_keeps_the_incident_here(store: S3, home: Path) -> None:
    name = incident(home)
    pack.pack(home, name, config.load({}, {"IRCTL_HOME": str(home)}), sign=False)
    run_of(home, name)
    incidents.record(home, name, {"by": "ana", **CLOSED})
    archive = settled(store, home)
    assert f"run: irctl incident pack {name}" in archive()["msg"]
    assert store.names() == []


def test_an_incident_that_is_reopened_while_it_is_sent_stays_here(store: S3, home: Path) -> None:
    name = incident(home, CLOSED)

    def reopen(request: Request, number: int) -> None:
        if request.method == "PUT" and "/manifests/" in request.path:
            incidents.record(home, name, {"by": "ana", "event": "reopened"})

    store.hook = reopen
    done = settled(store, home, remove_local=True).step("changed")
    assert "not removed: evidence/0.txt (reopened)" in done["msg"]
    assert len(contents(home / "incidents" / name)) == 4


def test_an_incident_whose_journal_is_broken_is_left_alone_and_named(store: S3, home: Path) -> None:
    broken, sound = incident(home, CLOSED, HELD), incident(home, CLOSED)
    path = home / "incidents" / broken / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"court", b"count"))
    first = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first[0].replace(b"Disk", b"Desk"), *first[1:]]))
    archive = settled(store, home, remove_local=True)
    assert f"1 incident left alone: {broken} (its journal is broken at line 2)" in archive.step("listed")["msg"]
    archive()
    assert len(contents(home / "incidents" / broken)) == 4
    assert {manifest["name"] for manifest in archive.manifests()} == {f"incidents/{sound}"}


@pytest.mark.parametrize("inside", ["", "incidents", "incidents/{}", "..", "incidents/{}/evidence"])
def test_an_irctl_home_is_no_tree_so_that_no_hold_is_passed_by(store: S3, tmp_path: Path, home: Path, inside: str) -> None:
    name = incident(home, CLOSED, HELD)
    tree = home / inside.format(name)
    with pytest.raises(ValueError, match="this is of an irctl home"):
        Archive(store, tmp_path, tree, home=str(home), remove_local=True)()
    assert len(contents(home / "incidents" / name)) == 4


def test_files_of_another_home_within_a_tree_stay_out(store: S3, tmp_path: Path, tree: Path) -> None:
    name = incident(tree / "other-home", CLOSED, HELD)
    for path in (tree / "other-home").rglob("*"):
        os.utime(path, (time.time() - OLD,) * 2)
    archive = Archive(store, tmp_path, tree, remove_local=True)
    archive()
    assert len(contents(tree / "other-home" / "incidents" / name)) == 4
    assert not any("other-home" in key for key in store.names())


# The command


def test_the_command_archives_the_incidents_of_its_own_home(store: S3, tmp_path: Path, home: Path) -> None:
    name = incident(home, CLOSED)
    irctl = Irctl(home, inventory(store, tmp_path))
    time.sleep(1.1)
    words = ("remediate", "archive-evidence", "--host", "archive", "--older-than", "1s", "--retain", "90d", "--json")
    checked = irctl(*words, "--check")
    assert (checked.code, checked.host("archive")["outcome"], store.names()) == (0, "changed", []), checked.err
    sent = checked.host("archive")["affected"]
    assert sent["count"] == len(sent["items"]) == len(contents(home / "incidents" / name))
    assert all(Path(item["send"]).stat().st_size == item["bytes"] for item in sent["items"])
    first, second = irctl(*words), irctl(*words)
    assert [done.host("archive")["outcome"] for done in (first, second)] == ["changed", "unchanged"], first.err + second.err
    assert any(name in key for key in store.names("irctl/manifests/incidents/"))
    plan = json.loads((Path(first.json["folder"]) / "evidence" / "archive" / "archive-plan.json").read_text())
    assert [one["name"] for one in plan["names"]] == [f"incidents/{name}"]
