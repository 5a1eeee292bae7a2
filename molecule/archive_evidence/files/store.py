"""The store that the scenarios archive_evidence and purge_evidence work on: `store.py up|down|look FOLDER`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import yaml

BUCKET, REGION = "evidence", "eu-central-1"


def main(word: str, folder: Path) -> None:
    {"up": up, "down": down, "look": look}[word](folder)


def up(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    (folder / "url").write_text(url)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    (folder / "pid").write_text(str(process.pid))
    wait_for(f"{url}/moto-api/data.json")
    client(folder).create_bucket(
        Bucket=BUCKET, ObjectLockEnabledForBucket=True, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"store": host(folder, url)}}}))


def host(folder: Path, url: str) -> dict[str, str]:
    """The store as an inventory has it."""
    credentials = folder / "credentials"
    credentials.touch(mode=0o600)
    credentials.write_text("[default]\naws_access_key_id = drill\naws_secret_access_key = drill\n")
    tree = folder / "tree"
    tree.mkdir()
    return {
        "ansible_connection": "local",
        "irctl_drills": "allowed",
        "aws_region": REGION,
        "aws_endpoint": url,
        "aws_credentials_file": str(credentials),
        "archive_evidence_bucket": BUCKET,
        "archive_evidence_tree": str(tree),
        "archive_evidence_retain": "90d",
        "purge_evidence_tree": str(tree),
    }


def wait_for(url: str) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def down(folder: Path) -> None:
    if (folder / "pid").exists():
        pid = int((folder / "pid").read_text())
        if b"moto.server" in read(Path(f"/proc/{pid}/cmdline")):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def client(folder: Path) -> Any:
    keys = {"aws_access_key_id": "look", "aws_secret_access_key": "look"}
    config = botocore.config.Config(s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=(folder / "url").read_text(), region_name=REGION, config=config, **keys)


def look(folder: Path) -> None:
    """What is here, and what the archive holds, each by the sha256 of its content; and how many objects are locked."""
    store = client(folder)
    keys = [one["Key"] for one in store.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    files = [store.get_object(Bucket=BUCKET, Key=key) for key in keys if "/files/" in key]
    here = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "tree").rglob("*.log"))
    there = sorted(hashlib.sha256(one["Body"].read()).hexdigest() for one in files)
    locked = sum(one.get("ObjectLockMode") == "GOVERNANCE" for one in files)
    manifests = sum("/manifests/" in key for key in keys)
    print(json.dumps({"here": len(here), "there": len(there), "same": here == there, "locked": locked, "manifests": manifests}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
