"""The store that the scenarios archive_evidence and purge_evidence work on: `store.py up|down|look FOLDER`."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # Ansible runs this by its path

from tests.servers import seaweed

BUCKET, REGION = "evidence", "eu-central-1"


def main(word: str, folder: Path) -> None:
    {"up": up, "down": down, "look": look}[word](folder)


def up(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)
    url = seaweed.start(folder)
    (folder / "url").write_text(url)
    client(folder).create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"store": host(folder, url)}}}))


def host(folder: Path, url: str) -> dict[str, str]:
    """The store as an inventory has it."""
    credentials = folder / "credentials"
    credentials.touch(mode=0o600)
    credentials.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in seaweed.KEYS.items()))
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


def down(folder: Path) -> None:
    seaweed.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def client(folder: Path) -> Any:
    config = botocore.config.Config(s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=(folder / "url").read_text(), region_name=REGION, config=config, **seaweed.KEYS)


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
