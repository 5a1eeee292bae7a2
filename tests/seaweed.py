"""SeaweedFS: a real S3 store with versions and Object Lock that looks at checksums, as one process on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError

import psutil

PROGRAM = Path(sysconfig.get_path("scripts")) / "weed"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI-EXAMPLE"}
PORTS = tuple(f"{part}.port{grpc}" for part in ("master", "volume", "filer", "s3") for grpc in ("", ".grpc"))
# One small volume for a bucket, as many as there are buckets; nothing is told to the makers, and nothing served but S3.
SETTINGS = {
    "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": ".", "volume.max": "0", "master.volumeSizeLimitMB": "1024",
    "master.telemetry": "false", "s3": "true", "s3.config": "s3.json", "s3.iam": "false",
    "s3.port.iceberg": "0", "s3.port.lance": "0", "filer.localSocket": "filer.sock", "s3.localSocket": "s3.sock",
}  # fmt: skip
GROWTH = "[master.volume_growth]\ncopy_1 = 1\n"
SECONDS = 60
ATTEMPTS = 3  # somebody else may have taken one of the ports


class NotStarted(Exception):
    """Its log is the message."""


def start(folder: Path) -> str:
    """Start a server that keeps everything below `folder`, wait until it takes objects, and give its address."""
    for _ in range(ATTEMPTS - 1):
        with suppress(NotStarted):
            return _start(folder)
    return _start(folder)


def _start(folder: Path) -> str:
    identity = {"accessKey": KEYS["aws_access_key_id"], "secretKey": KEYS["aws_secret_access_key"]}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    (folder / "s3.json").write_text(json.dumps({"identities": [{"name": "tests", "credentials": [identity], "actions": actions}]}))
    (folder / "master.toml").write_text(GROWTH)
    ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
    (folder / "ports").write_text(" ".join(ports.values()))
    words = [f"-{name}={value}" for name, value in {**SETTINGS, **ports}.items()]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "server", *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        )  # fmt: skip
    (folder / "pid").write_text(str(process.pid))
    url = f"http://127.0.0.1:{ports['s3.port']}"
    try:
        _wait_for(process, f"{url}/healthz", folder / "log")
        _wait_for(process, f"http://127.0.0.1:{ports['master.port']}/dir/assign", folder / "log")
    except BaseException:
        stop(folder)
        raise
    return url


def stop(folder: Path) -> None:
    """End the server of a folder, if there is one, and remove what it leaves outside of it."""
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        process = psutil.Process(int((folder / "pid").read_text()))
        if process.name() == PROGRAM.name:
            process.kill()
            process.wait(SECONDS)
    for port in read(folder / "ports").split():
        for socket_left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
            socket_left.unlink()


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    try:
        yield start(folder)
    finally:
        stop(folder)


def _free_ports(number: int) -> list[str]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Until the server answers, and there is a volume to write to."""
    until = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError, HTTPError), urllib.request.urlopen(url, timeout=5) as answer:
            if b'"error"' not in answer.read():
                return
        time.sleep(0.1)
    raise NotStarted(f"{PROGRAM.name} did not start: {log.read_text(errors='replace')[-2000:]}")
