"""What the tests of archive-evidence and purge-evidence share: old files, closed incidents, the module as its action runs it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure
from ansible_collections.irctl.runbooks.plugins.modules import archive_evidence
from irctl.incidents import incidents
from irctl.record import seal
from tests.conftest import write_inventory
from tests.servers.stores import S3, Request

OLD = 100 * 86400  # seconds
CLOSED = {"event": "closed", "resolution": "done"}
HELD = {"event": "held", "reason": "a court asked for it"}
RELEASED = {"event": "released"}


def write(path: Path, content: bytes, age: float = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)
    return path


def contents(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def incident(home: Path, *events: dict[str, Any], files: int = 3) -> str:
    name = incidents.open_incident(home, "ana", "Disk is full", "P2")
    for number in range(files):
        write(home / "incidents" / name / "evidence" / f"{number}.txt", f"{name} {number}".encode())
    for event in events:
        incidents.record(home, name, {"by": "ana", **event})
    return name


def run_of(home: Path, name: str) -> str:
    """A run of an incident, as the command leaves it: its sealed folder, and two lines of the incident's journal."""
    run = f"20261121T0223{len(incidents.state(home, name).runs):02}Z-disk-cleanup-7f3a01"
    write(home / "runs" / run / "evidence" / "h1" / "app.log", b"what was captured")
    incidents.record(home, name, {"by": "ana", "event": "run-started", "run": run, "remediation": "disk-cleanup"})
    manifest = seal.seal(home / "runs" / run, run)
    incidents.record(home, name, {"by": "ana", "event": "run-ended", "run": run, "outcome": "changed", "manifest": manifest})
    return run


def puts(store: S3) -> list[Request]:
    return [request for request in store.requests if request.method == "PUT" and "/files/" in request.path]


class Archive:
    """The module as its action runs it, step by step, and what an onlooker sees in the store."""

    def __init__(self, store: S3, folder: Path, tree: Path | None = None, **given: Any) -> None:
        self.store, self.tree = store, tree
        about = {"bucket": store.bucket, "tree": str(tree) if tree else None, "min_age": "1s"}
        self.given = {**store.settings(folder), **about, **given}

    def step(self, state: str, check: bool = False, **given: Any) -> dict[str, Any]:
        defaults = {name: about.get("default") for name, about in archive_evidence.ARGUMENTS.items()}
        return archive_evidence.run({**defaults, **self.given, **given, "state": state}, check)

    def __call__(self, check: bool = False, **given: Any) -> dict[str, Any]:
        """All steps, as the role takes them; the result of Change. Raises Failure with the refusals where there are any."""
        if refusals := self.step("listed", check, **given)["refusals"]:
            raise Failure(" ".join(refusals))
        self.step("captured", check, **given)
        changed = self.step("changed", check, **given)
        self.step("proved", check, **given)
        return changed

    def verify(self, **given: Any) -> dict[str, Any]:
        return self.step("proved", thorough=True, **given)

    def manifests(self) -> list[dict[str, Any]]:
        bucket = self.given["bucket"]
        return [json.loads(self.store.content(key, bucket)) for key in self.store.names("irctl/manifests/", bucket)]

    def held(self) -> dict[str, bytes]:
        """The content of each file as somebody would get it back who has nothing but the store."""
        files = self.manifests()[-1]["files"]
        found = {entry["path"]: self.store.content(entry["key"], self.given["bucket"]) for entry in files}
        assert all(hashlib.sha256(found[entry["path"]]).hexdigest() == entry["sha256"] for entry in files)
        return found


def settled(store: S3, home: Path, **given: Any) -> Archive:
    """The incidents of a home that are closed for a second; waits until they are."""
    time.sleep(1.1)
    return Archive(store, home.parent, home=str(home), older_than="1s", **given)


def inventory(store: S3, folder: Path, **more: Any) -> Path:
    """Of one host, `archive`, that leads to the store."""
    settings = {f"aws_{name}": value for name, value in store.settings(folder).items()}
    host = {
        "ansible_connection": "local",
        "archive_evidence_bucket": store.bucket,
        "archive_evidence_min_age": "1s",
        **settings,
        **more,
    }
    return write_inventory(folder, {"archive": host})
