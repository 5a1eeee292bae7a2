"""Processes that archive: killed at any point, and the memory that they take."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.irctl.runbooks.plugins.module_utils.archive import checksums, transfer
from tests.conftest import ROOT
from tests.servers.archives import Archive, contents, write
from tests.servers.stores import S3, Request

SCRIPT = """
import json, os, resource, sys
import botocore.session
from ansible_collections.irctl.runbooks.plugins.module_utils.archive import checksums, transfer
from ansible_collections.irctl.runbooks.plugins.modules import archive_evidence
for line in sys.stdin:
    given = json.loads(line)
    if not (child := os.fork()):
        transfer.SMALL, transfer.WHOLE, checksums.PART = given.pop("sizes")
        defaults = {name: about.get("default") for name, about in archive_evidence.ARGUMENTS.items()}
        archive_evidence.run({**defaults, **given, "state": "changed"}, False)
        os._exit(0)
    print(child, flush=True)
    _, status, used = os.wait4(child, 0)
    print(status, used.ru_maxrss, flush=True)
"""
POINTS = 20
TINY = (50_000, 200_000, 5 << 20)  # no store takes smaller parts


class Worker:
    """Processes that archive, one after another, made from one that has everything loaded, so that they begin at once."""

    def __init__(self) -> None:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        self._parent = subprocess.Popen(
            [sys.executable, "-c", SCRIPT], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def start(self, archive: Archive, small: int, whole: int, part: int) -> int:
        """Begin to archive; files above `small` bytes go as they are read, above `whole` in parts of `part`."""
        assert self._parent.stdin
        given = {name: value for name, value in archive.given.items() if value}
        self._parent.stdin.write(json.dumps({**given, "sizes": [small, whole, part]}) + "\n")
        return int(self._said())

    def end(self) -> tuple[int, int]:
        """How it ended, as waitpid has it, and the most KiB of memory that it had."""
        status, most = self._said().split()
        return int(status), int(most)

    def _said(self) -> str:
        assert self._parent.stdout
        return self._parent.stdout.readline()

    def close(self) -> None:
        self._parent.communicate()


@pytest.fixture
def worker() -> Iterator[Worker]:
    found = Worker()
    yield found
    found.close()


def test_killed_at_twenty_points_and_taken_up_again_nothing_is_lost(store: S3, tmp_path: Path, worker: Worker) -> None:
    """Small files, one that is sent as it is read, and one in parts; killed before the store knows of a request, or after."""
    tree = tmp_path / "tree"
    for number in range(15):
        write(tree / f"{number:02}.log", os.urandom(300 + number))
    write(tree / "streamed.bin", os.urandom(100_000))
    write(tree / "parts.bin", os.urandom(12 << 20))
    _killed(store, worker, Archive(store, tmp_path, tree, prefix="whole"), at=0, after=False)
    whole, cut = len(store.requests), 0
    for point in range(POINTS):
        prefix = f"point-{point}"
        archive = Archive(store, tmp_path, tree, prefix=prefix)
        cut += _killed(store, worker, archive, at=1 + point * whole // POINTS, after=point % 2 == 1)
        assert len(contents(tree)) == 17
        complete = store.names(f"{prefix}/manifests/")
        assert not complete or len(json.loads(store.content(complete[0]))["files"]) == 17
        worker.start(archive, *TINY)
        assert worker.end()[0] == 0
        [manifest] = [json.loads(store.content(key)) for key in store.names(f"{prefix}/manifests/")]
        assert {entry["path"]: store.content(entry["key"]) for entry in manifest["files"]} == contents(tree), point
        assert archive.verify()["msg"] == "17 objects read back"
        assert not store.client.list_multipart_uploads(Bucket=store.bucket, Prefix=f"{prefix}/").get("Uploads"), (
            "no part is left over"
        )
    assert cut == POINTS, "each was still under way"


def _killed(store: S3, worker: Worker, archive: Archive, at: int, *, after: bool) -> bool:
    """Kill it at its nth request, and wait for its end; whether that was how it ended."""
    store.requests.clear()
    known = threading.Event()
    process: list[int] = []

    def kill(request: Request) -> None:
        if 0 < at <= len(store.requests) and request is store.requests[at - 1]:
            known.wait(10)
            os.kill(process[0], signal.SIGKILL)

    if after:
        store.acted = kill
    else:
        store.hook = lambda request, number: kill(request)
    process.append(worker.start(archive, *TINY))
    known.set()
    status, _ = worker.end()
    store.hook = store.acted = None
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("whole", [transfer.WHOLE, 1 << 20], ids=["as it is read", "in parts"])
def test_a_file_that_is_larger_than_the_memory_it_takes(store: S3, tmp_path: Path, worker: Worker, whole: int) -> None:
    file = write(tmp_path / "tree" / "sparse.bin", b"")
    os.truncate(file, 160 << 20)
    os.utime(file, (1, 1))
    worker.start(Archive(store, tmp_path, tmp_path / "tree"), transfer.SMALL, whole, checksums.PART)
    status, most = worker.end()
    assert status == 0
    assert most << 10 < 160 << 20, f"{most} KiB"
